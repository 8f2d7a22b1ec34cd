"""Pairs of questions: such as ask something else, however alike they look, and such as ask the same.

Hand-written, or made from templates; in each pair of `OPPOSITE` an answer to one is wrong for the
other, in each of `PARAPHRASED` it is right.
"""

# ruff: noqa: E501, RUF001  # a pair stands on one line; letters of other alphabets are meant

from collections.abc import Iterator, Mapping
from itertools import combinations

__all__ = ["NARROWED", "OPPOSITE", "PARAPHRASED", "REWORDED", "UNSEEN", "Pair"]

Pair = tuple[str, str]
"""Two questions."""


def _split(lines: str) -> list[Pair]:
    """One pair a line, with a bar between."""
    pairs = []
    for line in lines.strip().splitlines():
        one, other = line.split(" | ")
        pairs.append((one.strip(), other.strip()))
    return pairs


def _swapped(templates: str, fillings: str) -> Iterator[Pair]:
    """``{a}`` and ``{b}`` change places."""
    for template in templates.strip().splitlines():
        for filling in fillings.strip().splitlines():
            a, b = filling.strip().split(" | ")
            yield template.strip().format(a=a, b=b), template.strip().format(a=b, b=a)


def _filled(templates: str, *fillings: str) -> Iterator[Pair]:
    """One template with two different fillings."""
    for template in templates.strip().splitlines():
        for one, other in combinations(fillings, 2):
            yield template.strip().format(one), template.strip().format(other)


_NEGATION = _split("""
    Is it safe to eat raw eggs? | Is it not safe to eat raw eggs?
    Which of these are prime numbers? | Which of these are not prime numbers?
    Why should I use a debit card? | Why should I not use a debit card?
    Why should I use a debit card? | Why shouldn't I use a debit card?
    What can dogs eat? | What can't dogs eat?
    What can dogs eat? | What can dogs not eat?
    Which countries are in the EU? | Which countries are not in the EU?
    Which countries are in the EU? | Which countries aren't in the EU?
    Tell me what I should do in an interview | Tell me what I shouldn't do in an interview
    Can you explain why the sky is blue? | Can you explain why the sky is not blue?
    Who has signed the contract? | Who has never signed the contract?
    What happens if I pay my taxes? | What happens if I don't pay my taxes?
    What happens if I pay my taxes? | What happens if I never pay my taxes?
    How do I cook with salt? | How do I cook without salt?
    Is there any sugar in this drink? | Is there no sugar in this drink?
    Which files does the script touch? | Which files does the script not touch?
    When do I need a visa? | When do I not need a visa?
    Does the law apply to tenants? | Does the law not apply to tenants?
    Is aspirin allowed for children? | Isn't aspirin forbidden for children?
    Who is going to the party with us? | Who is not going to the party with us?
    Which vaccines are required for travel? | Which vaccines are not required for travel?
    Which animals can fly? | Which animals cannot fly?
    When is it polite to tip? | When is it impolite to tip?
    What are the legal ways to copy music? | What are the illegal ways to copy music?
    Why is the solution stable? | Why is the solution unstable?
    How can I make the process reversible? | How can I make the process irreversible?
    Which users are active? | Which users are inactive?
    What are the symptoms of a hormone excess? | What are the symptoms of a hormone deficiency?
    Is the test result conclusive? | Is the test result inconclusive?
    Who agrees with the proposal? | Who disagrees with the proposal?
    What makes a contract valid? | What makes a contract invalid?
    Was the treatment effective? | Was the treatment ineffective?
    Which foods are healthy? | Which foods are unhealthy?
    Does the medicine work? | Doesn't the medicine work?
    What does the warranty cover? | What does the warranty not cover?
""")

_OPPOSITE_WORDS = _split("""
    How do I enable two-factor authentication? | How do I disable two-factor authentication?
    How can I increase the contrast of my screen? | How can I decrease the contrast of my screen?
    How do I lock the door of my car? | How do I unlock the door of my car?
    What is the maximum speed of a cheetah? | What is the minimum speed of a cheetah?
    What is the highest mountain in Europe? | What is the lowest mountain in Europe?
    What are the pros of nuclear power? | What are the cons of nuclear power?
    What are the advantages of remote work? | What are the disadvantages of remote work?
    How do I install Docker on my machine? | How do I uninstall Docker on my machine?
    Should I buy the stock now? | Should I sell the stock now?
    When does the shop open? | When does the shop close?
    What is the best way to learn French? | What is the worst way to learn French?
    How do I add a user to the group? | How do I remove a user from the group?
    How do I sort the list in ascending order? | How do I sort the list in descending order?
    Why did the price rise? | Why did the price fall?
    How do I encrypt the file with gpg? | How do I decrypt the file with gpg?
    What is the hottest planet? | What is the coldest planet?
    What is the largest ocean? | What is the smallest ocean?
    Who won the final in 2014? | Who lost the final in 2014?
    What is the first letter of the alphabet? | What is the last letter of the alphabet?
    How do I gain weight fast? | How do I lose weight fast?
    What is the cheapest flight to Rome? | What is the most expensive flight to Rome?
    Where can I borrow money? | Where can I lend money?
    How do I start the server? | How do I stop the server?
    How do I turn on the heating? | How do I turn off the heating?
    What does it cost to import a car? | What does it cost to export a car?
    Why do people love Mondays? | Why do people hate Mondays?
    How do I upload a file to the server? | How do I download a file to the server?
    How do I allow the app in the firewall? | How do I block the app in the firewall?
    What is the longest river in Asia? | What is the shortest river in Asia?
    Which is the fastest animal? | Which is the slowest animal?
    How do I subscribe to the newsletter? | How do I unsubscribe from the newsletter?
    Is the number 7 odd? | Is the number 7 even?
    How do I heat the room quickly? | How do I cool the room quickly?
    What should I include in my resume? | What should I exclude from my resume?
    How do I accept the invitation? | How do I reject the invitation?
    Is the switch on the left? | Is the switch on the right?
    Who is the oldest player in the team? | Who is the youngest player in the team?
    How do I mount the drive? | How do I unmount the drive?
    Can I deposit money at the machine? | Can I withdraw money at the machine?
    When does the train arrive? | When does the train depart?
    What causes inflation? | What prevents inflation?
    What are the strengths of the plan? | What are the weaknesses of the plan?
    How do I raise the volume? | How do I lower the volume?
    How do I show hidden files? | How do I hide visible files?
    Who is the winner of the match? | Who is the loser of the match?
    How do I promote a member to admin? | How do I demote a member to admin?
    What is the input of the function? | What is the output of the function?
    Is the door open? | Is the door closed?
    When was she born? | When was she dead?
    Is the variable global? | Is the variable local?
    Does caffeine help with headaches? | Does caffeine cause headaches?
    How do I follow someone? | How do I unfollow someone?
    How do I compress the image? | How do I decompress the image?
    What is the greatest common divisor of 12 and 18? | What is the least common multiple of 12 and 18?
    Where does the sun rise? | Where does the sun set?
""")

_ROLES = [
    *_swapped(
        """
        Is {a} bigger than {b}?
        How do I convert {a} to {b}?
        Translate the text from {a} to {b}, please
        Why does {a} depend on {b}?
        Did {a} come before {b}?
        Should I learn {a} before {b}?
        What happens when {a} replaces {b}?
        Is {a} a kind of {b}?
        """,
        """
        Python | Java
        miles | kilometers
        the moon | the sun
        English | German
        """,
    ),
    *_split("""
        Does the dog chase the cat? | Does the cat chase the dog?
        What are the flights from Paris to London? | What are the flights from London to Paris?
        How long is the drive from Bonn to Ulm? | How long is the drive from Ulm to Bonn?
        Did Germany beat Brazil? | Did Brazil beat Germany?
        Does John love Mary? | Does Mary love John?
        Who sold the house to Anna? | Who did Anna sell the house to?
        Can a landlord sue a tenant? | Can a tenant sue a landlord?
        What does the client send to the server? | What does the server send to the client?
        Is France north of Spain? | Is Spain north of France?
        How do I subtract 5 from 12? | How do I subtract 12 from 5?
        What is 12 divided by 4? | What is 4 divided by 12?
        What is 2 to the power of 8? | What is 8 to the power of 2?
        Does correlation imply causation? | Does causation imply correlation?
        Is a square a rectangle? | Is a rectangle a square?
        Are all dogs mammals? | Are all mammals dogs?
        Should I wash before I shave? | Should I shave before I wash?
        Does the teacher fear the student? | Does the student fear the teacher?
        Why did Rome attack Carthage? | Why did Carthage attack Rome?
        Can I pay the invoice with the voucher? | Can I pay the voucher with the invoice?
        Is Bob taller than Tim? | Is Tim taller than Bob?
        Why is he hated? | Tell me why he hated
        Tell me who the teacher called | Tell me who called the teacher
        Who is the father of Abraham? | Who is Abraham the father of?
        What does my boss owe me? | What do I owe my boss?
    """),
]

_NUMBERS = [
    *_filled(
        """
        What is {} percent of 80?
        Who won the world cup in {}?
        How do I cook pasta for {} people?
        Is {} a prime number?
        What happened on the {}th of May?
        """,
        "10",
        "12",
        "14",
        "100",
    ),
    *_split("""
        What is the square root of 144? | What is the square root of 169?
        Convert $5 to euros, please | Convert €5 to euros, please
        What is 3.5 in binary, and why? | What is 35 in binary, and why?
        What is -5 plus 3? | What is 5 plus 3?
        What is 50% of the price? | What is 50 of the price?
        How old is a person who was born in 1990? | How old is a person who was born in 1991?
        Give me two examples of a mammal | Give me three examples of a mammal
        What are the top five songs? | What are the top ten songs?
        What is the second law of thermodynamics? | What is the third law of thermodynamics?
        What is one half of the sum? | What is one third of the sum?
        When does flight BA123 leave the airport? | When does flight BA132 leave the airport?
        What does error 404 mean? | What does error 403 mean?
        What is the temperature at 5:30? | What is the temperature at 3:50?
        Who was the 16th president? | Who was the 6th president?
        How do I upgrade to version 2.1 from this one? | How do I upgrade to version 1.2 from this one?
        What are a million dollars in euros? | What are a billion dollars in euros?
    """),
]

_TIMES_AND_UNITS = [
    *_filled(
        """
        What is the weather like in {}?
        Which holidays are there in {}?
        """,
        "January",
        "June",
        "July",
        "December",
    ),
    *_filled("What are the opening hours on {}?", "Monday", "Friday", "Sunday"),
    *_filled("Will it rain {} in this area?", "today", "tomorrow", "tonight"),
    *_filled(
        """
        How many {} are there in a mile?
        What is my height in {}?
        """,
        "meters",
        "feet",
        "inches",
        "centimeters",
    ),
    *_filled("What is water's boiling point in {}?", "Celsius", "Fahrenheit", "Kelvin"),
    *_filled("How much is the ticket in {}?", "euros", "dollars", "pounds", "yen"),
    *_filled("How do you say good morning in {}?", "French", "Spanish", "German", "Italian"),
    *_split("""
        What did the market do last week? | What did the market do this week?
        What did the market do last week? | What did the market do last month?
        Who is the president of France? | Who was the president of France?
        What is the plan for next year? | What was the plan for last year?
        What will the museum show? | What did the museum show?
        Where do the birds go in winter? | Where do the birds go in summer?
        What happened before the war? | What happened after the war?
        Should I eat before the exam? | Should I eat after the exam?
        What should I do in the morning? | What should I do in the evening?
        What does the drug do to adults during surgery? | What does the drug do to adults before surgery?
    """),
]

_NAMES = [
    *_filled(
        """
        What is the capital of {}?
        What's the population of {}?
        Who is the head of state in {}?
        """,
        "France",
        "Germany",
        "Austria",
        "Australia",
        "Niger",
        "Nigeria",
    ),
    *_filled("Who wrote the novel about {}?", "Emma", "Anna Karenina", "Oliver Twist", "Jane Eyre"),
    *_filled("How do I sort a list in {}?", "Python", "Java", "JavaScript", "Rust"),
    *_filled("What is the symbol of {} in chemistry?", "iron", "gold", "silver", "lead", "tin"),
    *_filled("What does vitamin {} do?", "A", "B", "C", "D"),
    *_split("""
        When was George Bush the elder elected? | When was George Bush the younger elected?
        Who was Henry VII of England? | Who was Henry VIII of England?
        How is my US visa renewed? | How is my UK visa renewed?
        Tell us who is in charge of the US | Tell us who is in charge of us
        What does the WHO recommend? | What does the who recommend?
        What is the best way to clean a Polish table? | What is the best way to clean a polish table?
        How far is Paris, Texas from here? | How far is Paris, France from here?
        Where is my wife's account? | Where is my husband's account?
        What is his salary? | What is her salary?
        What is my balance? | What is your balance?
        What is the capital of south Korea? | What is the capital of north Korea?
        Who is the king of Spain? | Who is the queen of Spain?
        What is the meaning of the word affect? | What is the meaning of the word effect?
        What is the role of my team in the project? | What is the role of our team in the project?
        Where can I see the red line? | Where can I see the blue line?
        How do I contact Smith? | How do I contact Smyth?
        What is hypertension? | What is hypotension?
        What is the treatment for hyperthyroidism? | What is the treatment for hypothyroidism?
        What is a macro in the economy? | What is a micro in the economy?
        What is a synonym for this word? | What is an antonym for this word?
    """),
]

_QUANTIFIERS = _split("""
    Do all birds fly? | Do some birds fly?
    Which students passed all of the exams? | Which students passed none of the exams?
    How many users have more than ten posts? | How many users have less than ten posts?
    How many users have at least ten posts? | How many users have at most ten posts?
    Do most people like the idea? | Do few people like the idea?
    Why are there few doctors in my town? | Why are there a few doctors in my town?
    Is there much water in the lake? | Is there little water in the lake?
    What is the number of guests? | What are a number of guests?
    Is this always true? | Is this never true?
    Is this often the case? | Is this rarely the case?
    Is this sometimes true? | Is this always true?
    What is the most common name? | What is the least common name?
    Who won both of the matches? | Who won neither of the matches?
    Who won both of the matches? | Who won either of the matches?
    Can I take every course? | Can I take any course?
    Did everyone pass the test? | Did nobody pass the test?
    Which is the only exception to the rule? | Which is the first exception to the rule?
    Should I call or write? | Should I call and write?
    What is double the price? | What is half the price?
    Must I pay the fee? | May I pay the fee?
    Can I park here? | Should I park here?
    Would he go? | Will he go?
    Do I have to register? | Do I get to register?
    What are the more likely causes? | What are the less likely causes?
    Is it just before noon? | Is it just after noon?
""")

_PLACES_AND_KINDS = _split("""
    What is under the table in the picture? | What is on the table in the picture?
    Is the cat inside the box? | Is the cat outside the box?
    Where does the river flow into the sea? | Where does the river flow out of the sea?
    What are arguments for the tax? | What are arguments against the tax?
    How do I travel to Berlin? | How do I travel from Berlin?
    Is the meeting at the office? | Is the meeting near the office?
    Who is the man behind the desk? | Who is the man before the desk?
    When is the deadline? | Where is the deadline?
    Who did this? | Why did this?
    How is he? | Who is he?
    What should I cook? | Should I cook?
    Why do cats purr? | When do cats purr?
    How do I feel about the result? | How do you feel about the result?
    Can you eat raw chicken? | Would you eat raw chicken?
    What do I owe you? | What do you owe me?
    What are you allowed to see? | What am I allowed to see?
    Is she the doctor of the patient? | Is he the doctor of the patient?
    What is above the line? | What is below the line?
    What is the time up to the break? | What is the time down to the break?
    How do I write with a pen? | How do I write about a pen?
    Let's eat, grandma, with the others | Let's eat grandma with the others
    Explain the plan to the team | Explain the plan of the team
    Explain the contract to me | Translate the contract to me
    Summarize the article for the boss | Criticize the article for the boss
    Is the code of the parser fast? | Is the parser of the code fast?
""")

_CODE = _split(r"""
    What does `ls -a` print? | What does `ls -A` print?
    What does x == y do in the language? | What does x = y do in the language?
    What does a > b return? | What does a < b return?
    What does a & b mean in the code? | What does a && b mean in the code?
    What does the regex \d+ match? | What does the regex \D+ match?
    What does 'a  b'.split(" ") return? | What does 'a b'.split(" ") return?
    What is the type of "5" here? | What is the type of 5 here?
    What does i++ do? | What does ++i do?
    Is O(n) the complexity? | Is O(n^2) the complexity?
    How is C different from the others? | How is C# different from the others?
    How is C different from the others? | How is C++ different from the others?
    Translate "May" into the other language | Translate "may" into the other language
    What is in /etc/hosts on the machine? | What is in /etc/host on the machine?
    How do I git push to the branch? | How do I git pull to the branch?
    What does rm -r do? | What does rm -f do?
    What does the flag --no-cache do? | What does the flag --cache do?
""")

_LANGUAGES = _split("""
    ¿Está abierto el museo? | ¿No está abierto el museo?
    ¿Cuál es la capital de Francia? | ¿Cuál es la capital de España?
    ¿Cómo activo la alarma? | ¿Cómo desactivo la alarma?
    ¿Quién es el padre de Ana? | ¿Quién es la madre de Ana?
    ¿El año de mi abuelo? | ¿El ano de mi abuelo?
    Quelle est la plus haute montagne ? | Quelle est la plus basse montagne ?
    Est-ce que le magasin est ouvert ? | Est-ce que le magasin n'est pas ouvert ?
    Comment aller de Lyon à Paris ? | Comment aller de Paris à Lyon ?
    Il a mangé avec moi | Il a mangé sans moi
    Où est le livre sur la table ? | Où est le livre sous la table ?
    Ist das Haus groß? | Ist das Haus nicht groß?
    Wann kommen Sie an? | Wann kommen sie an?
    Wie schalte ich das Licht an? | Wie schalte ich das Licht aus?
    Wer liebt den Hund? | Wen liebt der Hund?
    Was ist vor dem Krieg passiert? | Was ist nach dem Krieg passiert?
    Wie viele Tage hat der Mai? | Wie viele Tage hat der Juni?
    Sind alle Vögel gleich? | Sind keine Vögel gleich?
    Wir essen, Opa | Wir essen Opa
    Qual è il fiume più lungo? | Qual è il fiume più corto?
    Come si apre la porta? | Come si chiude la porta?
    Onde fica a saída? | Onde fica a entrada?
    Quantos anos ele tem? | Quantos anos ela tem?
    Hoe zet ik de alarm aan? | Hoe zet ik de alarm uit?
    Какая столица Франции? | Какая столица Германии?
    Можно ли есть сырое мясо? | Нельзя ли есть сырое мясо?
    フランスの首都はどこですか | ドイツの首都はどこですか
    犬が猫を追いかけますか | 猫が犬を追いかけますか
    这个是安全的吗 | 这个不是安全的吗
    怎么打开文件 | 怎么关闭文件
    هل المتجر مفتوح؟ | هل المتجر مغلق؟
    İstanbul'a nasıl gidilir? | İstanbul'dan nasıl gidilir?
    Kapı açık mı? | Kapı kapalı mı?
""")

_MENTIONS = _split("""
    What is the German word for please? | What is the German word for thank you?
    What is the German word for please? | What is the German word for thanks?
    Translate into Spanish: please | Translate into Spanish: thank you
    Translate into Spanish with the accents: please | Translate into Spanish with the accents: thanks
    Translate into Spanish the sentence: stop! | Translate into Spanish the sentence: stop?
    How do you say please? | How do you say thank you?
    How do you say please in the south? | How do you say thanks in the south?
    How do you say yes, please? | How do you say yes, thank you?
    How do you say yes, please? | How do you say yes?
    How do you answer with please? | How do you answer with thank you?
    What is the origin of please? | What is the origin of thanks?
    Who wrote the song Please? | Who wrote the song?
    Who wrote the song Please? | Who wrote the song Thank You?
    Please is a song by which band? | Kindly is a song by which band?
    Hello is a word in which language? | Hi is a word in which language?
    Hey, Jude was written by whom, and when? | Hello, Jude was written by whom, and when?
    What is the opposite of a? | What is the opposite of the?
    What is the opposite of a? | What is the opposite of an?
    Is a an article with a gender? | Is the an article with a gender?
    When do I write a and when an? | When do I write the and when an?
    How do you spell can't? | How do you spell cannot?
    How do you spell it's? | How do you spell it is?
    What does it's mean? | What does it is mean?
    What does 'the' do in this sentence? | What does 'a' do in this sentence?
    What is the plural of may? | What is the plural of May?
    What does go mean? | What does GO mean?
    Which letter comes after a? | Which letter comes after the?
    What is the time? | What is time?
    What is a date? | What is the date?
    What is the point? | What is a point?
    Who is the president? | Who is a president?
    What is the date today? | What is a date today?
    What is the sun made of? | What is a sun made of?
    How does the president get elected? | How does a president get elected?
    What is the name of the mark ! | What is the name of the mark ?
    What is the code for ... | What is the code for ?
""")

_LABELS = [
    *_filled(
        """
        How is hepatitis {}transmitted?
        What does vitamin {}do?
        Who is in group {}of the tournament?
        Where is gate {}in this terminal?
        What does plan {}cost with the discount?
        What are class {}drugs?
        """,
        "",
        "A ",
        "B ",
    ),
    *_split("""
        How is hepatitis a transmitted? | How is hepatitis transmitted?
        How is hepatitis a transmitted? | How is hepatitis the transmitted?
        What are the foods with vitamin A? | What are the foods with vitamin?
        What are the rules for type A personalities? | What are the rules for type personalities?
        What is in appendix A of the report? | What is in appendix of the report?
        Who won game a yesterday with the team? | Who won game yesterday with the team?
        Who plays in series a with the team? | Who plays in series with the team?
        What happened in World War I? | What happened in World War II?
        Who was Elizabeth I? | Who was Elizabeth II?
        Who was Henry IV of England? | Who was Henry VI of England?
        Who was Henry V of England? | Who was Henry of England?
        What is I in the formula? | What is i in the formula?
        What is T in the formula? | What is t in the formula?
        What is G in the equation? | What is g in the equation?
        How is C different from Java? | How is c different from Java?
        How is C different from the other languages? | How is C++ different from the other languages?
        How is C++ different from the other languages? | How is C# different from the other languages?
        What changed from v1 to the next? | What changed from v2 to the next?
        What changed in the api of v1.0? | What changed in the api of v1.1?
        What is a V1 and who built it? | What is a v1 and who built it?
    """),
]

_MARKS = _split("""
    What is 5! | What is 5?
    What is 5! | What is 5
    What is 5!! | What is 5!
    What is 5!? | What is 5?
    What is 5!, please? | What is 5, please?
    What is the value of n! | What is the value of n?
    What is the value of (n)! | What is the value of (n)?
    How many digits are in 20!? | How many digits are in 20?
    How many digits are there in 20! | How many digits are there in 20
    What is -3 with the sign changed? | What is 3 with the sign changed?
    What is +3 with the sign changed? | What is -3 with the sign changed?
    What is 8 - 3? | What is 8 + 3?
    What is 8 − 3? | What is 8 3?
    What is .5 of the total? | What is 5 of the total?
    What is 1/2 of the total? | What is 1/3 of the total?
    What is ½ of the total? | What is ¼ of the total?
    What is 10² in the sum? | What is 102 in the sum?
    What is 5% of the total? | What is 5 of the total?
    What is 5% of the total? | What is 5‰ of the total?
    What is 1,000 in words? | What is 1.000 in words?
    What is 5' in meters? | What is 5 in meters?
    How tall is a man of 5'6? | How tall is a man of 56?
    Is the dogs' food safe? | Is the dog's food safe?
    Is the dogs' food safe? | Is the dogs food safe?
    What is its name? | What is it's name?
    What did we're do there? | What did were do there?
    What is he'll in the text? | What is hell in the text?
    Where is the cant used? | Where is the can't used?
    What'd he do with the money? | What would he do with the money?
    What is the 4th planet? | What is the 4 planet?
    What is the fourth planet? | What is the four planet?
    What is the answer to 👍? | What is the answer to 👎?
    What do you think of this 🙂? | What do you think of this 🙁?
    What do you think of this 👍🏻? | What do you think of this 👍🏿?
    When does the shop open, at 9 am? | When does the shop open, at 9 pm?
    When does the shop open, at 9am? | When does the shop open, at 9pm?
    What is 12:30 CET in the other zone? | What is 12:30 CEST in the other zone?
    What is 9 EST with us? | What is 9 PST with us?
    What is £5 with the tax? | What is $5 with the tax?
    What is 5 USD with the tax? | What is 5 AUD with the tax?
    What is the fee in CAD? | What is the fee in cad?
    Where is the file a.b? | Where is the file ab?
    Who owns the site аpple.com? | Who owns the site apple.com?
    What is the capital of Сhad? | What is the capital of Chad?
    What does the ticket to Oslo cost? | What does the ticket to Оslo cost?
    Where is the Ｋelvin scale used? | Where is the kelvin scale used?
""")

_CASES = [
    *_filled("How long does it take to send 8 {} with my line?", "Gb", "GB", "gb", "gB"),
    *_filled("How much is 5 {} in the other unit?", "mm", "Mm", "MM"),
    *_filled("How much is 3 {} in the other unit?", "mW", "MW", "mw"),
    *_filled("Where is {} found?", "NO", "No", "no"),
    *_filled("How heavy is the {} here?", "Pb", "PB", "pb"),
    *_filled("Which of these is toxic, the {} or what?", "CO", "Co", "co"),
    *_split("""
        How many GB are in 800 Gb? | How many Gb are in 800 GB?
        How many kb are there in 5 kB? | How many kB are there in 5 kb?
        What is the $PATH on my machine? | What is the $path on my machine?
        What is the difference between int and Integer? | What is the difference between Int and integer?
        What is an int in this language? | What is an Int in this language?
        What is myValue in the code? | What is myvalue in the code?
        What is 300 K in the table? | What is 300 k in the table?
        How many cal are there in an egg? | How many Cal are there in an egg?
        When may I travel to the coast? | When May I travel to the coast?
        Which one is the polish shop? | Which one is the Polish shop?
        How do I roast a turkey with my family? | How do I roast a Turkey with my family?
        What is the best place for turkey? | What is the best place for Turkey?
        What is good for us? | What is good for US?
    Who is the best doctor? | Who is the best Doctor?
    What is a tesla worth with us? | What is a Tesla worth with us?
        Who runs it in the company? | Who runs IT in the company?
        Which aids are there for children? | Which AIDS are there for children?
        Tell me about aids at work | Tell me about AIDS at work
        WHO RUNS IT IN THE COMPANY? | who runs it in the company?
        WHAT IS GOOD FOR US? | what is good for us?
        HOW FAR IS TURKEY FROM HERE? | how far is turkey from here?
        HOW LONG DOES IT TAKE TO SEND 8 GB? | how long does it take to send 8 gb?
        Where is the best china made? | Where is the best China made?
        What does an apple cost there? | What does an Apple cost there?
        How do I get rid of rust? | How do I get rid of Rust?
        How many windows does it have? | How many Windows does it have?
        How do I write a string with this? | How do I write a String with this?
        Where does the who play? | Where does the Who play?
        Who directed the film with her? | Who directed the film with Her?
        What is a pole and where does it live? | What is a Pole and where does it live?
        What is cologne known for, and why? | What is Cologne known for, and why?
        How is sat pronounced by the others? | How is SAT pronounced by the others?
        Who are the democrats there? | Who are the Democrats there?
        Where does the iPad belong? | Where does the ipad belong?
        Is the pH high, and why? | Is the PH high, and why?
    """),
]

OPPOSITE: Mapping[str, list[Pair]] = {
    "negation": _NEGATION,
    "opposites": _OPPOSITE_WORDS,
    "roles": _ROLES,
    "numbers": _NUMBERS,
    "times and units": _TIMES_AND_UNITS,
    "names": _NAMES,
    "quantifiers": _QUANTIFIERS,
    "places and kinds": _PLACES_AND_KINDS,
    "code": _CODE,
    "languages": _LANGUAGES,
    "mentions": _MENTIONS,
    "labels": _LABELS,
    "marks": _MARKS,
    "cases": _CASES,
}
"""Kind to pairs that ask something else."""

_QUESTIONS = """
    What is the capital of France?
    How do I sort a list in Python?
    Why is the sky blue?
    Who wrote the Iliad?
    What are the symptoms of the flu?
    When was the Berlin wall built?
    How do I reset my password?
    What is the boiling point of water at 2000 meters?
    How many legs does a spider have?
    What is the difference between a virus and a bacterium?
    Where can I renew my passport?
    How can I reduce the size of the image?
""".strip().splitlines()


def _put_otherwise(question: str) -> Iterator[str]:
    """The same question, in other manners."""
    bare = question.rstrip("?")
    yield bare
    yield bare.lower() + "?"
    yield question.upper()
    yield f"  {question}  "
    yield question.replace(" ", "  ")
    yield f"Hi! {question}"
    yield f"Hello, {question}"
    yield f"Please tell me: {question}".replace(": ", " ")
    yield f"{question} Thanks!"
    yield f"{bare}, please?"
    yield f"{bare}??"


_HAND_WRITTEN = _split("""
    What is the capital of France? | What's the capital of France?
    What is the capital of France? | Could you tell me what the capital of France is?
    What is the capital of France? | I'd like to know what the capital of France is.
    What is the capital of France? | Do you know what the capital of France is?
    What is the capital of France? | Tell me the capital of France
    What is the capital of France? | what’s the capital of France
    What is the capital of France? | whats the capital of france
    How do I sort a list in Python? | How can I sort a list in Python?
    How do I sort a list in Python? | how to sort a list in python
    How do I sort a list in Python? | In Python, how do I sort a list?
    How do I sort a list in Python? | Can you tell me how I can sort a list in Python?
    How do I reset my password? | Could you please tell me how to reset my password?
    How do I reset my password? | I want to know how I can reset my password
    Why is the sky blue? | Can you tell me why the sky is blue?
    Why is the sky blue? | I was wondering why the sky is blue
    Why do cats purr? | Tell me why cats purr
    How old is the universe? | Can you tell me how old the universe is?
    Who is the author of Emma? | Do you know who the author of Emma is?
    When was the wall built in Berlin? | Tell me when the wall was built in Berlin
    What are the flights from Paris to London? | What are the flights to London from Paris?
    Explain the theory of relativity | Could you please explain the theory of relativity?
    Explain the theory of relativity | Can you explain the theory of relativity, please?
    Explain the theory of relativity | Please explain the theory of relativity.
    Translate good morning to French with the accents | Could you translate good morning to French with the accents?
    What can't dogs eat? | What can not dogs eat?
    I don't know what to cook | I do not know what to cook
    What's the time in Tokyo? | What is the time in Tokyo
    Who's the president of Chile? | Who is the president of Chile?
    Where's my parcel with the shoes? | Where is my parcel with the shoes?
    What's a monad? | What is a monad?
    What is the best pizza in Naples? | hey, what's the best pizza in Naples?
    It's raining, what should I wear? | It is raining, what should I wear?
    ¿Cuál es la capital de Francia? |  ¿Cuál es la capital de Francia?
    Où est la gare ? |   Où est la gare ?
    Wie spät ist es? | Wie spät ist es?
    What are the opening hours of the museum? | Excuse me, what are the opening hours of the museum?
    Is the museum open on Sunday, and what does it cost? | is the museum open on sunday, and what does it cost
    Give me a recipe for the apple pie | Could you give me a recipe for an apple pie?
    List the planets that have rings | Can you list the planets that have rings?
    Write a poem about the sea with rhymes | Please write a poem about the sea with rhymes!
    What's the difference between the two plans? | what is the difference between the two plans
    How would I cite a website? | How can I cite a website?
""")

PARAPHRASED: Mapping[str, list[Pair]] = {
    "templates": [
        (each.strip(), said) for each in _QUESTIONS for said in _put_otherwise(each.strip())
    ],
    "hand-written": _HAND_WRITTEN,
}
"""Kind to pairs that ask the same in other form: by courtesy, marks, case, short forms, order."""

REWORDED: list[Pair] = _split("""
    How do I reset my password? | How do I change my password?
    How do I reset my password? | What should I do when I forgot my password?
    What is the weather like in Rome? | How is the weather in Rome?
    How tall is the Eiffel tower? | What is the height of the Eiffel tower?
    Who wrote the Iliad? | Who is the author of the Iliad?
    What is the price of a ticket? | How much does a ticket cost?
    How do I learn to swim? | What is a good way to learn swimming?
    Give me some ideas for dinner | What could I cook for dinner?
    What are good museums in Rome? | Which museums in Rome are worth seeing?
    How do I get rid of mice? | How can I get rid of mice at home?
    When was the telephone invented? | In which year was the telephone invented?
    How long do I boil an egg? | How long should an egg boil?
    What does photosynthesis do for a plant? | Explain what photosynthesis does for plants
    How do I delete a branch in git? | How do I remove a branch in git?
    What is the definition of entropy? | Define entropy for me, please
    Why do leaves turn red in autumn? | What makes leaves turn red in autumn?
    How far is the moon from the earth? | What is the distance between the earth and the moon?
    How do I cancel my subscription? | I would like to end my subscription, how?
    What is the fastest route to the airport? | What is the quickest way to the airport?
    How do I write a good cover letter? | How do I write a great cover letter?
""")
"""Pairs that ask the same in other words: what only learnt acceptance can open."""

NARROWED: list[Pair] = _split("""
    Why do cats purr? | Why do hungry cats purr?
    What is the fastest animal? | What is the fastest land animal?
    How do I cook rice? | How do I cook wild rice?
    How do I cook rice? | How do I cook rice pudding?
    Who invented the engine? | Who invented the steam engine?
    What does a nurse earn? | What does a school nurse earn?
    How do I reset my password? | How do I reset my router password?
    Why is the sky blue? | Why is the evening sky blue?
    How long do tomatoes keep? | How long do tinned tomatoes keep?
    What are the symptoms of diabetes? | What are the symptoms of gestational diabetes?
    How do I train a dog? | How do I train a deaf dog?
    Where can I park my car? | Where can I park my electric car?
    Is milk good for adults? | Is oat milk good for adults?
    How do I file my taxes? | How do I file my taxes electronically?
    Which wine goes with the fish? | Which wine goes with the fried fish?
""")
"""Pairs in which one asks for a special case of the other: most often with an answer of its own."""

UNSEEN: Mapping[str, list[Pair]] = {
    "opposite": _split("""
        What is the refund policy for members? | What is the refund policy for guests?
        How do I freeze my bank account? | How do I unfreeze my bank account?
        Can I bring my dog on the train? | Can I bring my cat on the train?
        Which side effects are common? | Which side effects are rare?
        How do I import contacts from Outlook to Gmail? | How do I import contacts from Gmail to Outlook?
        What does the landlord have to repair? | What does the tenant have to repair?
        Is the bridge longer than the tunnel? | Is the tunnel longer than the bridge?
        Is the bridge longer than the tunnel? | Is the bridge shorter than the tunnel?
        How can I make my text bold with the editor? | How can I make my text italic with the editor?
        What is the deadline for the first paper? | What is the deadline for the final paper?
        How much does shipping to Norway cost? | How much does shipping from Norway cost?
        Please mute the microphone | Please unmute the microphone
        What should I wear to a wedding? | What should I wear to a funeral?
        Tell me the price with tax | Tell me the price without tax
        Tell me the price with tax | Tell me the price before tax
        Does the plan include dental care? | Does the plan exclude dental care?
        Why did the company hire him? | Why did the company sue him?
        Is the file larger than 10 MB? | Is the file larger than 10 GB?
        When is the pool open to children? | When is the pool open to adults?
        What did Caesar write about Brutus? | What did Brutus write about Caesar?
        How does the heart pump blood? | How does the lung pump air?
        Which of my bills are paid? | Which of my bills are unpaid?
        What is the melting point of tin? | What is the boiling point of tin?
        Who teaches the class on Tuesday? | Who teaches the class on Thursday?
        How do I block a caller? | How do I call a blocker?
        What happens when I press the key twice? | What happens when I press the key once?
        Are tomatoes fruits? | Are fruits tomatoes?
        Can you sum up chapter four for me, please? | Can you sum up chapter five for me, please?
        What is the latest version that you support? | What is the oldest version that you support?
        How do I switch from dark to light mode? | How do I switch from light to dark mode?
        Should the door be left open? | Should the door be left shut?
        What are risks of a low dose? | What are risks of a high dose?
        Do I owe the bank money? | Does the bank owe me money?
        What did she say to him? | What did he say to her?
        Which team scored first? | Which team scored last?
        How do I mark the mail as read? | How do I mark the mail as unread?
        Where does the road begin? | Where does the road end?
        Who is allowed to vote? | Who is obliged to vote?
        How should I store wine? | How should I serve wine?
        What makes a good leader? | What makes a bad leader?
        Is it true that sharks sleep? | Is it false that sharks sleep?
        Why is my screen too bright? | Why is my screen too dark?
        Explain the terms that the buyer accepts | Explain the terms that the seller accepts
        How do I get out of the contract? | How do I get into the contract?
        What is the shortest way up the mountain? | What is the shortest way down the mountain?
        Wie lösche ich mein Konto? | Wie lösche ich mein Bild?
        ¿Dónde puedo comprar billetes? | ¿Dónde puedo vender billetes?
        Pourquoi la mer est-elle salée ? | Pourquoi la mer n'est-elle pas salée ?
        What does SELECT * FROM t WHERE a > 1 give? | What does SELECT * FROM t WHERE a < 1 give?
        Is 1/3 bigger than 1/4, and why? | Is 1/4 bigger than 1/3, and why?
    """),
    "paraphrased": _split("""
        How do I cancel my order? | how do i cancel my order
        How do I cancel my order? | Could you tell me how to cancel my order, please?
        How do I cancel my order? | hello there, how can I cancel my order?
        Where is the nearest pharmacy? | WHERE IS THE NEAREST PHARMACY?
        Where is the nearest pharmacy? | Where's the nearest pharmacy?
        Where is the nearest pharmacy? | do you know where the nearest pharmacy is
        Who discovered penicillin? | Can you tell me who discovered penicillin?
        Who discovered penicillin? | I'd like to know who discovered penicillin.
        What are the ingredients of pesto? | What're the ingredients of pesto?
        What are the ingredients of pesto? | Good morning, what are the ingredients of pesto?
        Which documents do I need for a visa? | please, which documents do I need for a visa?
        Which documents do I need for a visa? | Which documents do I need for a visa? Thank you!
        When does the last bus leave? | Tell me when the last bus leaves
        When does the last bus leave? | when does the last bus leave?!
        Why does my bread not rise? | Why doesn't my bread rise?
        Summarize the plot of Hamlet with care | Would you summarize the plot of Hamlet with care?
        What is your return policy? | May I ask what your return policy is?
        What is your return policy? | Whats your return policy
        How many calories are in an apple? | How many calories are there in an apple?
        With pandas, how do I join two tables? | How do I join two tables with pandas?
        What is the train from Bern to Basel? | What is the train to Basel from Bern?
        Write a haiku about the snow with me | could you please write a haiku about the snow with me
        It's cold, what should I wear? | It is cold, what should I wear
        What is the plural of ox? | So what is the plural of ox?
        How do you make tea? | How does one make tea?
    """),
}
"""Kind to pairs that were written when the rules stood; no rule was made for them."""

"""The tables behind `reading` and `gate`: what English words do to a question.

Only closed classes and everyday opposites stand here. A word that is in no table is a content word,
and two questions with other content words are never taken for the same.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AFTER_A_NUMERAL",
    "ASKS",
    "ASKS_AFTER_A_MARK",
    "BARE",
    "BEFORE_BARE",
    "CASED",
    "CLOSED",
    "CONTRACTIONS",
    "ENGLISH",
    "FRAMES",
    "GREETINGS",
    "LABELLED",
    "LISTED",
    "MARKED",
    "MENTIONS",
    "MONTHS_AND_DAYS",
    "OPPOSITES",
    "PREFIXES",
    "REQUESTS",
    "SHOUTED",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    "the what how who where why when which does could would should please and with my your you "
    "tell from that this than there have has been because about between before after without "
    "into their they she these those every"
)
"""Words that only English has: where none stands, nothing is known of the language."""


def _contractions() -> Mapping[str, str]:
    pronouns = ("i", "you", "we", "they", "it", "he", "she", "what", "who", "that", "there")
    endings = {"'re": "are", "'ll": "will", "'ve": "have", "'d": "would"}
    long = {
        f"{word}{ending}": f"{word} {full}" for word in pronouns for ending, full in endings.items()
    }
    long |= {
        f"{word}'s": f"{word} is" for word in (*pronouns, "where", "how", "when", "why", "here")
    }
    long |= {f"{word}s": f"{word} is" for word in ("what", "where", "how", "that", "there")}
    verbs = _words("is are was were do does did has have had should would could must need")
    long |= {f"{verb}n{mark}t": f"{verb} not" for verb in verbs for mark in ("'", "")}
    odd = {"i'm": "i am", "ain't": "is not", "shan't": "shall not", "cannot": "can not"}
    odd |= {"can't": "can not", "won't": "will not"}
    for word in ("cant", "wont", "what'd", "who'd"):  # other words, or short for two things
        long.pop(word, None)
    return MappingProxyType(long | odd)


CONTRACTIONS: Mapping[str, str] = _contractions()
"""Short forms to what they stand for."""

FRAMES: tuple[tuple[str, ...], ...] = tuple(
    tuple(frame.split())
    for frame in (
        "i would like you to tell me",
        "i would like to know",
        "i would love to know",
        "i want to know",
        "i need to know",
        "i am wondering",
        "i was wondering",
        "i wonder",
        "do you know",
        "do you happen to know",
        "does anyone know",
        "can anyone tell me",
        "could anyone tell me",
        "can someone tell me",
        "could someone tell me",
        "would you mind telling me",
        "let me know",
        "tell me",
    )
)
"""How a question may begin without asking anything."""

GREETINGS: tuple[tuple[str, ...], ...] = tuple(
    tuple(greeting.split())
    for greeting in (
        "quick question",
        "hi there",
        "hello there",
        "hey there",
        "hi",
        "hello",
        "hey",
        "good morning",
        "good evening",
        "excuse me",
        "ok",
        "okay",
    )
)
"""What may stand before a question, with a mark or without."""

REQUESTS = _words(
    "tell explain translate write summarize summarise list give show describe define help find "
    "calculate compute convert name compare suggest recommend provide generate create solve "
    "rewrite check please kindly"
)
"""What follows "could you" where it is a request and no question."""

ASKS = REQUESTS | _words("what who where why when which how i can could would do does")
"""What a question begins with that follows a greeting at once."""

ASKS_AFTER_A_MARK = ASKS | _words(
    "is are was were did has have had will should must may might shall am whose whom whats in for "
    "on at with using during the my there it if"
)
"""And after a greeting with a mark."""

CLOSED = _words(
    # negation, quantity, degree
    "no not never none nobody nothing nowhere neither nor without except unless hardly barely "
    "rarely always sometimes often usually seldom frequently occasionally all any some every each "
    "both either most more less least fewer few little much many enough only almost at too very "
    "even still yet already also just than as half double twice once "
    # who, when, how, and what is certain
    "what which who whom whose when where why how if whether because since until while although "
    "can could will would shall should may might must ought need is are was were am be been being "
    "do does did done has have had having i me my mine you your yours he him his she her hers it "
    "its we us our ours they them their theirs this that these those here there now then "
    # where and whither
    "in on at by to from into onto out off up down over under above below before after during "
    "between among through across along against toward towards around about near behind beside "
    "besides beyond inside outside within upon of for with via per like unlike versus vs and or "
    "but so a an the first last next previous"
)
"""Function words: where two questions differ in one of these, they ask something else."""

MONTHS_AND_DAYS = _words(
    "january february march april may june july august september october november december monday "
    "tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight morning "
    "noon afternoon evening night midnight spring summer autumn fall winter"
)
"""Times that have names."""

LISTED: tuple[frozenset[str], ...] = (
    MONTHS_AND_DAYS,
    _words(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy "
        "eighty ninety hundred thousand million billion trillion dozen third fourth fifth second "
        "pair single triple quarter"
    ),
    _words(
        "second seconds minute minutes hour hours day days week weeks month months year years "
        "decade century mm cm m km mile miles meter meters metre metres foot feet inch inches "
        "yard yards mg g kg gram grams kilogram kilograms pound pounds ounce ounces ton tons "
        "tonne tonnes ml l liter liters litre litres gallon gallons pint cup cups celsius "
        "fahrenheit kelvin degrees mph kmh kb mb gb tb bit bits byte bytes watt watts volt volts "
        "amp amps joule joules percent dollar dollars euro euros pound yen rupee rupees franc "
        "francs usd eur gbp jpy inr chf cents"
    ),
    _words("please thanks thank sorry hello hi goodbye bye welcome"),
    _words(
        "english german french spanish italian portuguese dutch swedish danish norwegian finnish "
        "polish russian ukrainian turkish greek arabic hebrew hindi bengali chinese mandarin "
        "cantonese japanese korean vietnamese thai latin"
    ),
    _words(
        "hydrogen helium carbon nitrogen oxygen sodium magnesium aluminium aluminum silicon "
        "sulfur sulphur chlorine potassium calcium iron nickel copper zinc silver tin tungsten "
        "platinum gold mercury lead uranium"
    ),
    _words(
        "red orange yellow green blue purple violet pink brown black white gray grey silver gold "
        "north south east west northern southern eastern western left right man woman men women "
        "boy girl male female father mother son daughter brother sister husband wife uncle aunt "
        "king queen he she"
    ),
)
"""Words that stand beside others of their kind: one in place of another asks something else."""

LABELLED = _words(
    "hepatitis vitamin group gate plan class type grade level section part option series team "
    "exhibit category appendix schedule size tier room building block zone terminal platform hall "
    "wing unit item line column row point side case variant version influenza flu strain blood "
    "note key string variable register letter article act form chapter phase step set matrix "
    "vertex angle answer choice question paper division league pool heat lane pot drug patient "
    "candidate company person product test network port pin drive tab sheet cell node formula "
    "protein haemophilia hemophilia factor annex clause tower bus model sample site subject "
    "game box flat apartment ticket exam round match house seat lot station court stage studio"
)
"""Nouns that a single letter may follow as a label: after these "a" is no article."""

MARKED = _words("mark sign character symbol punctuation code key string for of")
"""After these the marks at the end may be what is asked about."""

MENTIONS = _words(
    "mean means meaning meant stand stands spell spelled spelt spelling say said saying pronounce "
    "pronounced pronunciation translate translates translated translation word words letter "
    "letters symbol symbols abbreviation abbreviated abbreviate acronym synonym synonyms antonym "
    "antonyms opposite rhyme rhymes plural singular tense define definition etymology uppercase "
    "lowercase capitalize capitalise phrase expression syllable syllables vowel vowels consonant "
    "verb noun adjective adverb preposition pronoun prefix suffix homophone slang idiom initials "
    "punctuation character characters called titled entitled quote quoted ' \u2018 \u2019"
)
"""Where one of these stands, words may be spoken of, so that each letter of theirs counts."""

AFTER_A_NUMERAL = _words("in of on at and or from to with by as for is are than mean means")
"""What follows an "I" that is a numeral or a symbol; other words follow the one who asks."""

BEFORE_BARE = _words("in at by to from on take takes took taken")
"""What those of `BARE` stand behind."""

BARE = _words(
    "charge case place sea land air bed prison jail hospital school college church court class "
    "future hand heart power"
)
"""In charge and in the charge of, by sea and by the sea, take place and take the place of."""

CASED = _words(
    # months, countries and towns, planets
    "may march august polish pole poles turkey china mobile nice reading bath cork chad jordan "
    "mercury mars earth hull deal wells rugby sandwich buffalo phoenix boulder cologne champagne "
    "jersey panama limerick slough guinea swede japan hamlet java cancer "
    # people
    "will mark bill rose job grant frank rob pat sue sandy dawn faith hope grace joy iris lily "
    "violet daisy olive pearl ruby amber jade crystal drew guy bob nick jack gene ray rich josh "
    "miles art max don herb robin penny ginger hunter bush ford fox frost king prince queen brown "
    "green black white young stone wood woods snow lord god christian doctor hill sage "
    "bass gauss newton tesla pascal henry gates jobs banks page musk wolf crane rice potter baker "
    "cook butler mason carpenter miller smith taylor bishop pope rusty travis beck creed "
    # companies, programs, languages
    "apple amazon windows word excel rust swift oracle orange shell gap target meta slack teams "
    "zoom office access outlook edge chrome safari visa square stripe signal discord twitch notion "
    "spark flask express docker puppet chef salt julia scratch go basic ada pages numbers keynote "
    "photos mail messages steam unity blender galaxy surface drive android brave opera vault nomad "
    "consul maven hive storm airflow beam alphabet chase subway oasis jaguar cheers titan saturn "
    # works and bands
    "frozen alien aliens friends lost heroes cats cars police kiss cream rush doors titanic dune "
    "scrubs soul coco speed cure clash smiths blur pulp garbage hole seal train live pink "
    "genesis exodus acts romans judges revelation "
    # teams
    "eagles giants jets bears lions bills saints colts rams ravens falcons titans jaguars dolphins "
    "panthers cardinals bengals texans chargers raiders braves cubs angels royals twins tigers "
    "pirates rangers kings nets spurs rockets stars hawks bulls bucks suns magic heat thunder wild "
    "flames sharks ducks penguins devils islanders "
    # types, units
    "string integer double boolean float object long char byte calorie calories "
    # institutions
    "democrat democrats republican republicans liberal labour conservative catholic house state "
    "church crown act senate congress bible internet "
    # seasons
    "pride lent passover"
)
"""Words that mean something else with a capital."""

SHOUTED = _words("us it who aids")
"""Words that may be short for something in a text that is all capitals."""

PREFIXES = _words(
    "un in im ir il dis non non- anti anti- de mis re pre post over under sub super hyper hypo "
    "inter intra a"
)
"""What makes another word of a word when it is put before it."""

_PAIRS = _words(
    """
    increase/decrease increase/reduce raise/lower raise/cut gain/lose gain/loss profit/loss
    buy/sell bought/sold borrow/lend import/export enable/disable enabled/disabled allow/forbid
    allow/block allow/deny allowed/forbidden accept/reject accept/refuse approve/deny
    approve/reject grant/revoke add/remove add/delete add/subtract insert/delete create/delete
    create/destroy install/uninstall mount/unmount lock/unlock open/close opened/closed open/shut
    start/stop begin/end start/end start/finish first/last oldest/newest oldest/youngest old/new
    old/young early/late earlier/later earliest/latest max/min maximum/minimum maximize/minimize
    maximise/minimise highest/lowest high/low higher/lower largest/smallest large/small
    larger/smaller big/small bigger/smaller biggest/smallest greater/less greater/smaller more/less
    more/fewer most/least most/fewest longest/shortest long/short longer/shorter tallest/shortest
    tall/short taller/shorter fastest/slowest fast/slow faster/slower quick/slow best/worst
    better/worse good/bad good/evil pro/con pros/cons advantage/disadvantage
    advantages/disadvantages benefit/risk benefits/risks benefits/drawbacks strength/weakness
    strengths/weaknesses ascending/descending push/pull upload/download encode/decode
    encrypt/decrypt compress/decompress serialize/deserialize send/receive sent/received give/take
    enter/exit enter/leave arrive/depart arrival/departure login/logout sender/receiver hot/cold
    hotter/colder hottest/coldest warm/cool wet/dry heavy/light heavier/lighter heaviest/lightest
    strong/weak stronger/weaker strongest/weakest hard/soft hard/easy harder/easier easiest/hardest
    rich/poor richest/poorest cheap/expensive cheaper/dearer cheapest/dearest full/empty true/false
    yes/no right/wrong correct/incorrect legal/illegal safe/dangerous safe/unsafe healthy/unhealthy
    possible/impossible positive/negative even/odd public/private internal/external input/output
    read/write client/server source/target source/destination parent/child teacher/student
    employer/employee doctor/patient buyer/seller landlord/tenant plaintiff/defendant host/guest
    winner/loser win/lose won/lost attack/defend friend/enemy ally/enemy love/hate like/dislike
    agree/disagree support/oppose include/exclude including/excluding present/absent alive/dead
    birth/death born/died life/death marry/divorce cause/prevent cause/cure treat/cause help/harm
    helps/harms freeze/melt heat/cool inhale/exhale expand/contract expand/shrink grow/shrink
    rise/fall sunrise/sunset breakfast/dinner forward/backward forwards/backwards front/back
    top/bottom near/far nearest/farthest closest/farthest always/never everyone/nobody
    everything/nothing everybody/nobody often/rarely hire/fire hired/fired promote/demote
    upgrade/downgrade subscribe/unsubscribe follow/unfollow follow/precede freeze/thaw wake/sleep
    remember/forget save/spend save/delete deposit/withdraw debit/credit asset/liability
    assets/liabilities supply/demand inflation/deflation recession/expansion major/minor
    majority/minority optional/required mandatory/optional required/forbidden open/closed born/dead
    rise/set excess/deficiency elder/younger cheaper/pricier synchronous/asynchronous
    static/dynamic mutable/immutable local/global local/remote manual/automatic single/married
    single/multiple acid/base acidic/basic liquid/solid liquid/gas predator/prey buy/rent own/rent
    encourage/discourage visible/hidden show/hide connect/disconnect attach/detach import/remove
    commit/revert merge/split horizontal/vertical
    """
)


def _opposites() -> Mapping[str, frozenset[str]]:
    word_to_others: dict[str, set[str]] = {}
    for one, other in (pair.split("/") for pair in _PAIRS):
        word_to_others.setdefault(one, set()).add(other)
        word_to_others.setdefault(other, set()).add(one)
    return MappingProxyType({word: frozenset(others) for word, others in word_to_others.items()})


OPPOSITES: Mapping[str, frozenset[str]] = _opposites()
"""Word to those that say the opposite, or turn a question round. Pairs of closed classes are not
here: two questions that differ in one of those are told apart anyway."""

"""What of a long message stays, and what of it may go."""

from pickllm.prompting import Compressed, Extractive
from pickllm.prompting.compression import question_in
from pickllm.prompting.passages import pieces, prose_regions
from pickllm.types import Arm, Request, Said

FILLER = "The hall is wide. Its walls are white. People walk to and fro. The floor is of stone. "
FACT = "The treasure lies under the oak tree. "
LLAMA_INDEX = (
    "Context information is below.\n---------------------\n{context}\n---------------------\n"
    "Given the context information and not prior knowledge, answer the query.\n"
    "Query: Where is the treasure?\nAnswer: "
)
"""The wording of LlamaIndex's question-answering prompt."""


def adapted(text: str, rate: float = 0.2) -> str:
    """What an arm reads of a message."""
    turns = (Said(role="user", text=text, at=0),)
    compressed = Compressed(compressor=Extractive(rate=rate), least_tokens=20)
    return compressed.adapted(Request(text=text, turns=turns), Arm())[0].text


def test_what_answers_the_question_stays() -> None:
    """Wherever it stands in a long context; the frame around it stays word by word."""
    for place in (0, 5, 9):
        parts = [FILLER] * 10
        parts.insert(place, FACT)
        text = LLAMA_INDEX.format(context="".join(parts))

        short = adapted(text)

        head, foot = LLAMA_INDEX.split("{context}")
        assert FACT.strip() in short
        assert short.startswith(head)
        assert short.endswith(foot)
        assert len(short) < 0.6 * len(text)


def test_a_lone_line_is_cut_too() -> None:
    """Between its first sentence and its last."""
    short = adapted(f"Read this. {FILLER * 5}{FACT}{FILLER * 5}Where is the treasure?")

    assert short.startswith("Read this. ")
    assert FACT in short
    assert short.endswith("Where is the treasure?")
    assert len(short) < 400


def test_short_messages_and_unchanged_ones_stay_themselves() -> None:
    """Nothing is made anew where nothing goes."""
    turns = (Said(role="user", text=FILLER * 2 + "Why?", at=0),)
    request = Request(text="", turns=turns)

    assert turns is Compressed(least_tokens=500).adapted(request, Arm())


def test_an_emptied_line_goes_whole() -> None:
    """Of a paragraph that says nothing, no blank lines are left."""
    text = f"{FACT}\n{FILLER}\n{FILLER}\nThe treasure was hidden by Ann."

    short = Extractive(rate=0.35).compressed(text, "Where is the treasure, and who hid it? Ann?")

    assert f"{FACT}\nThe treasure was hidden by Ann." == short


def test_repeats_go_first_and_words_turned_round_are_none() -> None:
    """What was said already is said; the same words in another order say something else."""
    text = "Ann met Bob. Ann met Bob. Bob met Ann."

    assert "Ann met Bob. Bob met Ann." == Extractive(rate=0.7).compressed(text, "Who met Ann?")


def test_code_stays_on_its_lines() -> None:
    """Though the sentence before it has gone."""
    text = f"Look here. {FILLER}\n```\nx = 1\n```\n{FILLER}"

    assert "\n```\nx = 1\n```\n" in Extractive(rate=0.2).compressed(text, "")


def test_what_looks_like_code_is_no_prose() -> None:
    """Without any fence, too; nor are tables, markup, rules and formulas."""
    for line in (
        "def area(radius):",
        "    return 3 * radius",
        "x = compute(y)",
        "if (a > b) {",
        "}",
        "SELECT name FROM arms WHERE price > 3;",
        "| a | b |",
        "name\tage\tcity",
        "<div>Hello there</div>",
        "----------",
        "\\frac{a}{b} + c",
        '"key": [1, 2],',
    ):
        assert [] == prose_regions(line), line


def test_prose_is_prose() -> None:
    """Though it has brackets, dashes and names in it."""
    for line in (
        "Ann (the elder) mends the roof, and Bob paints the door.",
        "It was late - too late, they said.",
        "See the notes [of Ann] for more; they are long.",
        "日本語の文です。次の文です。",
    ):
        assert [(0, len(line))] == prose_regions(line), line


def test_sentences_do_not_end_at_abbreviations() -> None:
    """Nor at initials."""
    text = "Dr. A. Smith met Mr. Jones. They talked, e.g. about Ann. She was away."

    assert [
        "Dr. A. Smith met Mr. Jones. ",
        "They talked, e.g. about Ann. ",
        "She was away.",
    ] == [piece.text for piece in pieces(text)]


def test_texts_of_nothing_but_brackets_are_read_in_time() -> None:
    """They are no JSON, and are left as they are."""
    for text in ("[" * 50_000, '{"a":' * 20_000, "[1, " * 30_000):
        assert text == Extractive(rate=0.5).compressed(text, "")


def test_the_question_of_a_prompt_is_found() -> None:
    """Lines that ask; else the last ones."""
    assert "Query: Where is the treasure?" == question_in(LLAMA_INDEX)
    assert "Sum up." == question_in("Sum up.")

"""Laws that adaptations obey on any conversation."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pickllm.prompting import (
    Compressed,
    Example,
    Extractive,
    Selected,
    Trimmed,
    about_tokens,
    breach,
    tokens_of,
)
from pickllm.prompting.conversation import exchanges, question_place
from pickllm.prompting.passages import has_negation, pieces
from pickllm.types import Arm, Request
from tests.prompting.conversations import requests

ARM = Arm(name="small")
SUMS = [Example(question=f"{n} + {n} =", answer=str(2 * n)) for n in range(6)]
HARD = Compressed(compressor=Extractive(rate=0.05), roles=("user", "assistant"), least_tokens=1)
NUMBER = re.compile(r"\d+")


@given(request=requests(), budget=st.integers(1, 200), step=st.integers(1, 3))
def test_trimming_breaks_nothing_and_keeps_to_its_budget(
    request: Request, budget: int, step: int
) -> None:
    """What is left fits, or nothing is left that could go."""
    after = Trimmed(budget_tokens=budget, step_exchanges=step).adapted(request, ARM)

    assert "" == breach(request.turns, after)
    assert tokens_of(after) <= budget or len(exchanges(after)) <= 1


@given(request=requests(), most=st.integers(1, 4), first=st.integers(0, 2))
def test_trimming_keeps_whole_exchanges(request: Request, most: int, first: int) -> None:
    """An exchange stays whole or goes whole, and the last one stays."""
    after = Trimmed(most_exchanges=most, keep_first=first).adapted(request, ARM)

    kept = {said.at for said in after}
    found = [{request.turns[place].at for place in each} for each in exchanges(request.turns)]
    assert all(each <= kept or not each & kept for each in found)
    assert not found or found[-1] <= kept
    assert sum(each <= kept for each in found) <= max(most, first + 1)


@given(request=requests())
def test_compression_breaks_nothing(request: Request) -> None:
    """System messages, tools' results and what is more than text stay; each text only shrinks."""
    after = HARD.adapted(request, ARM)

    assert "" == breach(request.turns, after)
    assert [said.at for said in after] == [said.at for said in request.turns]
    for before, said in zip(request.turns, after, strict=True):
        assert about_tokens(said.text) <= about_tokens(before.text)
        if before.role in ("system", "tool") or not before.plain:
            assert before == said


@given(request=requests())
def test_compression_keeps_code_data_numbers_and_negations(request: Request) -> None:
    """They stand there still, in their order, letter by letter."""
    after = HARD.adapted(request, ARM)

    for before, said in zip(request.turns, after, strict=True):
        assert NUMBER.findall(before.text) == NUMBER.findall(said.text)
        for block in ("```py\nx = 1. y\n```\n", '{"a": [1, 2]}', "| a | b |\n", "    code();\n"):
            assert before.text.count(block) == said.text.count(block)
        for piece in pieces(before.text):
            assert not has_negation(piece.text) or piece.text.strip() in said.text


@given(text=st.text(max_size=300))
def test_pieces_make_the_text_again(text: str) -> None:
    """Cutting a text up loses nothing of it."""
    assert text == "".join(piece.text for piece in pieces(text))


@given(rows=st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9))))
def test_json_is_never_cut(rows: list[dict[str, int | str]]) -> None:
    """JSON of any content comes through between sentences that go."""
    data = json.dumps(rows)
    text = f"The roof leaks. Ann mends it.\n{data}\nBob paints the door. Eve waits."

    assert data in Extractive(rate=0.01).compressed(text, "")


@given(request=requests(), budget=st.integers(1, 60), most=st.integers(1, 5))
def test_selection_breaks_nothing_and_keeps_to_its_budget(
    request: Request, budget: int, most: int
) -> None:
    """What is put in stands right before the question, is of the examples, and fits."""
    selected = Selected(examples=SUMS, marked="Example:", budget_tokens=budget, most=most)
    after = selected.adapted(request, ARM)

    assert "" == breach(request.turns, after)
    added = [said for said in after if said.at is None]
    assert tokens_of(added) <= budget
    assert len(added) <= 2 * most
    assert {said.text for said in added} <= {said.text for each in SUMS for said in each.turns}
    if added:
        place = question_place(after)
        assert added == list(after[place - len(added) : place] if place else [])


@settings(deadline=None)
@given(rate=st.floats(0.05, 0.95), sentences=st.integers(1, 60))
def test_compression_reaches_its_rate(rate: float, sentences: int) -> None:
    """Where nothing must stay, no more than ``rate`` of the tokens stays, or a single sentence."""
    words = ("roof", "door", "garden", "spring", "painter", "house", "window")
    text = " ".join(
        f"The {words[n % 7]} of the {words[n // 7 % 7]} is {words[n // 3 % 7]}."
        for n in range(sentences)
    )
    after = Extractive(rate=rate, count_tokens=len).compressed(text, "Which roof?")

    assert len(after) <= max(rate * len(text), 45)

"""A strong model writes the instructions of a weak one."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pickllm.errors import ConfigError, StateConflict
from pickllm.prompting import Example, Rewriting, Rewritten, load_rewriting, rewrite, save_rewriting
from pickllm.rng import Rng
from pickllm.types import Arm, Request, Said

SUMS = [Example(question=f"{n} + {n} =", answer=str(2 * n)) for n in range(60)]
ORIGINAL = "Add the numbers."


def weak(turns: Sequence[Said]) -> str:
    """Right where it is told to use digits, and half right where it is told to be exact."""
    number = int(turns[-1].text.split()[0])
    if "digits" in turns[0].text or ("exact" in turns[0].text and number % 2):
        return str(2 * number)
    return "many"


class Strong:
    """Proposes one text after another, and remembers what it was asked."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.heard: list[str] = []

    def __call__(self, prompt: str) -> str:
        """The next text, between the tags that are wanted."""
        self.heard.append(prompt)
        tag = re.findall(r"<(prompt-\w+)>", prompt)[-1]
        return f"Gladly.\n<{tag}>\n{self.texts[len(self.heard) - 1]}\n</{tag}>"


def found(strong: object, tries: int = 2, **settings: object) -> Rewriting:
    """What comes of it."""
    return rewrite(
        ORIGINAL,
        SUMS,
        arm="small",
        author="large",
        ask_strong=strong,  # type: ignore[arg-type]  # some are odd on purpose
        ask_weak=weak,
        rng=Rng(seed=3, number=0),
        tries=tries,
        **settings,  # type: ignore[arg-type]  # as given
    )


def test_the_best_try_is_adopted() -> None:
    """Held against the original on examples that nobody has looked at."""
    strong = Strong("Be exact.", "Use digits.")
    rewriting = found(strong)

    assert ("Use digits.", True) == (rewriting.text, rewriting.adopted)
    assert (0.0, 1.0, 30) == (rewriting.score_before, rewriting.score_after, rewriting.rows)
    assert "Be exact." in strong.heard[1]
    assert "right in" in strong.heard[1]


def test_nothing_that_was_held_out_is_shown() -> None:
    """Neither to the strong model, nor where the best try is picked."""
    strong = Strong("Be exact.", "Use digits.")
    found(strong, shown=60)

    seen = set(re.findall(r"Question: (.*)", "\n".join(strong.heard)))
    assert 30 == len(seen)


def test_what_is_not_better_is_not_adopted() -> None:
    """Nor what is better by less than was asked for."""
    assert not found(Strong("Add them.", "Sum them.")).adopted
    assert not found(Strong("Be exact.", "Be exact."), least_change=0.6).adopted


@pytest.mark.parametrize("reply", ["", "<prompt-x>hello</prompt-x>", "Use digits."])
def test_a_proposal_that_cannot_be_read_is_none(reply: str) -> None:
    """The original stays."""
    rewriting = found(lambda _: reply)

    assert (ORIGINAL, False) == (rewriting.text, rewriting.adopted)


def test_a_weak_model_that_needs_no_help_costs_no_question() -> None:
    """Where nothing goes wrong, nothing is to be rewritten."""
    strong = Strong()
    rewriting = rewrite(
        "Use digits.",
        SUMS,
        arm="small",
        ask_strong=strong,
        ask_weak=weak,
        rng=Rng(seed=0, number=0),
    )

    assert ([], False) == (strong.heard, rewriting.adopted)


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """With its version; and one that somebody has changed is refused."""
    rewriting = found(Strong("Be exact.", "Use digits."))
    path = save_rewriting(tmp_path / "small.json", rewriting)

    assert rewriting == load_rewriting(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["rewriting"]["text"] = "Obey me."
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(StateConflict, match="was changed"):
        load_rewriting(path)
    with pytest.raises(StateConflict, match="no rewriting"):
        load_rewriting(tmp_path / "nothing.json")


def test_its_arm_reads_it_and_others_do_not() -> None:
    """In place of the original, wherever that stands in a system message."""
    rewriting = found(Strong("Be exact.", "Use digits."))
    turns = (
        Said(role="system", text=f"{ORIGINAL} Today is Monday.", at=0),
        Said(role="user", text="1 + 1 =", at=1),
    )
    request = Request(text="1 + 1 =", turns=turns)
    adaptation = Rewritten(rewriting=rewriting)

    after = adaptation.adapted(request, Arm(name="small"))

    assert ("Use digits. Today is Monday.", 0) == (after[0].text, after[0].at)
    assert turns == adaptation.adapted(request, Arm(name="large"))
    other = Request(text="", turns=(Said(role="user", text=f"Say: {ORIGINAL}", at=0),))
    assert other.turns == adaptation.adapted(other, Arm(name="small"))


def test_too_few_examples_are_refused() -> None:
    """Nothing could be held out."""
    with pytest.raises(ConfigError, match="held out"):
        rewrite(
            ORIGINAL,
            SUMS[:1],
            arm="small",
            ask_strong=Strong(),
            ask_weak=weak,
            rng=Rng(seed=0, number=0),
        )

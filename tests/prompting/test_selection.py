"""Which examples a prompt keeps, and what they have been worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.errors import ConfigError
from pickllm.prompting import Example, Selected, Usefulness, try_out
from pickllm.prompting.selection import best_value
from pickllm.rng import Rng
from pickllm.scoring import FunctionScorer
from pickllm.types import Arm, Reply, Request, Said

SHOP = [
    Example(question="When do you open in the morning?", answer="At nine."),
    Example(question="Do you take cards?", answer="Yes, all of them."),
    Example(question="Do you take credit cards?", answer="Yes."),
    Example(question="Where are you?", answer="In Station Road."),
]


def asked(text: str, *before: Said) -> Request:
    """A request whose last message says this."""
    turns = (*before, Said(role="user", text=text, at=len(before)))
    return Request(text=text, turns=turns)


def shown(selected: Selected, request: Request) -> list[str]:
    """Questions of the examples that the arm reads."""
    return [
        said.text
        for said in selected.adapted(request, Arm())
        if said.at is None and said.role == "user"
    ]


def test_examples_stand_right_before_the_question() -> None:
    """Behind the system message and what was said before, which stay as they are."""
    rules = Said(role="system", text="Be brief.", at=0)
    request = asked("Which cards do you take?", rules)

    after = Selected(examples=SHOP, most=1).adapted(request, Arm())

    assert [0, None, None, 1] == [said.at for said in after]


def test_the_nearest_stands_last() -> None:
    """Next to the question that it resembles."""
    selected = Selected(examples=SHOP, most=2, redundancy=0.0, least_gain=0.0)

    assert "Do you take credit cards?" == shown(selected, asked("You take credit cards?"))[-1]


def test_what_says_the_same_is_shown_once() -> None:
    """With full redundancy, a copy of a chosen example brings nothing."""
    copies = [SHOP[1], SHOP[1], SHOP[1]]
    selected = Selected(examples=copies, redundancy=1.0)

    assert 1 == len(shown(selected, asked("Do you take my cards?")))


def test_a_question_that_nothing_resembles_is_left_alone() -> None:
    """No token is spent on examples that bring nothing."""
    request = asked("zzz qqq")

    assert request.turns is Selected(examples=SHOP).adapted(request, Arm())


def test_marked_examples_in_the_prompt_are_thinned_out() -> None:
    """Those that pay stay where they stand; the others go; what is not marked is none."""
    pairs = [
        (Said(role="user", text=f"Example: {each.question}"), Said(role="assistant", text="Yes."))
        for each in SHOP
    ]
    spoken = [
        *(said for pair in pairs for said in pair),
        *(Said(role="user", text="Hello"), Said(role="assistant", text="Hello.")),
    ]
    turns = [Said(role=said.role, text=said.text, at=at) for at, said in enumerate(spoken)]
    request = asked("Where is your shop?", *turns)

    after = Selected(marked="Example:", most=1).adapted(request, Arm())

    assert [6, 7, 8, 9, 10] == [said.at for said in after]


def test_a_function_brings_candidates() -> None:
    """An index of many, asked with the question; of what it brings, what pays is shown."""
    heard: list[str] = []

    def index(question: str) -> list[Example]:
        heard.append(question)
        return SHOP[:2]

    selected = Selected(examples=index, most=1)

    assert ["Do you take cards?"] == shown(selected, asked("May I pay by cards?"))
    assert ["May I pay by cards?"] == heard


def test_usefulness_outweighs_nearness() -> None:
    """An example that has misled is not shown, though it is the nearest."""
    known = Usefulness()
    for _ in range(30):
        known = known.learnt([SHOP[2]], 0.0).learnt([SHOP[1]], 1.0)
    selected = Selected(examples=SHOP, most=1, usefulness=known)

    assert ["Do you take cards?"] == shown(selected, asked("Do you take credit cards?"))


def test_trying_out_finds_the_example_that_helps() -> None:
    """A model that copies the answer it is shown is right only with the right one."""
    helpful = Example(question="2 + 2 =", answer="4")
    others = [Example(question=f"{n} + 2 =", answer=str(n)) for n in range(5)]
    rows = [asked("1 + 3 =")]

    learnt = try_out(
        [helpful, *others],
        rows,
        ask=lambda turns: "4" if any(said.text == "4" for said in turns[1::2]) else "?",
        scorer=FunctionScorer(grade=lambda _, answer: float(answer == "4")),
        rng=Rng(seed=1, number=1),
        shown=2,
        trials=60,
    )

    worths = [learnt.of(each) for each in [helpful, others[0], others[1]]]
    assert worths[0] == max(worths)
    assert worths[0] > 0.8


def test_failures_of_a_model_on_trial_are_raised() -> None:
    """Nobody's answer hangs on it."""

    def broken(_: object) -> Reply:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        try_out(
            SHOP,
            [asked("?")],
            ask=broken,
            scorer=FunctionScorer(grade=lambda *_: 1.0),
            rng=Rng(seed=0, number=0),
            shown=2,
        )


def test_settings_that_cannot_work_are_refused() -> None:
    """When the selection is built."""
    for settings in ({"most": 0}, {"redundancy": 2.0}, {"sharpness": 0.0}, {"budget_tokens": 0}):
        with pytest.raises(ConfigError):
            Selected(examples=SHOP, **settings)
    with pytest.raises(ConfigError, match="give examples"):
        Selected()


def test_other_examples_have_another_name() -> None:
    """For what is kept under it: answers, and evidence."""
    names = {
        Selected(examples=SHOP).name,
        Selected(examples=SHOP[:2]).name,
        Selected(examples=SHOP, usefulness=Usefulness().learnt(SHOP[:1], 1.0)).name,
    }

    assert 3 == len(names)


@given(
    gains=st.lists(st.floats(0.0, 1.0), max_size=9),
    budget=st.integers(1, 40),
    most=st.integers(1, 5),
    lengths=st.lists(st.integers(1, 30), min_size=9, max_size=9),
)
def test_the_choice_fits_and_beats_any_single_one(
    gains: list[float], budget: int, most: int, lengths: list[int]
) -> None:
    """No budget is broken, nothing comes twice, and no single candidate would bring more."""
    chosen = best_value(
        np.array(gains),
        np.eye(len(gains)),
        lengths[: len(gains)],
        budget_tokens=budget,
        most=most,
        redundancy=0.5,
        least_gain=0.0,
    )

    assert sum(lengths[i] for i in chosen) <= budget
    assert len(set(chosen)) == len(chosen) <= most
    fitting = [gain for gain, length in zip(gains, lengths, strict=False) if length <= budget]
    assert sum(gains[i] for i in chosen) >= max(fitting, default=0.0)

"""Cascades by thresholds: whom they ask, when they stop, what they show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError
from pickllm.cascading import ThresholdCascade
from pickllm.rng import Rng
from pickllm.testing import situation
from pickllm.types import Draft
from tests.cascading.worlds import ALIKE, draft

ASKED = situation("small", "medium", "large")
RNG = Rng(seed=1, number=1)
SCORES = st.floats(0.0, 1.0)


def cascade(**settings: object) -> ThresholdCascade:
    """Three arms in their order."""
    given: dict[str, object] = {
        "order": ("small", "medium", "large"),
        "thresholds": (0.8, 0.6),
        "scorer": ALIKE,
        **settings,
    }
    return ThresholdCascade(**given)  # type: ignore[arg-type]  # settings of several types


def test_begins_with_the_first_eligible_arm() -> None:
    """Arms that may not be asked are passed over."""
    assert cascade().move(situation("large", "medium"), (), RNG).ask == "medium"


def test_leaves_the_choice_to_the_policy_where_no_arm_of_the_order_may_be_asked() -> None:
    """An arm outside of the order is shown as it is."""
    elsewhere = situation("other")
    assert cascade().move(elsewhere, (), RNG).ask is None
    assert cascade().move(elsewhere, (draft("other", 0.0),), RNG).show == 0


def test_policy_may_say_where_it_begins() -> None:
    """With the policy's entry, it goes on from the arm that the policy drew."""
    entered = cascade(entry="policy")
    assert entered.move(ASKED, (), RNG).ask is None
    assert entered.move(ASKED, (draft("medium", 0.1),), RNG).ask == "large"


def test_shows_the_first_draft_that_passes() -> None:
    """Each arm has its own threshold."""
    assert cascade().move(ASKED, (draft("small", 0.8),), RNG).show == 0
    assert cascade().move(ASKED, (draft("small", 0.79),), RNG).ask == "medium"
    assert cascade().move(ASKED, (draft("small", 0.7), draft("medium", 0.6)), RNG).show == 1


def test_shows_the_best_draft_and_not_the_last() -> None:
    """Where no arm is left, the best-scored draft is shown."""
    bought = (draft("small", 0.3), draft("medium", 0.5), draft("large", 0.2))
    assert cascade().move(ASKED, bought, RNG).show == 1


def test_never_comes_back_to_a_beginning() -> None:
    """A draft of which only the beginning is there can be shown while it is the newest."""
    bought = (draft("small", 0.7, partial=True), draft("medium", 0.5), draft("large", 0.2))
    assert cascade().move(ASKED, bought, RNG).show == 1
    assert cascade().move(ASKED, (draft("small", 0.9, partial=True),), RNG).show == 0


def test_unscored_draft_does_not_pass_and_the_last_one_is_shown() -> None:
    """Silence is no score: another arm is asked, and the last is trusted."""
    assert cascade().move(ASKED, (draft("small", None),), RNG).ask == "medium"
    bought = (draft("small", 0.7), draft("medium", 0.1), draft("large", None))
    assert cascade().move(ASKED, bought, RNG).show == 2


def test_hopeless_prompts_stop_early() -> None:
    """Below the lower threshold no other arm is paid for."""
    stopping = cascade(stop_below=(0.1, 0.1))
    assert stopping.move(ASKED, (draft("small", 0.05),), RNG).show == 0
    assert stopping.move(ASKED, (draft("small", 0.1),), RNG).ask == "medium"


def test_abstains_where_even_the_best_is_too_bad() -> None:
    """Then neither an arm is asked nor a draft shown."""
    bought = (draft("small", 0.3), draft("medium", 0.35), draft("large", 0.1))
    move = cascade(abstain_below=0.4).move(ASKED, bought, RNG)
    assert (None, None) == (move.ask, move.show)
    assert cascade(abstain_below=0.3).move(ASKED, bought, RNG).show == 1


def test_explores_its_share_and_says_with_what_probability() -> None:
    """A tenth of the passing answers is escalated, and the propensity is exact."""
    moves = [
        cascade(explore=0.1).move(ASKED, (draft("small", 0.9),), Rng(seed=2, number=number))
        for number in range(2_000)
    ]
    explored = [move for move in moves if move.ask is not None]
    assert {"medium"} == {move.ask for move in explored}
    assert {0.1} == {move.propensity for move in explored}
    assert {0.9} == {move.propensity for move in moves if move.show is not None}
    assert len(explored) / len(moves) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": ()},
        {"order": "small"},
        {"order": ("small", "small", "large")},
        {"thresholds": (0.5,)},
        {"thresholds": 0.5},
        {"thresholds": (0.5, 1.5)},
        {"thresholds": (0.5, float("nan"))},
        {"stop_below": (0.1,)},
        {"stop_below": (0.9, 0.1)},
        {"abstain_below": -0.1},
        {"explore": 1.0},
        {"entry": "last"},
        {"hold_back_chars": 0},
        {"scorer": 7},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    """What is wrong is said when the cascade is made."""
    with pytest.raises(ConfigError):
        cascade(**settings)


@given(st.lists(st.none() | SCORES, max_size=3), SCORES, SCORES, st.data())
def test_every_move_can_be_made(
    scores: list[float | None], first: float, second: float, data: st.DataObject
) -> None:
    """It asks an eligible arm without a draft, or shows one that can be shown; never both."""
    arms = ("small", "medium", "large")
    partial = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    bought: list[Draft] = [
        draft(arm, score, partial=half)
        for arm, score, half in zip(arms, scores, partial, strict=False)
    ]
    move = cascade(thresholds=(first, second)).move(ASKED, bought, RNG)
    assert (move.ask is None) != (move.show is None)
    if move.ask is not None:
        assert move.ask not in arms[: len(bought)]
    if move.show is not None:
        assert move.show == len(bought) - 1 or not bought[move.show].partial


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": ("0.8", "0.6")}, "thresholds must be a number"),
        ({"thresholds": (None, 0.6)}, "thresholds must be a number"),
        ({"thresholds": (True, 0.6)}, "thresholds must be a number"),
        ({"thresholds": "ab"}, "thresholds must be numbers"),
        ({"thresholds": None}, "thresholds must be numbers"),
        ({"stop_below": ("0", "0")}, "stop_below must be a number"),
        ({"abstain_below": "0.3"}, "abstain_below must be a number"),
        ({"abstain_below": True}, "abstain_below must be a number"),
        ({"explore": "0.1"}, "explore must be a number"),
        ({"explore": False}, "explore must be a number"),
        ({"hold_back_chars": 1.5}, "hold_back_chars must be a whole number"),
        ({"hold_back_chars": True}, "hold_back_chars must be a whole number"),
        ({"order": (1, 2, 3)}, "order names arms by their names"),
        ({"order": (["a"], ["b"], ["c"])}, "order names arms by their names"),
        ({"order": None}, "order must name arms"),
        ({"scorer": lambda answer: float(bool(answer))}, "two arguments"),
    ],
)
def test_settings_of_another_kind_are_told_in_words(
    settings: dict[str, object], message: str
) -> None:
    """At once, and not by whatever fails with them later."""
    with pytest.raises(ConfigError, match=message):
        cascade(**settings)

"""Lessons: learnt once, corrected in place, let go in order."""

from dataclasses import dataclass
from typing import Any

import pytest

from pickllm import ConfigError, Feedback, LearningAutomaton, WeightedReward
from pickllm.booking.learner import Learner
from pickllm.booking.ledger import Record
from pickllm.testing import decision
from pickllm.types import Attempt, Experience
from tests.unit.doubles import answered


@dataclass(frozen=True, kw_only=True, slots=True)
class Diary:
    """A policy that learns every experience by heart."""

    name: str = "diary()"

    def init(self, arms: object, dim: int) -> tuple[tuple[str, float], ...]:
        return ()

    def decide(self, state: Any, situation: Any, rng: Any) -> Any:
        raise NotImplementedError

    def learn(self, state: tuple[Any, ...], experience: Experience) -> tuple[Any, ...]:
        return (*state, (experience.decision.id, experience.arm, experience.reward))


def quality(*, score: float, **_: float | None) -> float:
    """A reward that is the score alone."""
    return score


def make_learner(**changes: Any) -> Learner:
    """A learner that keeps a diary."""
    settings = {"policy": Diary(), "state": (), "reward": quality, "cost_counts": True}
    return Learner(**{**settings, **changes})


def record(name: str) -> Record:
    """A decision for arm a, answered."""
    made = decision("a", id=name)
    return Record(decision=made, outcome=answered(made))


def heard(name: str, value: float, source: str = "user") -> Feedback:
    """A judgement."""
    return Feedback(decision_id=name, value=value, source=source)


def test_judgements_are_learnt_in_the_order_they_come() -> None:
    """Each source's judgement is a lesson of its own."""
    learner, one, two = make_learner(), record("one"), record("two")
    assert learner.credit(two, heard("two", 0.2))
    assert learner.credit(one, heard("one", 0.1))
    assert learner.credit(two, heard("two", 0.3, "judge"))
    assert (("two", "a", 0.2), ("one", "a", 0.1), ("two", "a", 0.3)) == learner.state


def test_correction_takes_the_place_of_the_first_value() -> None:
    """The lesson keeps its place in the order; what came after it is learnt again."""
    learner, one, two = make_learner(), record("one"), record("two")
    learner.credit(one, heard("one", 0.1))
    learner.credit(two, heard("two", 0.2))
    learner.credit(one, heard("one", 0.9))
    assert (("one", "a", 0.9), ("two", "a", 0.2)) == learner.state


def test_blame_is_a_reward_of_zero_for_the_arm_that_failed() -> None:
    """A failure earns nothing, whatever cost and latency would be worth."""
    learner = make_learner(reward=WeightedReward())
    learner.blame(record("one"), Attempt(arm="b", status="error", latency_s=0.0))
    assert (("one", "b", 0.0),) == learner.state


def test_answer_that_nobody_gave_earns_nothing() -> None:
    """Where no model answered there is nothing to learn."""
    learner = make_learner()
    assert not learner.credit(Record(decision=decision("a", id="one")), heard("one", 1.0))
    assert () == learner.state


def test_cost_is_left_out_where_costs_cannot_be_compared() -> None:
    """With ``cost_counts`` False the reward is not told the cost, but the experience is."""
    seen: list[float | None] = []

    def reward(*, score: float, cost_usd: float | None, **_: float) -> float:
        seen.append(cost_usd)
        return score

    for counts in (True, False):
        make_learner(reward=reward, cost_counts=counts).credit(record("one"), heard("one", 1.0))
    assert [0.001, None] == seen


def test_lessons_of_decisions_let_go_are_sealed() -> None:
    """A sealed lesson stays learnt, and what is corrected later is folded on top of it."""
    learner, one, two = make_learner(), record("one"), record("two")
    learner.credit(one, heard("one", 0.1))
    learner.credit(two, heard("two", 0.2))
    learner.seal({"two"})
    learner.credit(two, heard("two", 0.8))
    assert (("one", "a", 0.1), ("two", "a", 0.8)) == learner.state


def test_lessons_are_sealed_in_their_order_only() -> None:
    """A lesson behind one that may still be corrected waits, for the order must stay."""
    learner, one, two = make_learner(), record("one"), record("two")
    learner.credit(two, heard("two", 0.2))
    learner.credit(one, heard("one", 0.1))
    learner.seal({"two"})
    learner.credit(two, heard("two", 0.8))
    assert (("two", "a", 0.8), ("one", "a", 0.1)) == learner.state


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1, None, "1"])
def test_reward_out_of_range_is_refused(value: Any) -> None:
    """A user's reward that leaves [0, 1] is told, and nothing is learnt from it."""
    learner = make_learner(reward=lambda **_: value, policy=LearningAutomaton(), state="before")
    with pytest.raises(ConfigError, match=r"a reward must be a number in \[0, 1\]"):
        learner.credit(record("one"), heard("one", 1.0))
    assert "before" == learner.state


def test_reward_that_fails_leaves_no_lesson() -> None:
    """After a reward has failed, the same lesson can still be learnt, and once only."""
    rewards = iter([2.0, 0.5])
    learner = make_learner(reward=lambda **_: next(rewards))
    with pytest.raises(ConfigError):
        learner.credit(record("one"), heard("one", 1.0))
    learner.credit(record("one"), heard("one", 1.0))
    assert (("one", "a", 0.5),) == learner.state

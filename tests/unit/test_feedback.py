"""Feedback: heard once for each source, now or later, and corrected where asked."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pickllm import ConfigError, Decision, Outcome, Request, Router, UnknownDecision
from pickllm.types import Attempt, Status
from tests.unit.doubles import FakeClock, answered, priced, settled


def make_router(**settings: Any) -> Router:
    """A router of two arms whose reward is the score."""
    kept = {"policy": "learning_automaton", "weights": {"quality": 1.0}, "seed": 1, **settings}
    return Router(arms=priced("a", "b"), **kept)


def ended(decision: Decision, status: Status, *, called: bool = True) -> Outcome:
    """The chosen arm's end."""
    attempt = Attempt(arm=decision.arm, status=status, latency_s=1.0, called=called)
    return Outcome(decision_id=decision.id, attempts=(attempt,))


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, None, 2.0, -0.1, "1", [1.0], 1j], ids=repr
)
def test_feedback_out_of_range_is_refused(value: Any) -> None:
    """A value that is no number in [0, 1] is an error, and nothing has happened."""
    router = make_router()
    decision = settled(router)
    before, counted = router.state, router.stats()
    with pytest.raises(ConfigError, match=r"a score must be a number in \[0, 1\]"):
        router.feedback(decision.id, value)
    assert before is router.state
    assert counted == router.stats()
    assert "counted" == router.feedback(decision.id, 1.0)


@pytest.mark.parametrize("value", [1, 0, True, False, np.float32(0.25)], ids=repr)
def test_feedback_may_be_any_real_number(value: Any) -> None:
    """Yes and no do, and so do numpy's numbers."""
    router = make_router()
    assert "counted" == router.feedback(settled(router).id, value)


def test_feedback_to_an_unknown_decision_is_told() -> None:
    """A decision that this router does not hold cannot be judged; it is counted."""
    router = make_router()
    with pytest.raises(
        UnknownDecision, match="made by another router, before a reset, or before the last 20000"
    ):
        router.feedback("gone", 1.0)
    assert 1 == router.stats()["unknown_decisions"]


def test_feedback_to_a_decision_let_go_is_told() -> None:
    """Beyond ``max_decisions`` it is too late."""
    router = make_router(max_decisions=1)
    first = settled(router)
    settled(router)
    with pytest.raises(UnknownDecision):
        router.feedback(first.id, 1.0)


def test_feedback_is_learnt_at_once_when_the_answer_is_there() -> None:
    """With b = .05 and a reward of 1, the arm goes from .5 to .525."""
    router = make_router()
    decision = settled(router)
    assert "counted" == router.feedback(decision.id, 1.0)
    assert 0.525 == pytest.approx(router.state.arm_to_probability[decision.arm])


def test_feedback_waits_for_the_answer() -> None:
    """Feedback before the outcome is learnt with it."""
    router = make_router()
    decision = router.decide(Request(text=""))
    fresh = router.state
    assert "waiting" == router.feedback(decision.id, 1.0)
    assert fresh is router.state
    router.settle(answered(decision))
    assert 0.525 == pytest.approx(router.state.arm_to_probability[decision.arm])
    assert "repeated" == router.feedback(decision.id, 1.0)
    assert (1, 1) == (
        router.stats()["feedback_waiting"],
        router.stats()["feedback_counted"],
    )


def test_waiting_feedback_can_be_corrected() -> None:
    """The value that stands when the answer ends is the one that is learnt."""
    router = make_router()
    decision = router.decide(Request(text=""))
    router.feedback(decision.id, 1.0)
    assert "repeated" == router.feedback(decision.id, 0.5)
    assert "waiting" == router.feedback(decision.id, 0.0, correction=True)
    router.settle(answered(decision))
    assert {"a": 0.5, "b": 0.5} == router.state.arm_to_probability
    assert 1 == router.state.steps


def test_each_source_is_heard_once() -> None:
    """A source that repeats itself changes nothing; another source is heard."""
    router = make_router()
    decision = settled(router)
    router.feedback(decision.id, 1.0)
    once = router.state
    assert "repeated" == router.feedback(decision.id, 0.0)
    assert once is router.state
    assert "counted" == router.feedback(decision.id, 0.0, source="judge")
    assert 2 == router.state.steps


def test_correction_of_nothing_is_feedback() -> None:
    """Whoever corrects without having spoken is heard for the first time."""
    router = make_router()
    assert "counted" == router.feedback(settled(router).id, 1.0, correction=True)


@pytest.mark.parametrize(
    ("status", "called", "verdict"),
    [
        ("ok", True, "counted"),
        ("ok", False, "no_answer"),
        ("error", True, "no_answer"),
        ("cancelled", True, "no_answer"),
        ("abandoned", True, "counted"),
    ],
)
@pytest.mark.parametrize("early", [False, True], ids=["late", "early"])
def test_only_answers_can_be_judged(
    status: Status, called: bool, verdict: str, early: bool
) -> None:
    """A model's answer that someone saw is learnt; a failure or a cached answer is not."""
    router = make_router(fallback=False)
    decision = router.decide(Request(text=""))
    if early:
        assert "waiting" == router.feedback(decision.id, 0.5)
    router.settle(ended(decision, status, called=called))
    unjudged = int(status == "error")  # the failure itself is a lesson
    if not early:
        assert unjudged == router.state.steps
        assert verdict == router.feedback(decision.id, 0.5)
    assert unjudged + int(verdict == "counted") == router.state.steps
    assert 1 == router.stats()[f"feedback_{verdict}"]


def test_reward_that_fails_is_told_and_leaves_no_trace() -> None:
    """After a user's reward has failed, the same source can speak again."""
    rewards = iter([1.0, math.nan, 0.5])  # the first is asked for when the router is made
    router = make_router(weights=None, reward=lambda **_: next(rewards))
    decision = settled(router)
    with pytest.raises(ConfigError, match="a reward must be a number"):
        router.feedback(decision.id, 1.0)
    assert "counted" == router.feedback(decision.id, 1.0)
    assert 1 == router.state.steps


def test_reward_that_fails_does_not_take_an_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    """A reward that fails for feedback that waited is counted and logged; the outcome is booked."""
    router = make_router(weights=None, reward=lambda **_: math.nan)
    decision = router.decide(Request(text=""))
    router.feedback(decision.id, 1.0)
    router.settle(answered(decision))
    assert "ok" == router.ledger[decision.id].status
    assert 1 == router.stats()["learning_failures"]
    assert ["the reward or the policy failed: ConfigError"] == caplog.messages


def test_silence_is_judged_once_it_is_old() -> None:
    """Only what was answered and judged by nobody; once, and under its own name."""
    clock = FakeClock()
    router = make_router(clock=clock)
    silent, judged, failed = (router.decide(Request(text="q")) for _ in range(3))
    router.settle(ended(silent, "ok"))
    router.settle(ended(judged, "ok"))
    router.settle(ended(failed, "error"))
    router.feedback(judged.id, 1.0)

    assert 0 == router.default_after(60.0, value=0.7)
    clock.now_s += 60.0
    assert [1, 0] == [router.default_after(60.0, value=0.7) for _ in range(2)]

    said = [router.ledger[each.id].source_to_feedback for each in (silent, judged, failed)]
    assert [["silence"], ["user"], []] == [list(sources) for sources in said]
    assert 0.7 == said[0]["silence"].value
    with pytest.raises(ConfigError, match="a score must be a number"):
        router.default_after(60.0, value=7)
    with pytest.raises(ConfigError, match="age_s must be a number"):
        router.default_after("1d", value=0.7)  # type: ignore[arg-type]  # as users write it


def test_feedback_is_explained() -> None:
    """Who said what stands in the explanation, the corrected value in place of the first."""
    router = make_router()
    decision = settled(router)
    router.feedback(decision.id, 1.0)
    router.feedback(decision.id, 0.25, correction=True)
    router.feedback(decision.id, 0.5, source="judge")
    assert {"user": 0.25, "judge": 0.5} == router.explain(decision.id).source_to_score


def test_judgement_after_a_fallback_goes_to_the_arm_that_answered() -> None:
    """The reward is earned by the arm whose answer was judged."""
    router = make_router(policy="epsilon_greedy")
    decision = router.decide(Request(text=""))
    other = "b" if decision.arm == "a" else "a"
    attempts = (
        Attempt(arm=decision.arm, status="error", latency_s=1.0),
        Attempt(arm=other, status="ok", latency_s=1.0),
    )
    router.settle(replace(answered(decision), attempts=attempts))
    router.feedback(decision.id, 0.8)
    assert {decision.arm: 0.0, other: 0.8} == router.state.estimates.arm_to_mean

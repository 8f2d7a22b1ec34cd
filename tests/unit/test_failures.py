"""What is learnt from an arm that fails, and what is told of it."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from pickllm import Arm, ArmError, LearningAutomaton, Outcome, Reply, Request, Router, drive
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Status
from tests.unit.doubles import priced

BROKEN = Script(pieces=(), error=ValueError("no"))
FINE = Script(pieces=("fine",))


def ask(scripts: Mapping[str, Script], **settings: Any) -> Router:
    """A router after one request that starts with arm a."""
    router = Router(arms=priced(*scripts), **{"policy": Starts(), **settings})
    with contextlib.suppress(ArmError):
        drive.run(router.flow(Request(text="", id="r")), ScriptedPort(scripts))
    return router


class Starts(LearningAutomaton):
    """An automaton of which the first request starts with the pool's first arm."""

    def init(self, arms: Any, dim: int) -> Any:
        state = super().init(arms, dim)
        shares = dict.fromkeys(arms, 0.0)
        return type(state)(arm_to_probability={**shares, arms[0]: 1.0})


@pytest.mark.parametrize(
    ("scripts", "settings", "lessons"),
    [
        ({"a": BROKEN, "b": FINE}, {}, 1),
        ({"a": BROKEN, "b": BROKEN, "c": FINE}, {}, 2),
        ({"a": BROKEN, "b": BROKEN}, {}, 0),
        ({"a": BROKEN}, {}, 1),
        ({"a": BROKEN, "b": FINE}, {"fallback": False}, 1),
        ({"a": BROKEN, "b": FINE}, {"fallback": []}, 1),
        ({"a": BROKEN, "b": FINE}, {"fallback": ["b"]}, 1),
        ({"a": BROKEN, "b": BROKEN, "c": FINE}, {"fallback": ["b"]}, 0),
        ({"a": FINE, "b": BROKEN}, {}, 0),
    ],
    ids=[
        "another answered",
        "the third answered",
        "all failed",
        "an arm alone",
        "no fallback",
        "an empty fallback",
        "the named one answered",
        "all that were named failed",
        "nobody failed",
    ],
)
def test_failure_is_a_lesson_where_another_answered(
    scripts: Mapping[str, Script], settings: Mapping[str, Any], lessons: int
) -> None:
    """A failing arm earns zero where another answered, or where none may; else nothing."""
    router = ask(scripts, **settings)
    assert lessons == router.state.steps
    assert 0.0 == router.state.reward_mean


@pytest.mark.parametrize(
    ("end", "lessons"), [("ok", 1), ("abandoned", 1), ("cancelled", 0), ("error", 0)]
)
def test_end_of_the_fallback_decides_about_blame(end: Status, lessons: int) -> None:
    """An answer, even one not read to its end, shows that the request could be answered."""
    router = Router(arms=priced("a", "b"), policy=Starts())
    decision = router.decide(Request(text=""))
    attempts = (
        Attempt(arm="a", status="error", latency_s=1.0),
        Attempt(arm="b", status=end, latency_s=1.0),
    )
    router.settle(Outcome(decision_id=decision.id, attempts=attempts))
    assert lessons == router.state.steps


def test_blame_and_judgement_are_both_learnt() -> None:
    """The arm that failed earns zero, and the one that took over what its answer was worth."""
    scripts = {"a": BROKEN, "b": FINE}
    router = ask(scripts, policy="q_learning", weights={"quality": 1.0}, seed=1)
    assert "a" == router.ledger["r"].decision.arm
    router.feedback("r", 0.5)
    assert {"a": 0.9, "b": 0.95} == pytest.approx(router.state.estimates.arm_to_mean)


def test_failures_are_counted() -> None:
    """Arms that failed and fallbacks that were asked are in the stats."""
    stats = ask({"a": BROKEN, "b": BROKEN, "c": FINE}).stats()
    assert (2, 2, 1) == (stats["arm_failures"], stats["fallbacks"], stats["outcome_ok"])
    stats = ask({"a": BROKEN, "b": BROKEN}).stats()
    assert (2, 1, 1) == (stats["arm_failures"], stats["fallbacks"], stats["outcome_error"])


def test_all_failures_are_told_in_the_first_ones_notes() -> None:
    """The chosen arm's own error surfaces, with a note for each other arm that failed."""
    own = ValueError("no")
    scripts = {
        "a": Script(pieces=(), error=own),
        "b": Script(pieces=(), error=OSError("the prompt stands in here")),
        "c": Script(pieces=(), error=KeyError("c")),
    }
    router = Router(arms=priced(*scripts), policy=Starts(), fallback=["c", "b"])
    with pytest.raises(ArmError, match="arm 'a' failed: ValueError") as caught:
        drive.run(router.flow(Request(text="")), ScriptedPort(scripts))
    assert own is caught.value.original
    assert ["arm 'c' failed too: KeyError", "arm 'b' failed too: OSError"] == own.__notes__


def test_messages_of_errors_are_not_kept() -> None:
    """A provider's error may quote the prompt, so the ledger keeps its class alone."""
    router = ask({"a": BROKEN, "b": FINE})
    outcome = router.ledger["r"].outcome
    assert outcome is not None
    assert ("a", "error", "ValueError") == (
        outcome.attempts[0].arm,
        outcome.attempts[0].status,
        outcome.attempts[0].error,
    )
    assert "no" not in repr(outcome.attempts[0].error)


def test_flow_can_be_walked_by_hand() -> None:
    """A flow is a generator: send a reply for its call, and it returns what was routed."""
    router = Router(arms=[Arm(name="a", usd_per_hour=3.6, timeout_s=5.0)])
    flow = router.flow(Request(text="2 + 2 ="))
    call = next(flow)
    assert ("a", 5.0) == (call.arm, call.timeout_s)  # type: ignore[union-attr]  # a call comes first
    with pytest.raises(StopIteration) as stop:
        flow.send(Reply(text="4", latency_s=10.0))
    routed = stop.value.value
    assert ("4", "ok", 0.01, 10.0, None) == (
        routed.reply.text,
        routed.outcome.status,
        routed.outcome.cost_usd,
        routed.outcome.latency_s,
        routed.score,
    )


def test_outcome_sums_its_attempts() -> None:
    """Costs and times add up; one unknown cost makes the sum unknown."""
    paid = Attempt(arm="a", status="error", latency_s=1.0, cost_usd=0.25)
    unpaid = Attempt(arm="b", status="ok", latency_s=2.0)
    assert (0.5, 2.0) == (
        Outcome(decision_id="d", attempts=(paid, paid)).cost_usd,
        Outcome(decision_id="d", attempts=(paid, paid)).latency_s,
    )
    assert Outcome(decision_id="d", attempts=(paid, unpaid)).cost_usd is None


def test_newest_decision_is_at_hand() -> None:
    """The last decision made, or None before the first."""
    router = Router(arms=priced("a"))
    assert router.last_decision is None
    router.decide(Request(text="", id="one"))
    router.decide(Request(text="", id="two"))
    assert router.last_decision is not None
    assert "two" == router.last_decision.id

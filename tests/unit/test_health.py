"""Arms that rest: when, how long, who tries them again, and what of a failure counts."""

import contextlib
import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Arm, ArmError, Breaker, ConfigError, Outcome, Request, Router, drive
from pickllm.health import Health
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Decision, Hold, Situation, Status
from tests.unit.doubles import FakeClock, priced

BREAKER = Breaker(failures=2, rest_s=10.0)
BROKEN = Script(pieces=(), error=ValueError("no"))
FINE = Script(pieces=("fine",))


def eligible(health: Health, now_s: float) -> tuple[str, ...]:
    """Who of two arms may be asked."""
    return health.split(("a", "b"), now_s)[0]


def resting(*, at_s: float = 0.0) -> Health:
    """Arm a has just opened its circuit."""
    health = Health(BREAKER)
    health.failed("a", at_s)
    health.failed("a", at_s)
    return health


# The circuit of one arm


def test_an_arm_rests_after_so_many_failures_in_a_row() -> None:
    """One less than the limit is not enough."""
    health = Health(BREAKER)
    health.failed("a", 0.0)
    before = eligible(health, 0.0)
    health.failed("a", 1.0)

    assert (("a", "b"), ("b",)) == (before, eligible(health, 1.0))


def test_a_success_in_between_starts_the_row_anew() -> None:
    """Failures have to follow one another."""
    health = Health(BREAKER)
    for _ in range(5):
        health.failed("a", 0.0)
        health.succeeded("a")

    assert ("a", "b") == eligible(health, 0.0)


@pytest.mark.parametrize(("now_s", "arms"), [(9.99, ("b",)), (10.0, ("a", "b"))])
def test_a_rest_ends_after_its_time(now_s: float, arms: tuple[str, ...]) -> None:
    """From then on the arm is eligible again."""
    assert arms == eligible(resting(), now_s)


def test_one_trial_at_a_time() -> None:
    """While the trial is under way, others wait for its end, or for another rest's time."""
    health = resting()
    health.asked("a", 10.0)

    assert [("b",), ("b",), ("a", "b")] == [eligible(health, now) for now in (10.0, 19.9, 20.0)]


def test_a_trial_that_succeeds_closes_the_circuit() -> None:
    """And the row of failures starts from nothing."""
    health = resting()
    health.asked("a", 10.0)
    health.succeeded("a")
    health.failed("a", 11.0)

    assert ("a", "b") == eligible(health, 11.0)


def test_a_trial_that_fails_opens_it_for_another_rest() -> None:
    """One failure is enough then, and the rest counts from it."""
    health = resting()
    health.asked("a", 10.0)
    health.failed("a", 12.0)

    assert [("b",), ("a", "b")] == [eligible(health, now) for now in (21.9, 22.0)]


def test_asking_a_healthy_arm_changes_nothing() -> None:
    """Only a trial is alone."""
    health = Health(BREAKER)
    health.failed("a", 0.0)
    health.asked("a", 0.0)
    health.asked("b", 0.0)

    assert ("a", "b") == eligible(health, 0.0)


def test_where_all_rest_none_does() -> None:
    """Asking an arm that failed is better than not answering; and no reason is given."""
    health = resting()
    health.failed("b", 0.0)
    health.failed("b", 0.0)

    assert (("a", "b"), {}) == health.split(("a", "b"), 1.0)
    assert (("a",), {}) == health.split(("a",), 1.0)


def test_the_reason_says_how_often_and_how_long() -> None:
    """It is read by whoever asks why an arm was not chosen."""
    health = resting()
    health.failed("a", 3.0)

    said = {"a": "resting after 3 failures in a row, for 6 s more"}
    assert (("b",), said) == health.split(("a", "b"), 7.0)


def test_without_a_breaker_nobody_rests() -> None:
    """``breaker=None``."""
    health = Health(None)
    for _ in range(100):
        health.failed("a", 0.0)
        health.asked("a", 0.0)

    assert (("a", "b"), {}) == health.split(("a", "b"), 0.0)


@pytest.mark.parametrize(
    ("failures", "rest_s"),
    [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0), (1, math.nan)],
)
def test_settings_that_cannot_work_are_refused(failures: int, rest_s: float) -> None:
    """A breaker that is always open, or never."""
    with pytest.raises(ConfigError, match="failures must be at least 1 and rest_s above 0"):
        Breaker(failures=failures, rest_s=rest_s)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(("asked", "failed", "succeeded"))),
        max_size=40,
    )
)
def test_somebody_is_always_there_to_ask(story: list[tuple[str, str]]) -> None:
    """Whatever happens, arms keep their order, each has one side, and one at least is eligible."""
    health, arms = Health(BREAKER), ("a", "b", "c")
    for now_s, (arm, event) in enumerate(story):
        if event == "succeeded":
            health.succeeded(arm)
        else:
            getattr(health, event)(arm, float(now_s))
        healthy, reasons = health.split(arms, float(now_s))
        assert healthy
        assert tuple(arm for arm in arms if arm not in reasons) == healthy


# Through a router


class Running:
    """A router of arms a, b and c, whose policy takes the first it sees; its clock and its port."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.port = ScriptedPort({"a": BROKEN, "b": FINE, "c": FINE})
        self.seen: list[tuple[str, ...]] = []
        self.router = Router(
            **{
                "arms": priced("a", "b", "c"),
                "policy": self._first,
                "breaker": BREAKER,
                "clock": self.clock,
                **settings,
            }
        )

    def _first(self, situation: Situation) -> str:
        self.seen.append(situation.arms)
        return situation.arms[0]

    def ask(self, **settings: Any) -> Decision:
        """One request through a port."""
        with contextlib.suppress(ArmError):
            drive.run(self.router.flow(Request(text="", **settings)), self.port)
        decision = self.router.last_decision
        assert decision is not None
        return decision

    def say(self, **arm_to_script: Script) -> None:
        """From now on arms do this."""
        self.port.arm_to_script = {**self.port.arm_to_script, **arm_to_script}

    def settle(self, *ends: tuple[str, Status]) -> None:
        """A decision with these attempts."""
        decision = self.router.decide(Request(text=""))
        attempts = tuple(Attempt(arm=arm, status=end, latency_s=1.0) for arm, end in ends)
        self.router.settle(Outcome(decision_id=decision.id, attempts=attempts))


def test_a_router_gives_a_failing_arm_a_rest() -> None:
    """After its failures the arm is not asked, and the policy does not even see it."""
    running = Running()
    for _ in range(4):
        running.ask()

    assert ["a", "b", "a", "b", "b", "b"] == running.port.asked
    assert [("a", "b", "c")] * 2 + [("b", "c")] * 2 == running.seen


def test_a_resting_arm_has_propensity_zero() -> None:
    """What is logged is what was drawn from, so that it can be replayed."""
    running = Running(policy="random", seed=1)
    running.settle(("a", "error"), ("b", "ok"))
    running.settle(("a", "error"), ("b", "ok"))

    decisions = [running.ask() for _ in range(20)]

    assert {(0.0, 0.5, 0.5)} == {
        tuple(decision.probability(arm) for arm in "abc") for decision in decisions
    }
    assert {"b", "c"} == {decision.arm for decision in decisions}


def test_it_is_explained_why_an_arm_rests() -> None:
    """In the words of the circuit."""
    running = Running()
    for _ in range(3):
        running.ask()

    explanation = running.router.explain(running.ask().id)

    said = "resting after 2 failures in a row, for 10 s more"
    assert {"a": said} == explanation.decision.ineligible
    assert f"arm a: not eligible, {said}" in str(explanation)


def test_where_all_others_fail_an_arm_at_rest_is_asked_last() -> None:
    """It may have recovered, and nobody else is left."""
    running = Running()
    for _ in range(2):
        running.ask()
    running.say(a=FINE, b=BROKEN, c=BROKEN)
    running.port.asked.clear()

    decision = running.ask()

    assert ["b", "c", "a"] == running.port.asked
    assert "ok" == running.router.explain(decision.id).status


def test_where_nobody_shall_take_over_an_arm_at_rest_does_not_either() -> None:
    """Or not this one."""
    for fallback in (False, ["b", "c"]):
        running = Running(fallback=fallback)
        running.settle(("a", "error"), ("b", "ok"))
        running.settle(("a", "error"), ("b", "ok"))
        running.say(a=FINE, b=BROKEN, c=BROKEN)

        running.ask()

        assert "a" not in running.port.asked


def test_an_arm_that_recovers_is_back_after_one_trial() -> None:
    """Rest, trial, and all is as before."""
    running = Running()
    for _ in range(3):
        running.ask()
    running.say(a=FINE)
    running.clock.now_s = 10.0

    arms = [running.ask().arm for _ in range(3)]

    assert ["a", "a", "a"] == arms


def test_an_arm_that_does_not_recover_is_tried_once_for_each_rest() -> None:
    """The others answer in the meantime."""
    running = Running()
    for now_s in range(41):
        running.clock.now_s = float(now_s)
        running.ask()

    # two failures open the circuit at 1; then a trial each time that ten seconds have passed
    assert [0, 1, 11, 21, 31] == [n for n, arms in enumerate(running.seen) if "a" in arms]


def test_while_a_trial_is_under_way_others_go_elsewhere() -> None:
    """A second request during the trial does not meet the arm."""
    running = Running()
    for _ in range(2):
        running.ask()
    running.clock.now_s = 10.0

    trial, other = (running.router.decide(Request(text="")) for _ in range(2))

    assert ("a", "b") == (trial.arm, other.arm)


@pytest.mark.parametrize("end", ["cancelled", "abandoned"])
def test_a_trial_that_was_cut_short_proves_nothing(end: Status) -> None:
    """The circuit stays as it is, and another trial follows when its time has come."""
    running = Running()
    for _ in range(2):
        running.ask()
    running.clock.now_s = 10.0
    running.settle(("a", end))

    arms = []
    for now_s in (19.0, 20.0):
        running.clock.now_s = now_s
        arms.append(running.router.decide(Request(text="")).arm)

    assert ["b", "a"] == arms


@pytest.mark.parametrize(
    ("ends", "settings", "rests"),
    [
        ([("a", "error"), ("b", "ok")], {}, True),
        ([("a", "error"), ("b", "abandoned")], {}, True),
        ([("a", "error"), ("b", "error"), ("c", "ok")], {}, True),
        ([("a", "error")], {"fallback": False}, True),
        ([("a", "error"), ("b", "error"), ("c", "error")], {}, False),
        ([("a", "error"), ("b", "cancelled")], {}, False),
        ([("a", "cancelled")], {}, False),
        ([("a", "abandoned")], {}, False),
        ([("a", "ok")], {}, False),
        ([("a", "error"), ("b", "ok")], {"breaker": None}, False),
    ],
)
def test_only_failures_that_are_the_arm_s_own_count(
    ends: list[tuple[str, Status]], settings: Mapping[str, Any], *, rests: bool
) -> None:
    """Where nobody could answer the request may be the reason; who leaves blames nobody."""
    running = Running(**settings)
    for _ in range(5):
        running.settle(*ends)

    assert rests == (running.router.decide(Request(text="")).arm != "a")


def test_an_arm_alone_is_asked_however_often_it_fails() -> None:
    """There is nobody else."""
    running = Running(arms=[Arm(name="a")], weights={"quality": 1.0})
    for _ in range(5):
        running.ask()

    assert ["a"] * 5 == running.port.asked


def test_of_those_that_can_one_that_rests_is_better_than_none() -> None:
    """The others lack what the request needs, or were not asked for."""
    running = Running()
    for _ in range(2):
        running.ask()

    assert ("a", {"b", "c"}) == (
        running.ask(only=("a",)).arm,
        set(running.ask(only=("a",)).ineligible),
    )


def test_a_hold_does_not_wake_an_arm_that_rests() -> None:
    """A conversation whose arm is down goes on with another."""
    running = Running()
    for _ in range(2):
        running.ask()

    decision = running.ask(hold=Hold(arm="a", reason="tool loop"))

    assert ("b", None) == (decision.arm, decision.held)


def test_a_copy_of_a_router_has_circuits_of_its_own() -> None:
    """What happens to the one does not rest the other's arms."""
    running = Running()
    running.ask()
    other = copy.deepcopy(running)
    running.ask()

    arms = [each.router.decide(Request(text="")).arm for each in (running, other)]

    assert ["b", "a"] == arms

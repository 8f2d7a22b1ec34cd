"""How the router asks its scorer: whose failure is whose, and which turn of a loop counts."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pickllm import Reply, Request, Router, drive
from pickllm.cascade import Answered
from pickllm.protocols import Asking
from pickllm.steps import Call
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Hold, Routed
from tests.unit.doubles import DRIVERS, FakeClock, priced


class Toolbox(ScriptedPort):
    """Arms whose scripts that begin with "call" ask for a tool."""

    def join(self, call: Call, pieces: Any) -> Reply:
        """As the script says."""
        reply = super().join(call, pieces)
        return replace(reply, text="", calls_tools=True) if "call" in reply.text else reply


class ByMessage:
    """A scorer that looks at the message itself, tool calls included."""

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """Half for a call, nothing or all for a text."""
        yield from ()
        return {"call": 0.5, "wrong": 0.0, "right": 1.0}[reply.message]


def broken_reward(*, score: float, **_spent: object) -> float:
    """Fails once it matters: the router tries it with a score of 1 when it is built."""
    if score != 1.0:
        raise RuntimeError("secret")
    return score


def turn(router: Router, name: str, said: str, *, after: str = "") -> Routed:
    """One turn of a loop, answered by arm a."""
    hold = Hold(arm="a", reason="tool loop", continues=after)
    port = Toolbox({"a": Script(pieces=(said,))})
    return drive.run(router.flow(Request(text="?", id=name, hold=hold)), port)


def scores(router: Router, name: str) -> Mapping[str, float]:
    """What each source says of a decision."""
    return router.explain(name).source_to_score


# Whose failure it is


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_reward_that_fails_is_no_failure_of_the_scorer(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted and told as what it is, without a word of the answer, which comes."""
    router = Router(arms=priced("a"), reward=broken_reward, scorer=lambda *_: 0.5)
    port = ScriptedPort({"a": Script(pieces=("4",))})

    with caplog.at_level(logging.WARNING, logger="pickllm"):
        shown = DRIVERS[driver](router.flow(Request(text="")), port, FakeClock())

    stats = router.stats()
    assert ("4", None) == (shown.text, shown.error)
    assert (0, 1) == (stats.get("scorer_failures", 0), stats.get("learning_failures", 0))
    assert ["the reward or the policy failed: RuntimeError"] == caplog.messages


def test_a_score_that_nobody_can_learn_from_is_still_a_score() -> None:
    """The caller gets it."""
    router = Router(arms=priced("a"), reward=broken_reward, scorer=lambda *_: 0.5)

    assert 0.5 == turn(router, "1", "right").score


def test_a_score_out_of_range_is_the_scorer_s_failure() -> None:
    """Nothing is learnt from it."""
    router = Router(arms=priced("a"), scorer=lambda *_: 7.0)

    assert None is turn(router, "1", "right").score
    assert (1, 0) == (router.stats()["scorer_failures"], router.stats().get("learning_failures", 0))


def test_a_decision_let_go_meanwhile_is_nobody_s_failure() -> None:
    """It is unknown, and counted so."""
    router = Router(arms=priced("a"), max_decisions=1, scorer=ByMessage())
    decision = router.decide(Request(text=""))
    router.decide(Request(text="another"))

    flow = router._desk.judge(
        Request(text=""), decision, Answered(reply=Reply(text="right", message="right"))
    )

    assert 1.0 == drive.run(flow, Toolbox({}))
    stats = router.stats()
    assert {"unknown_decisions": 1} == {
        name: count for name, count in stats.items() if "fail" in name or "unknown" in name
    }


# Which turn of a loop counts


def test_a_function_is_not_asked_about_a_turn_that_only_calls_tools() -> None:
    """There is no text yet that it could look at."""
    seen: list[str] = []

    def grade(_prompt: str, answer: str) -> float:
        seen.append(answer)
        return float(answer == "right")

    router = Router(arms=priced("a", "b"), scorer=grade)
    first = turn(router, "1", "call")
    turn(router, "2", "call", after="1")
    last = turn(router, "3", "right", after="2")

    assert (None, 1.0) == (first.score, last.score)
    assert (["right"], {"scorer": 1.0}) == (seen, scores(router, "1"))
    assert 1 == router.stats()["feedback_counted"]


def test_the_last_turn_s_verdict_is_what_counts() -> None:
    """A scorer that has judged the call before corrects itself."""
    router = Router(arms=priced("a", "b"), policy="q_learning", scorer=ByMessage(), seed=1)

    for name, said, after in (("1", "call", ""), ("2", "call", "1"), ("3", "wrong", "2")):
        turn(router, name, said, after=after)

    assert {"scorer": 0.0} == scores(router, "1")
    stats = router.stats()
    assert (1, 2, 0) == (
        stats["feedback_counted"],
        stats["feedback_corrected"],
        stats.get("feedback_repeated", 0),
    )
    assert 1 == router.state.steps


def test_a_reply_knows_its_arm() -> None:
    """Also where another took over: a scorer calibrated for each arm asks for it."""
    seen: list[str] = []

    class Noting:
        def score(self, request: Request, reply: Reply) -> Asking[float | None]:
            """Nothing."""
            yield from ()
            seen.append(reply.arm)
            return None

    broken = Script(pieces=(), error=ValueError("no"))
    for driver in DRIVERS.values():
        router = Router(arms=priced("a", "b"), policy=lambda _: "a", scorer=Noting())
        port = ScriptedPort({"a": broken, "b": Script()})
        driver(router.flow(Request(text="")), port, FakeClock())

    assert ["b"] * len(DRIVERS) == seen

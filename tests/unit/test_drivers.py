"""Four drivers, one behaviour: each scenario through run, arun, stream and astream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pickllm import ArmError, Request, Router, Usage, drive
from pickllm.protocols import Asking
from pickllm.steps import Call, Work
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Piece, Reply, Situation
from tests.unit.doubles import DRIVERS, Driver, FakeClock, Shown, TickingPort, priced

USAGE = Usage(tokens_in=100, tokens_out=20)
REQUESTS = 6


def fine(text: str = "fine") -> Script:
    """An arm that answers in two pieces."""
    return Script(pieces=(text, "."), usage=USAGE)


def broken(*pieces: str) -> Script:
    """An arm that fails after these pieces."""
    return Script(pieces=pieces, error=ValueError("no"), error_after=len(pieces))


def grade_by_length(_prompt: str, answer: str) -> float:
    """A scorer of one's own."""
    return min(len(answer) / 10, 1.0)


def fail_to_grade(_prompt: str, _answer: str) -> float:
    """A scorer that fails."""
    raise RuntimeError("no judge today")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """Arms with their scripts, a router's settings, and what to expect of the first request."""

    arms: Callable[[], Mapping[str, Script]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    told: tuple[str, str, str, tuple[str, ...]]
    asked: tuple[str, ...]
    streamed: tuple[str, str, str, tuple[str, ...]] | None = None
    """What a stream tells, where it is something else."""
    asked_streamed: tuple[str, ...] | None = None


def at_a(_: Situation) -> str:
    """A policy that starts with arm a, so that a scenario knows who is asked first."""
    return "a"


def a_before_c(_: Situation) -> Mapping[str, float]:
    """A policy that draws a, and holds c for likelier than b."""
    return {"a": 1.0 - 1e-9, "b": 1e-10, "c": 9e-10}


ALL_FAILED = ("arm 'b' failed too: OSError",)
SCENARIOS: dict[str, Scenario] = {
    "plain": Scenario(
        arms=lambda: {"a": fine(), "b": fine("other")},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "invisible first piece": Scenario(
        arms=lambda: {"a": Script(pieces=("", "", "fine", ""), usage=USAGE)},
        told=("fine", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "nothing visible at all": Scenario(
        arms=lambda: {"a": Script(pieces=("", ""), usage=USAGE)},
        told=("", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "no usage reported": Scenario(
        arms=lambda: {"a": Script(pieces=("fine",))},
        told=("fine", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "fails at once": Scenario(
        arms=lambda: {"a": broken(), "b": fine()},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "b"),
    ),
    "fails before the first visible piece": Scenario(
        arms=lambda: {"a": broken("", ""), "b": fine()},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "b"),
    ),
    "fails after the first visible piece": Scenario(
        arms=lambda: {"a": broken("", "half"), "b": fine()},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "b"),
        streamed=("half", "ArmError", "ValueError", ()),
        asked_streamed=("a",),
    ),
    "fallback fails after its first visible piece": Scenario(
        arms=lambda: {"a": broken(), "b": broken("half"), "c": fine()},
        settings={"fallback": ["b", "c"]},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "b", "c"),
        streamed=("half", "ArmError", "ValueError", ("arm 'a' failed too: ValueError",)),
        asked_streamed=("a", "b"),
    ),
    "all fail": Scenario(
        arms=lambda: {"a": broken(), "b": replace(broken(), error=OSError("down"))},
        told=("", "ArmError", "ValueError", ALL_FAILED),
        asked=("a", "b"),
    ),
    "no fallback": Scenario(
        arms=lambda: {"a": broken(), "b": fine()},
        settings={"fallback": False},
        told=("", "ArmError", "ValueError", ()),
        asked=("a",),
    ),
    "explicit order": Scenario(
        arms=lambda: {"a": broken(), "b": fine(), "c": broken()},
        settings={"fallback": ["c", "b"]},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "c", "b"),
    ),
    "explicit order of one": Scenario(
        arms=lambda: {"a": broken(), "b": replace(broken(), error=OSError()), "c": fine()},
        settings={"fallback": ["b"]},
        told=("", "ArmError", "ValueError", ALL_FAILED),
        asked=("a", "b"),
    ),
    "likeliest takes over": Scenario(
        arms=lambda: {"a": broken(), "b": fine("b"), "c": fine("c")},
        settings={"policy": a_before_c},
        told=("c.", "NoneType", "NoneType", ()),
        asked=("a", "c"),
    ),
    "scorer": Scenario(
        arms=lambda: {"a": fine(), "b": fine("quite another")},
        settings={"scorer": grade_by_length},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "scorer that fails": Scenario(
        arms=lambda: {"a": fine()},
        settings={"scorer": fail_to_grade},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "scorer that leaves [0, 1]": Scenario(
        arms=lambda: {"a": fine()},
        settings={"scorer": lambda _prompt, _answer: 7.0},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "scorer that cannot tell": Scenario(
        arms=lambda: {"a": fine()},
        settings={"scorer": lambda _prompt, _answer: None},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a",),
    ),
    "scorer and fallback": Scenario(
        arms=lambda: {"a": broken(), "b": fine()},
        settings={"scorer": grade_by_length},
        told=("fine.", "NoneType", "NoneType", ()),
        asked=("a", "b"),
    ),
    "empty": Scenario(
        arms=lambda: {"a": Script(pieces=()), "b": fine()},
        told=("", "NoneType", "NoneType", ()),
        asked=("a",),
        streamed=("fine.", "NoneType", "NoneType", ()),
        asked_streamed=("a", "b"),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """All that is left of a session of some requests."""

    told: list[tuple[str, str, str, tuple[str, ...]]]
    asked: list[str]
    ledger: list[Any]
    state: Any
    stats: dict[str, int]


def without_first_piece(attempt: Attempt) -> Attempt:
    """An attempt without the one thing that only a stream can know."""
    return replace(attempt, first_piece_s=None)


def session(scenario: Scenario, driver: Driver, **settings: Any) -> Session:
    """Some requests, one after another, with feedback to some, as the ledger shows them."""
    clock = FakeClock()
    scripts = scenario.arms()
    router = Router(
        arms=priced(*scripts),
        seed=5,
        clock=clock,
        **{"policy": "epsilon_greedy", **scenario.settings, **settings},
    )
    port = TickingPort(scripts, clock)
    told = []
    for number in range(REQUESTS):
        request = Request(text="2 + 2 =", id=str(number))
        told.append(driver(router.flow(request), port, clock).told)
        if number % 2 == 0:
            router.feedback(request.id, number / REQUESTS, source="user")
    ledger = [
        (
            record.decision,
            [without_first_piece(a) for a in record.outcome.attempts] if record.outcome else None,
            record.source_to_feedback,
        )
        for record in router.ledger
    ]
    return Session(
        told=told, asked=port.asked, ledger=ledger, state=router.state, stats=router.stats()
    )


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_first_request_goes_as_expected(scenario: Scenario, driver: str) -> None:
    """Text, error and the arms asked are those of the scenario, through any driver."""
    scripts, clock = scenario.arms(), FakeClock()
    settings = {"policy": at_a, **scenario.settings}
    router = Router(arms=priced(*scripts), seed=5, **settings)
    port = TickingPort(scripts, clock)
    shown = DRIVERS[driver](router.flow(Request(text="2 + 2 =")), port, clock)
    streamed = "stream" in driver
    told = scenario.streamed if streamed and scenario.streamed else scenario.told
    asked = scenario.asked_streamed if streamed and scenario.asked_streamed else scenario.asked
    assert told == shown.told
    assert list(asked) == port.asked
    assert sorted(asked) == sorted(port.closed)


@pytest.mark.parametrize("policy", ["epsilon_greedy", "learning_automaton"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_drivers_agree(scenario: Scenario, policy: str) -> None:
    """What is told, asked, booked, learnt and counted is the same whichever driver waits."""
    sessions = {name: session(scenario, driver, policy=policy) for name, driver in DRIVERS.items()}
    assert sessions["run"] == sessions["arun"]
    assert sessions["stream"] == sessions["astream"]
    if scenario.streamed is None:
        assert sessions["run"] == sessions["stream"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_latency_is_the_time_spent_waiting_for_the_arm(driver: str) -> None:
    """The arm's second is booked, and the consumer's ten are not."""
    clock = FakeClock()

    router = Router(arms=priced("a"))
    port = TickingPort({"a": Script(pieces=("one", "two"))}, clock)
    request = Request(text="", id="r")
    if driver == "stream":
        for _ in drive.stream(router.flow(request), port, clock=clock):
            clock.now_s += 10.0
    else:
        DRIVERS[driver](router.flow(request), port, clock)
    outcome = router.ledger["r"].outcome
    assert outcome is not None
    assert 1.0 == outcome.attempts[0].latency_s
    assert (1.0 if "stream" in driver else None) == outcome.attempts[0].first_piece_s


@pytest.mark.parametrize("driver", DRIVERS)
def test_arm_that_fails_before_it_begins_is_an_arm_that_failed(driver: str) -> None:
    """A port whose methods raise when they are called is no different: the fallback takes over."""

    class RaisesAtOnce(TickingPort):
        def _refuse(self, call: Call) -> None:
            if call.arm == "a":
                self.asked.append("a")
                raise ConnectionError("no such host")

        def call(self, call: Call) -> Reply:
            self._refuse(call)
            return super().call(call)

        async def acall(self, call: Call) -> Reply:
            self._refuse(call)
            return await super().acall(call)

        def stream(self, call: Call) -> Any:
            self._refuse(call)
            return super().stream(call)

        def astream(self, call: Call) -> Any:
            self._refuse(call)
            return super().astream(call)

    clock = FakeClock()
    port = RaisesAtOnce({"a": fine(), "b": fine("other")}, clock)
    router = Router(arms=priced("a", "b"), policy=at_a)
    shown = DRIVERS[driver](router.flow(Request(text="")), port, clock)
    assert Shown(text="other.") == shown
    assert ["a", "b"] == port.asked


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("error", [StopIteration("done"), TimeoutError("theirs"), KeyError("x")])
def test_any_exception_of_an_arm_is_its_failure(driver: str, error: Exception) -> None:
    """Even those that mean something to Python's own loops."""
    clock = FakeClock()

    class Raises(TickingPort):
        def _begin(self, call: Call) -> Script:
            script = super()._begin(call)
            if call.arm == "a":
                raise error
            return script

    router = Router(arms=priced("a", "b"), policy=at_a)
    port = Raises({"a": fine(), "b": fine("other")}, clock)
    assert Shown(text="other.") == DRIVERS[driver](router.flow(Request(text="")), port, clock)


@pytest.mark.parametrize("driver", DRIVERS)
def test_error_of_an_arm_names_it_and_has_the_cause(driver: str) -> None:
    """The `ArmError` says which arm, and its cause is the arm's own error."""
    clock, own = FakeClock(), ValueError("no")
    router = Router(arms=priced("a"))
    port = TickingPort({"a": Script(pieces=(), error=own)}, clock)
    error = DRIVERS[driver](router.flow(Request(text="")), port, clock).error
    assert isinstance(error, ArmError)
    assert "arm 'a' failed: ValueError" == str(error)
    assert ("a", own, False, 1.0) == (error.arm, error.original, error.shown, error.latency_s)


@pytest.mark.parametrize("driver", DRIVERS)
def test_answer_that_cannot_be_joined_is_a_failure(driver: str) -> None:
    """Where the port makes no answer of the pieces, the arm has failed; what was shown stays."""
    clock = FakeClock()

    class CannotJoin(TickingPort):
        def join(self, call: Call, pieces: Any) -> Reply:
            if call.arm == "a":
                raise TypeError("pieces do not add up")
            return super().join(call, pieces)

    router = Router(arms=priced("a", "b"), policy=at_a)
    port = CannotJoin({"a": fine(), "b": fine("other")}, clock)
    shown = DRIVERS[driver](router.flow(Request(text="")), port, clock)
    whole = ("other.", "NoneType", "NoneType", ())
    assert (("fine.", "ArmError", "TypeError", ()) if "stream" in driver else whole) == shown.told


def asks_itself() -> Asking[str]:
    """A flow with some work of its own, that survives its failure."""
    try:
        yield Work(run=lambda: 1 / 0)
    except ZeroDivisionError:
        done = yield Work(run=lambda: "rescued")
        return str(done)
    return "never"


async def test_work_that_fails_is_thrown_into_the_flow() -> None:
    """A flow may catch what its work raised, sync or async."""
    port = ScriptedPort({})
    assert "rescued" == drive.run(asks_itself(), port)
    assert "rescued" == await drive.arun(asks_itself(), port)
    assert [] == list(drive.stream(asks_itself(), port))
    assert [] == [piece async for piece in drive.astream(asks_itself(), port)]


def test_stream_returns_the_result_of_the_flow() -> None:
    """A generator's return value carries what the flow returned, for adapters that need it."""
    router = Router(arms=priced("a"))
    streaming = drive.stream(router.flow(Request(text="")), ScriptedPort({"a": fine()}))
    assert ["fine", "."] == [next(streaming), next(streaming)]
    with pytest.raises(StopIteration) as stop:
        next(streaming)
    assert "fine." == stop.value.value.reply.text


def test_port_may_hand_out_any_iterable() -> None:
    """A stream that is a plain iterator, without a close, will do."""

    class Plain(ScriptedPort):
        def stream(self, call: Call) -> Any:
            return iter([Piece(payload="plain", visible=True)])

    router = Router(arms=priced("a"))
    flow = router.flow(Request(text=""))
    assert ["plain"] == list(drive.stream(flow, Plain({"a": fine()})))


@pytest.mark.parametrize("driver", DRIVERS)
def test_answer_survives_a_ledger_that_has_moved_on(driver: str) -> None:
    """A decision let go while its arm was at work still gets its answer to the caller."""
    clock = FakeClock()
    router = Router(arms=priced("a"), max_decisions=1, scorer=grade_by_length)

    class Crowded(TickingPort):
        def _begin(self, call: Call) -> Script:
            router.decide(Request(text="meanwhile"))
            return super()._begin(call)

    port = Crowded({"a": fine()}, clock)
    assert Shown(text="fine.") == DRIVERS[driver](router.flow(Request(text="")), port, clock)
    assert 0 == router.state.steps


@pytest.mark.parametrize("pieces", [("", "", "fine", "", "."), ("", "")], ids=["some", "none"])
async def test_pieces_held_back_are_shown_in_their_order(pieces: tuple[str, ...]) -> None:
    """A consumer gets every piece, visible or not: those before the first visible one come late."""
    router, port = Router(arms=priced("a")), ScriptedPort({"a": Script(pieces=pieces)})
    assert list(pieces) == list(drive.stream(router.flow(Request(text="")), port))
    shown = [piece async for piece in drive.astream(router.flow(Request(text="")), port)]
    assert list(pieces) == shown


@pytest.mark.parametrize("driver", DRIVERS)
def test_answer_from_a_cache_is_not_scored(driver: str) -> None:
    """Where no model was called there is nothing to judge or to learn."""
    clock = FakeClock()

    class Cached(TickingPort):
        def join(self, call: Call, pieces: Any) -> Reply:
            return replace(super().join(call, pieces), called=False)

    router = Router(arms=priced("a"), scorer=grade_by_length)
    DRIVERS[driver](router.flow(Request(text="", id="r")), Cached({"a": fine()}, clock), clock)
    assert {} == router.ledger["r"].source_to_feedback
    assert 0 == router.state.steps

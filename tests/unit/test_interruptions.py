"""Cancelled, or left by its consumer: the arm is stopped, the ledger says so, nothing is learnt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from pickllm import Request, Router, drive
from pickllm.steps import Call
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Piece, Reply
from tests.unit.doubles import FakeClock, TickingPort, priced

THREE = {"a": Script(pieces=("one", "two", "three"))}


def make_router() -> Router:
    """A router of one arm with a fresh state."""
    return Router(arms=priced("a"), policy="epsilon_greedy", seed=1)


def attempt(router: Router, request_id: str = "r") -> Attempt:
    """The only attempt of a request."""
    outcome = router.ledger[request_id].outcome
    assert outcome is not None
    (only,) = outcome.attempts
    return only


class Hanging(ScriptedPort):
    """Arms that begin and never go on; ``begun`` says when."""

    def __init__(self, *pieces: str) -> None:
        super().__init__({"a": Script(pieces=pieces), "b": Script(pieces=pieces)})
        self.begun = asyncio.Event()

    async def acall(self, call: Call) -> Reply:
        self.asked.append(call.arm)
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.closed.append(call.arm)
        raise AssertionError

    async def astream(self, call: Call) -> AsyncIterator[Piece]:
        async with contextlib.aclosing(super().astream(call)) as pieces:  # type: ignore[type-var]  # a generator
            async for piece in pieces:
                yield piece
            await self.acall(call)


class Impatient(ScriptedPort):
    """An arm that is interrupted from the keyboard, after some pieces."""

    def call(self, call: Call) -> Reply:
        raise KeyboardInterrupt

    def stream(self, call: Call) -> Iterator[Piece]:
        yield from super().stream(call)
        raise KeyboardInterrupt


def test_keyboard_interrupt_in_run_is_booked_and_passes_through() -> None:
    """Ctrl-C reaches whoever pressed it; the decision is cancelled and nothing is learnt."""
    router = make_router()
    before = router.state
    with pytest.raises(KeyboardInterrupt):
        drive.run(router.flow(Request(text="", id="r")), Impatient(THREE))
    assert "cancelled" == attempt(router).status
    assert before is router.state
    assert "no_answer" == router.feedback("r", 1.0)


def test_keyboard_interrupt_in_a_stream_is_booked() -> None:
    """Whoever pressed it after pieces had been shown has left, and nothing is learnt of it."""
    router = make_router()
    streaming = drive.stream(router.flow(Request(text="", id="r")), Impatient(THREE))
    assert ["one", "two", "three"] == [next(streaming) for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        next(streaming)
    assert "abandoned" == attempt(router).status
    assert 0 == router.state.steps


async def test_cancelled_task_in_arun_is_booked() -> None:
    """A cancelled task stops its arm, and the decision is cancelled."""
    router, port = make_router(), Hanging()
    task = asyncio.ensure_future(drive.arun(router.flow(Request(text="", id="r")), port))
    await port.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["a"] == port.closed
    assert "cancelled" == attempt(router).status
    assert 0 == router.state.steps
    assert "no_answer" == router.feedback("r", 1.0)


async def test_cancelled_task_in_astream_is_booked() -> None:
    """A task cancelled between two pieces has left: its arm is stopped, and may be judged."""
    router, port = make_router(), Hanging("one")
    shown: list[str] = []

    async def read() -> None:
        async for piece in drive.astream(router.flow(Request(text="", id="r")), port):
            shown.append(piece)  # noqa: PERF401  # what was shown before the cancellation counts

    task = asyncio.ensure_future(read())
    await port.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["one"] == shown
    assert {"a"} == set(port.closed)
    assert "abandoned" == attempt(router).status
    assert "counted" == router.feedback("r", 1.0)


async def test_cancelled_fallback_is_no_answer() -> None:
    """Where the fallback is cancelled, nobody has answered: the first arm is not to blame."""

    class FirstFails(Hanging):
        async def acall(self, call: Call) -> Reply:
            if not self.asked:
                self.asked.append(call.arm)
                raise ValueError("no")
            return await super().acall(call)

    port = FirstFails()
    router = Router(arms=priced("a", "b"), policy="learning_automaton", fallback=["b", "a"], seed=1)
    task = asyncio.ensure_future(drive.arun(router.flow(Request(text="", id="r")), port))
    await port.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = router.ledger["r"].outcome
    assert outcome is not None
    assert ["error", "cancelled"] == [each.status for each in outcome.attempts]
    assert 0 == router.state.steps


async def test_cancelled_scorer_leaves_the_answer_booked() -> None:
    """A task cancelled while its answer is being scored has had its answer."""
    entered, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def grade(_prompt: str, _answer: str) -> float:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(leave.wait(), loop).result()
        return 1.0

    router = Router(arms=priced("a"), scorer=grade)
    flow = router.flow(Request(text="", id="r"))
    task = asyncio.ensure_future(drive.arun(flow, ScriptedPort(THREE)))
    await entered.wait()
    task.cancel()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "ok" == attempt(router).status
    assert 0 == router.state.steps


def test_stream_closed_early_is_abandoned() -> None:
    """A consumer who closes the stream ends it: the arm is stopped, nothing is learnt."""
    clock = FakeClock()
    router, port = make_router(), TickingPort(THREE, clock)
    streaming = drive.stream(router.flow(Request(text="", id="r")), port, clock=clock)
    assert "one" == next(streaming)
    streaming.close()
    assert ["a"] == port.closed
    left = attempt(router)
    assert ("abandoned", 1.0, 1.0, "") == (
        left.status,
        left.latency_s,
        left.first_piece_s,
        left.error,
    )
    assert 0 == router.state.steps
    assert 1 == router.stats()["outcome_abandoned"]


def test_stream_broken_out_of_is_abandoned() -> None:
    """A ``break`` is a close."""
    router, port = make_router(), ScriptedPort(THREE)
    for _ in drive.stream(router.flow(Request(text="", id="r")), port):
        break
    assert ["a"] == port.closed
    assert "abandoned" == attempt(router).status


async def test_astream_closed_early_is_abandoned() -> None:
    """So it is under a loop."""
    router, port = make_router(), ScriptedPort(THREE)
    streaming = drive.astream(router.flow(Request(text="", id="r")), port)
    assert "one" == await anext(streaming)
    await streaming.aclose()
    assert ["a"] == port.closed
    assert "abandoned" == attempt(router).status
    assert 0 == router.state.steps


async def test_astream_broken_out_of_is_abandoned() -> None:
    """A ``break`` without a close leaves the closing to the loop, which does it soon."""
    router, port = make_router(), ScriptedPort(THREE)
    async for _ in drive.astream(router.flow(Request(text="", id="r")), port):
        break
    for _ in range(5):
        await asyncio.sleep(0)
    assert ["a"] == port.closed
    assert "abandoned" == attempt(router).status


def test_stream_never_begun_asks_nobody() -> None:
    """Closing a stream before its first piece calls no model and books nothing."""
    router, port = make_router(), ScriptedPort(THREE)
    drive.stream(router.flow(Request(text="", id="r")), port).close()
    assert [] == port.asked
    assert 0 == len(router.ledger)


def test_abandoned_answer_may_still_be_judged() -> None:
    """Whoever read the beginning may say how good it was."""
    router, port = make_router(), ScriptedPort(THREE)
    streaming = drive.stream(router.flow(Request(text="", id="r")), port)
    next(streaming)
    streaming.close()
    assert "counted" == router.feedback("r", 1.0)
    assert 1 == router.state.steps


def test_stream_closed_while_it_is_scored_is_booked_as_an_answer() -> None:
    """Once the last piece is out, the answer is whole: the scorer runs before the stream ends."""
    router = Router(arms=priced("a"), scorer=lambda _prompt, _answer: 0.5)
    assert ["one", "two", "three"] == list(
        drive.stream(router.flow(Request(text="", id="r")), ScriptedPort(THREE))
    )
    assert "ok" == attempt(router).status
    assert 1 == router.state.steps


def test_failing_join_does_not_hide_that_the_consumer_left() -> None:
    """Where the pieces so far make no reply, the attempt is booked without one."""

    class CannotJoin(ScriptedPort):
        def join(self, call: Call, pieces: object) -> Reply:
            raise TypeError("half a tool call")

    router = make_router()
    streaming = drive.stream(router.flow(Request(text="", id="r")), CannotJoin(THREE))
    next(streaming)
    streaming.close()
    assert ("abandoned", None) == (attempt(router).status, attempt(router).usage)


async def test_closed_coroutine_is_abandoned() -> None:
    """A coroutine that nobody awaits to its end gives its decision up."""
    router, port = make_router(), Hanging()
    waiting = drive.arun(router.flow(Request(text="", id="r")), port)
    waiting.send(None)
    waiting.close()
    assert ["a"] == port.closed
    assert "abandoned" == attempt(router).status

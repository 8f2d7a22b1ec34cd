"""The four drivers: they do the waiting that flows ask for. The only file that awaits.

    run      arun         the answer as a whole
    stream   astream      the answer piece by piece

All four send a `Reply` back into the flow for each `Call`, or throw an `ArmError`, and differ in
nothing else. A stream holds its pieces back until the first visible one: until then an arm may fail
and another take over unseen; after it, its failure must surface, for two answers would be spliced.

An arm with ``timeout_s`` is awaited in a thread of its own (sync) or under `asyncio.timeout`
(async); without one it runs right here, which costs nothing. A thread cannot be killed: an arm that
hangs goes on hanging in its daemon thread, but its caller does not.
"""

import asyncio
import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar, cast

from pickllm.errors import ArmError, ArmRefused, ArmTimeout, Interrupted
from pickllm.protocols import Asking, Port, Step
from pickllm.types import Call, Piece, Reply, Work

__all__ = ["Clock", "arun", "astream", "run", "stream", "work"]

T = TypeVar("T")

_AHEAD = 8
"""Pieces that an arm in a thread of its own may be ahead of its consumer."""

Clock: TypeAlias = Callable[[], float]
"""Seconds that never run backwards."""


def work(flow: Asking[T]) -> T:
    """Drive a flow that asks no model, and so needs no port."""
    return run(flow, cast("Port", None))


def run(flow: Asking[T], port: Port, *, clock: Clock = time.perf_counter) -> T:
    """Drive a flow to its result."""
    journey = _Journey(flow)
    with journey.interruptible():
        while (step := journey.step) is not None:
            try:
                value = (
                    step.run() if isinstance(step, Work) else _call(journey.asks(step, port, clock))
                )
            except Exception as error:
                journey.fail(error)
            else:
                journey.answer(value)
    return cast("T", journey.result)


async def arun(flow: Asking[T], port: Port, *, clock: Clock = time.perf_counter) -> T:
    """Drive a flow to its result without blocking the loop."""
    journey = _Journey(flow)
    with journey.interruptible():
        while (step := journey.step) is not None:
            try:
                value = await (
                    asyncio.to_thread(step.run)
                    if isinstance(step, Work)
                    else _acall(journey.asks(step, port, clock))
                )
            except Exception as error:
                journey.fail(error)
            else:
                journey.answer(value)
    return cast("T", journey.result)


def stream(
    flow: Asking[T], port: Port, *, clock: Clock = time.perf_counter
) -> Generator[Any, None, T]:
    """Drive a flow, yielding the payloads of its answer's pieces; returns the flow's result."""
    journey = _Journey(flow)
    with journey.interruptible():
        while (step := journey.step) is not None:
            try:
                if isinstance(step, Work):
                    value = step.run()
                else:
                    value = yield from _show(journey.asks(step, port, clock))
            except Exception as error:
                journey.fail(error)
            else:
                journey.answer(value)
    return cast("T", journey.result)


async def astream(
    flow: Asking[T], port: Port, *, clock: Clock = time.perf_counter
) -> AsyncGenerator[Any, None]:
    """Drive a flow without blocking the loop, yielding the payloads of its answer's pieces."""
    journey = _Journey(flow)
    with journey.interruptible():
        while (step := journey.step) is not None:
            try:
                if isinstance(step, Work):
                    value = await asyncio.to_thread(step.run)
                else:
                    question = journey.asks(step, port, clock)
                    async with contextlib.aclosing(_ashow(question)) as payloads:
                        async for payload in payloads:
                            yield payload
                    value = question.reply()
            except Exception as error:
                journey.fail(error)
            else:
                journey.answer(value)


@dataclass(slots=True)
class _Journey(Generic[T]):
    """A flow under way: the step it waits for, and its result once it has returned."""

    flow: Asking[T]
    step: Step | None = None
    result: T | None = None
    question: "_Question | None" = None
    """The call under way, if one is."""

    def __post_init__(self) -> None:
        self._advance(lambda: next(self.flow))

    def asks(self, call: Call, port: Port, clock: Clock) -> "_Question":
        """A call is under way from now on."""
        self.question = _Question(call, port, clock)
        return self.question

    def answer(self, value: object) -> None:
        """Give the flow what it asked for."""
        self.question = None
        self._advance(lambda: self.flow.send(value))

    def fail(self, error: BaseException) -> None:
        """Tell the flow that what it asked for went wrong."""
        self.question = None
        self._advance(lambda: self.flow.throw(error))

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Tell the flow of a cancellation, or of a consumer who leaves; then let it go on.

        Who is cancelled after something was shown has left, whether a piece was awaited just then
        or read: what was read may be judged.
        """
        try:
            yield
        except Exception:
            raise
        except BaseException as stop:
            left = isinstance(stop, GeneratorExit) or (self.question and self.question.shown)
            status: Any = "abandoned" if left else "cancelled"
            so_far = self.question.so_far() if self.question else None
            waited_s = self.question.waited_s if self.question else 0.0
            with contextlib.suppress(Interrupted):
                self.fail(Interrupted(status, so_far=so_far, waited_s=waited_s))
            raise

    def _advance(self, move: Callable[[], Step]) -> None:
        try:
            self.step = move()
        except StopIteration as stop:
            self.step, self.result = None, stop.value


def _call(question: "_Question") -> Reply:
    call, port = question.call, question.port
    with question.waiting():
        if call.timeout_s is None:
            reply = port.call(call)
        else:
            reply = _first_from_thread(lambda: iter([port.call(call)]), call)
    return replace(reply, arm=call.arm, latency_s=question.waited_s)


async def _acall(question: "_Question") -> Reply:
    with question.waiting():
        async with _limit(question.call):
            reply = await question.port.acall(question.call)
    return replace(reply, arm=question.call.arm, latency_s=question.waited_s)


@dataclass(slots=True)
class _Question:
    """A call under way: how long we have waited, what has come of a stream, what was shown."""

    call: Call
    port: Port
    clock: Clock
    pieces: list[Piece] = field(default_factory=list)
    waited_s: float = 0.0
    first_piece_s: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the consumer has seen something."""
        return self.first_piece_s is not None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as time spent waiting for the arm, and a failure as the arm's."""
        began = self.clock()
        try:
            yield
        except BaseException as error:
            self.waited_s += self.clock() - began
            if not isinstance(error, Exception):
                raise
            raise _failure(  # noqa: B904  # sets its cause itself
                error, self.call, latency_s=self.waited_s, shown=self.shown
            )
        self.waited_s += self.clock() - began

    def release(self, piece: Piece) -> list[Any]:
        """Payloads that may be shown now that this piece has come."""
        self.pieces.append(piece)
        if self.shown:
            return [piece.payload]
        if not piece.visible:
            return []
        self.first_piece_s = self.waited_s
        return [held.payload for held in self.pieces]

    def rest(self) -> list[Any]:
        """Payloads of an answer that has ended without a visible piece."""
        return [] if self.shown else [held.payload for held in self.pieces]

    def reply(self) -> Reply:
        """The whole answer."""
        with self.waiting():
            if not self.pieces:
                raise ArmRefused(f"arm {self.call.arm!r} streamed nothing", arm=self.call.arm)
            whole = self.port.join(self.call, self.pieces)
        return replace(
            whole,
            arm=self.call.arm,
            latency_s=self.waited_s,
            first_piece_s=self.first_piece_s,
        )

    def so_far(self) -> Reply | None:
        """What has come of the answer, or None where that makes no reply."""
        try:
            return self.reply()
        except ArmError:
            return None


def _show(question: _Question) -> Generator[Any, None, Reply]:
    pieces = _pieces(question.call, question.port)
    try:
        while True:
            with question.waiting():
                piece = next(pieces, None)
            if piece is None:
                break
            yield from question.release(piece)
    finally:
        with contextlib.suppress(Exception):  # an arm that cannot close must not hide why we leave
            pieces.close()
    yield from question.rest()
    return question.reply()


async def _ashow(question: _Question) -> AsyncGenerator[Any, None]:
    with question.waiting():
        pieces = question.port.astream(question.call)
    try:
        while True:
            with question.waiting():
                async with _limit(question.call):
                    piece = await anext(pieces, None)
            if piece is None:
                break
            for payload in question.release(piece):
                yield payload
    finally:
        with contextlib.suppress(Exception):  # as above
            await _aclose(pieces)
    for payload in question.rest():
        yield payload


def _failure(error: Exception, call: Call, *, latency_s: float, shown: bool = False) -> ArmError:
    """The error as a failure of the arm called; one that is already ours about it stays itself."""
    if isinstance(error, ArmError) and error.arm == call.arm:
        failure = error
    else:
        failure = ArmError(f"arm {call.arm!r} failed: {type(error).__name__}", arm=call.arm)
        failure.__cause__ = error
    failure.latency_s, failure.shown = latency_s, shown or failure.shown
    return failure


def _timeout(call: Call) -> ArmTimeout:
    return ArmTimeout(
        f"arm {call.arm!r} gave nothing for {call.timeout_s} s: raise its timeout_s if it may "
        "take longer",
        arm=call.arm,
    )


@contextlib.asynccontextmanager
async def _limit(call: Call) -> AsyncIterator[None]:
    """`ArmTimeout` when the time limit of the call runs out inside."""
    scope = asyncio.timeout(call.timeout_s)
    try:
        async with scope:
            yield
    except TimeoutError:
        if scope.expired():
            raise _timeout(call) from None
        raise


def _pieces(call: Call, port: Port) -> Generator[Piece, None, None]:
    if call.timeout_s is None:
        yield from port.stream(call)
    else:
        yield from _from_thread(lambda: port.stream(call), call)


def _first_from_thread(source: Callable[[], Iterator[T]], call: Call) -> T:
    with contextlib.closing(_from_thread(source, call)) as items:
        return next(items)


def _from_thread(source: Callable[[], Iterator[T]], call: Call) -> Generator[T, None, None]:
    """The items of an iterator that lives in a daemon thread, each within the call's time limit."""
    items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    wanted = threading.Semaphore(_AHEAD)
    left = threading.Event()

    def pump() -> None:
        try:
            iterator = source()
            try:
                for item in iterator:
                    items.put(("item", item))
                    wanted.acquire()
                    if left.is_set():
                        break
            finally:
                getattr(iterator, "close", lambda: None)()
            items.put(("end", None))
        except BaseException as error:  # handed to the thread that waits
            items.put(("error", error))

    run_here = contextvars.copy_context().run
    threading.Thread(target=run_here, args=(pump,), daemon=True, name="pickllm-arm").start()
    try:
        while True:
            try:
                kind, item = items.get(timeout=call.timeout_s)
            except queue.Empty:
                raise _timeout(call) from None
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
            wanted.release()
    finally:
        left.set()
        wanted.release()


async def _aclose(pieces: AsyncIterator[Piece]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()

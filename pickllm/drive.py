"""The drivers: they do the waiting that flows ask for. The only file that awaits.

    run      arun         the answer as a whole
    stream   astream      the answer piece by piece
    rounds   arounds      what is asked in rounds, each round at once

Those of one answer send a `Reply` back into the flow for each `Call`, or throw an `ArmError`, and
differ in nothing else. A stream holds its pieces back until the first visible one: until then an
arm may fail and another take over unseen; after it, its failure must surface, for two answers would
be spliced. An answer that a flow wants held back is a draft: nothing of it is shown before its
`Release`, and a stream of which enough has come stands still until then, or is closed by a
`Withdraw`.

An arm with ``timeout_s`` is awaited in a thread of its own (sync) or under `asyncio.timeout`
(async); without one it runs right here, which costs nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from pickllm.errors import Interrupted
from pickllm.protocols import Asking, Port
from pickllm.question import Clock, Question
from pickllm.steps import Call, Recite, Release, Step, Withdraw, Work
from pickllm.time_limits import first_in_thread, in_thread, timed_out
from pickllm.types import Piece, Reply

__all__ = ["arounds", "arun", "astream", "rounds", "run", "stream", "work"]

T = TypeVar("T")
Asked = TypeVar("Asked")
Answers = TypeVar("Answers")


def work(flow: Asking[T]) -> T:
    """Drive a flow that asks no model, and so needs no port."""
    return run(flow, cast("Port", None))


def run(flow: Asking[T], port: Port, *, clock: Clock = time.perf_counter) -> T:
    """Drive a flow to its result."""
    journey = _Journey(flow)
    with journey.interruptible():
        while (step := journey.step) is not None:
            try:
                if isinstance(step, Call):
                    value: object = _call(journey.asks(step, port, clock))
                elif isinstance(step, Work):
                    value = step.run()
                else:
                    value = _whole(step, port)
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
                if isinstance(step, Call):
                    value: object = await _acall(journey.asks(step, port, clock))
                elif isinstance(step, Work):
                    value = await asyncio.to_thread(step.run)
                else:
                    value = await _awhole(step, port)
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
    with contextlib.ExitStack() as drafts, journey.interruptible():
        drafts.callback(journey.close_drafts)
        while (step := journey.step) is not None:
            try:
                if isinstance(step, Work):
                    value = step.run()
                else:
                    value = yield from _shown(step, journey, port, clock)
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
    async with contextlib.AsyncExitStack() as drafts:
        drafts.push_async_callback(journey.aclose_drafts)
        with journey.interruptible():
            while (step := journey.step) is not None:
                try:
                    value: list[Any] = []
                    if isinstance(step, Work):
                        value = [await asyncio.to_thread(step.run)]
                    else:
                        shown = _ashown(step, journey, port, clock, value)
                        async with contextlib.aclosing(shown) as payloads:
                            async for payload in payloads:
                                yield payload
                except Exception as error:
                    journey.fail(error)
                else:
                    journey.answer(value[0])


def rounds(asking: Generator[Asked, Answers, T], ask: Callable[[Asked], Answers]) -> T:
    """Drive what asks several things at once, waits for all the answers, and may ask again.

    Args:
        asking: Yields what to ask, and is sent what came of it.
        ask: Asks all of a round; what fails it keeps among the answers.
    """
    try:
        asked = next(asking)
        while True:
            asked = asking.send(ask(asked))
    except StopIteration as stop:
        return cast("T", stop.value)


async def arounds(
    asking: Generator[Asked, Answers, T], ask: Callable[[Asked], Awaitable[Answers]]
) -> T:
    """The same without blocking the loop."""
    try:
        asked = next(asking)
        while True:
            asked = asking.send(await ask(asked))
    except StopIteration as stop:
        return cast("T", stop.value)


@dataclass(slots=True)
class _Journey(Generic[T]):
    """A flow under way: the step it waits for, and its result once it has returned."""

    flow: Asking[T]
    step: Step | None = None
    result: T | None = None
    question: Question | None = None
    """The call under way, if one is."""
    drafts: list[Question] = field(default_factory=list)
    """Calls whose answers are held back."""

    def __post_init__(self) -> None:
        self._advance(lambda: next(self.flow))

    def asks(self, call: Call, port: Port, clock: Clock) -> Question:
        """A call is under way from now on."""
        self.question = Question(call, port, clock)
        return self.question

    def recites(self, step: Recite, port: Port, clock: Clock) -> Reply:
        """An answer that was kept, ready to be released."""
        question = Question(
            Call(decision=step.decision, arm=step.kept.arm),
            port,
            clock,
            pieces=list(port.recited_pieces(step.decision, step.kept)),
            draft=port.recited(step.decision, step.kept),
            recital=True,
        )
        self.drafts.append(question)
        assert question.draft is not None
        return question.draft

    def goes_on(self, step: Release | Withdraw) -> Question:
        """The call that gave a draft, which the flow wants to go on with, or to leave."""
        question = next(each for each in self.drafts if each.draft is step.reply)
        self.question = question
        return question

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

    def close_drafts(self) -> None:
        """Stop the streams that are still held back."""
        for question in self.drafts:
            _close(question)

    async def aclose_drafts(self) -> None:
        """The same under a loop."""
        for question in self.drafts:
            await _aclose(question)

    def _advance(self, move: Callable[[], Step]) -> None:
        try:
            self.step = move()
        except StopIteration as stop:
            self.step, self.result = None, stop.value


def _whole(step: Release | Withdraw | Recite, port: Port) -> Reply:
    """What is held back is whole already."""
    if isinstance(step, Recite):
        return port.recited(step.decision, step.kept)
    if isinstance(step, Release):
        port.release(step.decision, step.reply)
    return step.reply


async def _awhole(step: Release | Withdraw | Recite, port: Port) -> Reply:
    """The same without blocking the loop."""
    if isinstance(step, Release):
        await port.arelease(step.decision, step.reply)
        return step.reply
    return _whole(step, port)


def _call(question: Question) -> Reply:
    call, port = question.call, question.port
    with question.waiting():
        if call.timeout_s is None:
            reply = port.call(call)
        else:
            reply = first_in_thread(lambda: iter([port.call(call)]), call)
    return question.timed(reply)


async def _acall(question: Question) -> Reply:
    with question.waiting():
        async with _limit(question.call):
            reply = await question.port.acall(question.call)
    return question.timed(reply)


def _shown(
    step: Call | Release | Withdraw | Recite, journey: _Journey[Any], port: Port, clock: Clock
) -> Generator[Any, None, Reply]:
    """The payloads of a step that has some, and what it comes to."""
    match step:
        case Call():
            question = journey.asks(step, port, clock)
            question.source = _pieces(step, port)
            if step.hold_back_chars is not None:
                journey.drafts.append(question)
                return _held_back(question)
        case Release():
            question = journey.goes_on(step)
            port.release(step.decision, step.reply)
            yield from question.show()
        case Withdraw():
            _close(journey.goes_on(step))
            return step.reply
        case Recite():
            return journey.recites(step, port, clock)
    yield from _to_its_end(question)
    yield from question.rest()
    return question.reply()


async def _ashown(
    step: Call | Release | Withdraw | Recite,
    journey: _Journey[Any],
    port: Port,
    clock: Clock,
    value: list[Any],
) -> AsyncGenerator[Any, None]:
    """The same without blocking the loop; what the step comes to is put into ``value``."""
    match step:
        case Call():
            question = journey.asks(step, port, clock)
            with question.waiting():
                question.source = port.astream(step)
            if step.hold_back_chars is not None:
                journey.drafts.append(question)
                value.append(await _aheld_back(question))
                return
        case Release():
            question = journey.goes_on(step)
            await port.arelease(step.decision, step.reply)
            for payload in question.show():
                yield payload
        case Withdraw():
            await _aclose(journey.goes_on(step))
            value.append(step.reply)
            return
        case Recite():
            value.append(journey.recites(step, port, clock))
            return
    async with contextlib.aclosing(_ato_its_end(question)) as payloads:
        async for payload in payloads:
            yield payload
    for payload in question.rest():
        yield payload
    value.append(question.reply())


def _to_its_end(question: Question) -> Generator[Any, None, None]:
    try:
        while (piece := _next(question)) is not None:
            yield from question.release(piece)
    finally:
        _close(question)


async def _ato_its_end(question: Question) -> AsyncGenerator[Any, None]:
    try:
        while (piece := await _anext(question)) is not None:
            for payload in question.release(piece):
                yield payload
    finally:
        await _aclose(question)


def _held_back(question: Question) -> Reply:
    while not question.enough:
        piece = _next(question)
        if piece is None:
            _close(question)
            break
        question.keep(piece)
    return question.held_back()


async def _aheld_back(question: Question) -> Reply:
    while not question.enough:
        piece = await _anext(question)
        if piece is None:
            await _aclose(question)
            break
        question.keep(piece)
    return question.held_back()


def _next(question: Question) -> Piece | None:
    """The arm's next piece; None where its stream has ended, or had before."""
    if question.source is None:
        return None
    with question.waiting():
        return cast("Piece | None", next(question.source, None))


async def _anext(question: Question) -> Piece | None:
    if question.source is None:
        return None
    with question.waiting():
        async with _limit(question.call):
            return cast("Piece | None", await anext(question.source, None))


def _close(question: Question) -> None:
    source, question.source = question.source, None
    with contextlib.suppress(Exception):  # an arm that cannot close must not hide why we leave
        getattr(source, "close", _nothing)()


async def _aclose(question: Question) -> None:
    source, question.source = question.source, None
    close = getattr(source, "aclose", None)
    if close is not None:
        with contextlib.suppress(Exception):  # as above
            await close()


@contextlib.asynccontextmanager
async def _limit(call: Call) -> AsyncIterator[None]:
    """`ArmTimeout` when the time limit of the call runs out inside."""
    scope = asyncio.timeout(call.timeout_s)
    try:
        async with scope:
            yield
    except TimeoutError:
        if scope.expired():
            raise timed_out(call) from None
        raise


def _pieces(call: Call, port: Port) -> Generator[Piece, None, None]:
    if call.timeout_s is None:
        yield from port.stream(call)
    else:
        yield from in_thread(lambda: port.stream(call), call)


def _nothing() -> None: ...

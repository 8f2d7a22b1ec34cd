"""Content-block streams (``stream_events(version="v3")``) of a routed answer.

Nothing runs before the consumer pulls. The event that finishes the message makes consumers stop
pulling, so the generator is run to its end before they get to see it: what stands behind its last
event, closing the router's run and booking the decision, is done before the consumer goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    ChatModelStream,
)

from langchain_pickllm.event_port import EventPort
from langchain_pickllm.runs import arouter_run, router_run
from langchain_pickllm.turn import Turn
from pickllm import drive

if TYPE_CHECKING:
    from langchain_pickllm.entry_points import RoutedEntryPoints

__all__ = ["aevent_stream", "event_stream"]

_FINISH = "message-finish"


def event_stream(model: "RoutedEntryPoints", turn: Turn) -> ChatModelStream:
    """The answer to a turn, as a stream that is pulled."""
    stream, events = ChatModelStream(), _events(model, turn)

    def pump() -> bool:
        try:
            event = next(events, None)
            if event is None:
                return False
            if event["event"] == _FINISH:
                for _ in events:
                    pass
            stream.dispatch(event)
        except BaseException as error:  # the consumer meets it in the stream
            stream.fail(error)
            return False
        return True

    stream.bind_pump(pump)
    return stream


def aevent_stream(model: "RoutedEntryPoints", turn: Turn) -> AsyncChatModelStream:
    """The answer to a turn, as a stream that a task of its own feeds."""
    stream, events = AsyncChatModelStream(), _aevents(model, turn)

    async def produce() -> None:
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if event["event"] == _FINISH:
                        async for _ in events:
                            pass
                    stream.dispatch(event)
        except asyncio.CancelledError as error:
            stream.fail(error)
            raise
        except BaseException as error:  # the consumer meets it in the stream
            stream.fail(error)

    async def start() -> None:
        # aclose() cancels the task that it finds under this name, and no public one sets it
        if stream._producer_task is None:  # noqa: SLF001
            stream._producer_task = asyncio.create_task(produce())  # noqa: SLF001

    stream.set_start(start)
    return stream


def _events(model: "RoutedEntryPoints", turn: Turn) -> Iterator[dict[str, Any]]:
    with router_run(model, turn, EventPort) as (run, port):
        yield from drive.stream(turn.flow(), port)
        run.on_chain_end(port.whole)


async def _aevents(model: "RoutedEntryPoints", turn: Turn) -> AsyncGenerator[dict[str, Any], None]:
    async with arouter_run(model, turn, EventPort) as (run, port):
        async with contextlib.aclosing(drive.astream(turn.flow(), port)) as events:
            async for event in events:
                yield event
        await run.on_chain_end(port.whole)

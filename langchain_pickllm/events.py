"""Content-block streams (``stream_events(version="v3")``) fed from a generator of protocol events.

Nothing runs before the consumer pulls. The event that finishes the message makes consumers stop
pulling, so the generator is run to its end before they get to see it: what stands behind its last
event, closing the router's run and booking the decision, is done before the consumer goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    ChatModelStream,
)

__all__ = ["aevent_stream", "event_stream"]

_FINISH = "message-finish"


def event_stream(events: Iterator[dict[str, Any]]) -> ChatModelStream:
    """A stream that pulls from ``events``."""
    stream = ChatModelStream()

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


def aevent_stream(events: AsyncGenerator[dict[str, Any], None]) -> AsyncChatModelStream:
    """A stream that a task of its own feeds from ``events``."""
    stream = AsyncChatModelStream()

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

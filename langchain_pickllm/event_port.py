"""Arms asked for content-block streams, behind the core's port."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import fields
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.utils import coro_with_context

from langchain_pickllm.port import ChatPort
from langchain_pickllm.reading import text_shown_by
from langchain_pickllm.recital import recited_events, recited_message
from langchain_pickllm.stamp import stamped, stamped_event
from langchain_pickllm.wrappers import chat_model_below
from pickllm.errors import ArmRefused
from pickllm.steps import Call
from pickllm.types import Decision, Kept, Piece, Reply

__all__ = ["EventPort", "by_events"]


class EventPort(ChatPort):
    """A pool's models for the content-block protocol of ``stream_events(version="v3")``.

    A sync stream of it cannot be closed, so there a draft is read to its end: none of its pieces
    counts as text.
    """

    def stream(self, call: Call) -> Iterator[Piece]:
        """The events of the arm's own stream; the last one carries the decision."""
        arm, messages, config, kwargs = self._prepared(call)
        with set_config_context(config) as context:
            start = _chat_only(call, arm).stream_events
            events = context.run(start, messages, config, version="v3", **kwargs)
            pulled = iter(events)
            while (event := context.run(next, pulled, None)) is not None:
                yield _event_piece(call, event)
        self.arm_to_whole[call.arm] = stamped(events.output, call)

    async def _on_loop(self, call: Call) -> AsyncGenerator[Piece, None]:
        """The events of the arm's own stream; the last one carries the decision."""
        arm, messages, config, kwargs = self._prepared(call)
        with set_config_context(config) as context:
            start = _chat_only(call, arm).astream_events
            events = await coro_with_context(
                start(messages, config, version="v3", **kwargs), context
            )
            async with events:
                pulled = aiter(events)
                while (event := await coro_with_context(_next(pulled), context)) is not None:
                    yield _event_piece(call, event, chars=len(text_shown_by(event)))
                self.arm_to_whole[call.arm] = stamped(await events.output, call)

    def recited_pieces(self, decision: Decision, kept: Kept) -> Iterator[Piece]:
        """The same as the events of a stream."""
        for event in recited_events(recited_message(decision, kept)):
            yield Piece(payload=event, visible=True)

    def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
        """A stream that has ended has put the message together; before that, it is its text."""
        self.whole = self.arm_to_whole.get(call.arm)
        if self.whole is None:
            self.whole = AIMessage("".join(text_shown_by(piece.payload) for piece in pieces))
        return self._reply(call, self.whole)


def by_events(port: ChatPort) -> EventPort | None:
    """The same port with content-block streams; None where an arm has none."""
    if any(chat_model_below(arm) is None for arm in port.configured.models.values()):
        return None
    return EventPort(**{each.name: getattr(port, each.name) for each in fields(port)})


def _chat_only(call: Call, arm: Runnable[Any, Any]) -> Any:
    """The arm, which must be a chat model: others have no content-block streams."""
    if chat_model_below(arm) is None:
        raise ArmRefused(
            f"arm {call.arm!r} is no chat model, and content-block streams need one", arm=call.arm
        )
    return arm


def _event_piece(call: Call, event: dict[str, Any], *, chars: int = 0) -> Piece:
    if event["event"] == "message-finish":
        event = stamped_event(event, call)
    visible = event["event"].startswith("content-block")
    return Piece(payload=event, visible=visible, chars=chars)


async def _next(events: AsyncIterator[Any]) -> Any:
    return await anext(events, None)

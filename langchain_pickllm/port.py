"""LangChain's models behind the core's port: an arm is called as a chain would call it.

Each call gets a config whose parent is the router's run and whose metadata names decision and arm,
so the arm's own run, callbacks, tags, cache, rate limiter and retries work as ever, and its tokens
are counted once, on its own run.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, message_chunk_to_message
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.utils import coro_with_context

from langchain_pickllm.configured import Configured
from langchain_pickllm.conversation import is_plain, messages_of
from langchain_pickllm.held_runs import HeldRuns
from langchain_pickllm.reading import came_from_cache, finish_reason_of, shows, usage_of
from langchain_pickllm.recital import recited_chunk, recited_message
from langchain_pickllm.shapes import Shape
from langchain_pickllm.stamp import stamp_on, stamped, unstamped
from langchain_pickllm.threads import in_thread
from langchain_pickllm.tool_binding import TOOLS, bound_to
from langchain_pickllm.watching import watch
from langchain_pickllm.wrappers import (
    answers_in_thread,
    as_configured,
    router_inside,
    taken_by,
)
from pickllm.errors import ArmError, ArmRefused
from pickllm.router import Router
from pickllm.steps import Call
from pickllm.tool_fit import tools_fit
from pickllm.types import Decision, Kept, Piece, Reply

__all__ = ["ChatPort"]


@dataclass(kw_only=True)
class ChatPort:
    """The models of a pool, bound to the messages and the run of one call of the router."""

    router: Router
    configured: Configured
    messages: Sequence[BaseMessage] = field(repr=False)
    config: RunnableConfig
    """Config of the router's children."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the caller gave for the model: tools, stop, temperature, …"""
    shape: Shape | None = None
    """The shape that the answer shall have."""
    whole: Any = None
    """The streamed answer as one message, once it has ended."""
    arm_to_whole: dict[str, Any] = field(default_factory=dict)
    """The messages of content-block streams, which put them together themselves."""
    held: HeldRuns = field(default_factory=HeldRuns, repr=False)

    @property
    def whole_message(self) -> AIMessage:
        """The streamed answer as `invoke` gives it."""
        return cast("AIMessage", message_chunk_to_message(self.whole))

    def call(self, call: Call) -> Reply:
        """The arm's ``invoke``."""
        arm, messages, config, kwargs = self._prepared(call)
        with _shown_to_watchers(call, config), set_config_context(config) as context:
            message = context.run(arm.invoke, messages, config, **kwargs)
        return self._reply(call, stamped(_whole(call, message), call))

    async def acall(self, call: Call) -> Reply:
        """The arm's ``ainvoke``."""
        arm, messages, config, kwargs = self._prepared(call)
        with _shown_to_watchers(call, config), set_config_context(config) as context:
            if answers_in_thread(arm, stream=False):
                asked = in_thread(arm.invoke, messages, config, **kwargs)
            else:
                asked = arm.ainvoke(messages, config, **kwargs)
            message = await coro_with_context(asked, context)
        return self._reply(call, stamped(_whole(call, message), call))

    def stream(self, call: Call) -> Iterator[Piece]:
        """The arm's ``stream``; the first chunk carries the decision."""
        arm, messages, config, kwargs = self._prepared(call)
        with set_config_context(config) as context:
            chunks = context.run(arm.stream, messages, config, **kwargs)
            try:
                first = True
                while (chunk := context.run(next, chunks, None)) is not None:
                    yield _piece(call, chunk, first=first)
                    first = False
            finally:
                context.run(getattr(chunks, "close", _nothing))

    async def astream(self, call: Call) -> AsyncIterator[Piece]:
        """The same on a loop; a model that knows no async works in threads."""
        threads = answers_in_thread(self.configured.models[call.arm], stream=True)
        pieces = _in_threads(self.stream(call)) if threads else self._on_loop(call)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _on_loop(self, call: Call) -> AsyncGenerator[Piece, None]:
        """The arm's ``astream``; the first chunk carries the decision."""
        arm, messages, config, kwargs = self._prepared(call)
        with set_config_context(config) as context:
            chunks = arm.astream(messages, config, **kwargs)
            try:
                first = True
                while (chunk := await coro_with_context(_next(chunks), context)) is not None:
                    yield _piece(call, chunk, first=first)
                    first = False
            finally:
                await coro_with_context(getattr(chunks, "aclose", _anothing)(), context)

    def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
        """Chunks add up to the whole message."""
        first, *others = (piece.payload for piece in pieces)
        self.whole = first + others if others else first
        return self._reply(call, self.whole)

    def release(self, decision: Decision, reply: Reply) -> None:
        """Who watches hears of the arm's run now, from its beginning."""
        with _stopped_by_handlers(reply.arm):
            self.held.show(reply.arm)

    async def arelease(self, decision: Decision, reply: Reply) -> None:
        """The same without blocking the loop."""
        with _stopped_by_handlers(reply.arm):
            await self.held.ashow(reply.arm)

    def close(self) -> None:
        """Nothing more is shown: who watches hears how the runs of drafts ended."""
        self.held.show(None)

    async def aclose(self) -> None:
        """The same without blocking the loop."""
        await self.held.ashow(None)

    def _prepared(
        self, call: Call
    ) -> tuple[Runnable[Any, Any], list[BaseMessage], RunnableConfig, dict[str, Any]]:
        """The arm with the call's tools bound its own way, and all that it is called with."""
        metadata = {"pickllm_decision_id": call.decision.id, "pickllm_arm": call.arm}
        config = self.config.copy()
        config["metadata"] = {**(config.get("metadata") or {}), **metadata}
        if call.is_held_back:
            config = self.held.config(call.arm, config)
        arm = as_configured(self.configured.arm(call.arm), config)
        messages = list(self.messages)
        if call.turns is not None:
            messages = messages_of(call.turns, messages)
        if router_inside(arm) is not None:
            messages = unstamped(messages, call.arm, self.configured.models)
        kwargs = {**(self.shape.kwargs(call.arm) if self.shape else {}), **self.kwargs}
        if TOOLS in kwargs or self.kwargs.get("tools"):  # those of a shape may be bound already
            arm, kwargs = bound_to(arm, kwargs)
        return arm, messages, config, taken_by(arm, kwargs)

    def _reply(self, call: Call, message: AIMessage) -> Reply:
        self._let_inner_router_hear(call, message)
        return Reply(
            text=message.text,
            message=message,
            usage=usage_of(message, self.messages, self.kwargs.get("tools")),
            finish_reason=finish_reason_of(message),
            called=not came_from_cache(message),
            calls_tools=bool(message.tool_calls or message.invalid_tool_calls),
            tools_fit=self._tools_fit(message),
            plain=is_plain(message),
        )

    def recited(self, decision: Decision, kept: Kept) -> Reply:
        """An answer that was kept, as a message."""
        self.whole = recited_message(decision, kept)
        return Reply(
            text=kept.text, message=self.whole, usage=kept.usage, called=False, arm=kept.arm
        )

    def recited_pieces(self, decision: Decision, kept: Kept) -> Iterator[Piece]:
        """The same as the only chunk of a stream."""
        yield Piece(payload=recited_chunk(decision, kept), visible=True)

    def _tools_fit(self, message: AIMessage) -> bool | None:
        """Whether the tools that a message asks for were offered, with arguments that fit."""
        if message.invalid_tool_calls:
            return False
        offered = self.kwargs.get("tools")
        if not message.tool_calls or not offered:
            return None
        functions = [tool.get("function") or {} for tool in offered if isinstance(tool, Mapping)]
        name_to_schema = {each["name"]: each.get("parameters", {}) for each in functions if each}
        calls = [(call["name"], call["args"]) for call in message.tool_calls]
        return tools_fit(calls, name_to_schema)

    def _let_inner_router_hear(self, call: Call, message: AIMessage) -> None:
        """An arm that is a router itself learns from what is said of this router's answer."""
        stamp = stamp_on(message).get("inner")
        if stamp is None:
            return
        inner = router_inside(self.configured.models[call.arm])
        if inner is not None:
            tell = partial(_pass_on, inner, stamp["decision_id"])
            self.router.relay(call.decision.id, tell, arm=call.arm)


@contextlib.contextmanager
def _shown_to_watchers(call: Call, config: RunnableConfig) -> Iterator[None]:
    """An arm that fails after its tokens were watched has failed in sight of the consumer."""
    watcher = None if call.is_held_back else watch(config)
    try:
        yield
    except Exception as error:
        if watcher is None or not watcher.seen:
            raise
        broken = f"arm {call.arm!r} broke off: {type(error).__name__}"
        raise ArmError(broken, arm=call.arm, shown=True) from error


@contextlib.contextmanager
def _stopped_by_handlers(arm: str) -> Iterator[None]:
    """A handler that may raise (``raise_error``) makes the arm fail, as it does within its run."""
    try:
        yield
    except Exception as error:
        stopped = f"arm {arm!r} was stopped by a handler: {type(error).__name__}"
        raise ArmError(stopped, arm=arm) from error


async def _in_threads(pieces: Iterator[Piece]) -> AsyncGenerator[Piece, None]:
    """Each piece awaited in a thread."""
    try:
        while (piece := await in_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        with contextlib.suppress(ValueError):  # a thread is still at work on the next
            getattr(pieces, "close", _nothing)()


async def _next(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, None)


def _checked(call: Call, message: object) -> AIMessage:
    if not isinstance(message, AIMessage):
        kind = "str" if isinstance(message, str) else type(message).__name__
        raise ArmRefused(
            f"arm {call.arm!r} returned {kind}, not an AIMessage: give chat models, without "
            "output parsers behind them",
            arm=call.arm,
        )
    return message


def _whole(call: Call, message: object) -> AIMessage:
    """The message; a chunk, as generators give them, is one that has no more to come."""
    return cast("AIMessage", message_chunk_to_message(_checked(call, message)))


def _piece(call: Call, chunk: object, *, first: bool) -> Piece:
    message = _checked(call, chunk)
    payload = stamped(message, call) if first else message
    return Piece(payload=payload, visible=shows(message), chars=len(message.text))


def _pass_on(router: Router, decision_id: str, value: float, source: str, correction: bool) -> None:
    if router.knows(decision_id):
        router.feedback(decision_id, value, source, correction=correction)


def _nothing() -> None: ...


async def _anothing() -> None: ...

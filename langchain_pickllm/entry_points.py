"""How LangChain calls a routed model: every way in, each one turn of the router.

The public methods of `BaseChatModel` are overridden, for only so can the arm's run hang below the
router's and everything be counted once; see `langchain_pickllm.runs`.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    ChatModelStream,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    LLMResult,
)
from langchain_core.runnables import RunnableConfig

from langchain_pickllm.batches import configs_for, result_of
from langchain_pickllm.event_port import by_events
from langchain_pickllm.events import aevent_stream, event_stream
from langchain_pickllm.port import ChatPort
from langchain_pickllm.runs import arouter_run, router_run
from langchain_pickllm.turn import Turn
from langchain_pickllm.watching import watched_by
from pickllm import drive

__all__ = ["RoutedEntryPoints"]


class RoutedEntryPoints(BaseChatModel):
    """A chat model whose calls are turns of a router; what a turn is, a subclass says."""

    @abstractmethod
    def _turn(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Turn:
        """Read a call."""

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask one arm."""
        turn = self._turn(input, config, stop, kwargs)
        with router_run(self, turn) as (run, port):
            message = self._answer(turn, port)
            run.on_chain_end(message)
        return message

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask one arm without blocking the loop."""
        turn = self._turn(input, config, stop, kwargs)
        async with arouter_run(self, turn) as (run, port):
            message = await self._aanswer(turn, port)
            await run.on_chain_end(message)
        return message

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Ask one arm, chunk by chunk; the first chunk carries the decision."""
        if self._streaming_disabled(**kwargs):
            yield cast("AIMessageChunk", self.invoke(input, config, stop=stop, **kwargs))
            return
        turn = self._turn(input, config, stop, kwargs)
        with router_run(self, turn) as (run, port):
            yield from drive.stream(turn.flow(), port)
            run.on_chain_end(port.whole)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Ask one arm, chunk by chunk, without blocking the loop."""
        if self._streaming_disabled(**kwargs):
            yield cast("AIMessageChunk", await self.ainvoke(input, config, stop=stop, **kwargs))
            return
        turn = self._turn(input, config, stop, kwargs)
        async with arouter_run(self, turn) as (run, port):
            async with aclosing(drive.astream(turn.flow(), port)) as chunks:
                async for chunk in chunks:
                    yield chunk
            await run.on_chain_end(port.whole)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Route each list of messages by itself."""
        configs = configs_for(len(messages), callbacks, tags, metadata, run_name, run_id)
        answers = [
            self.invoke(asked, config, stop=stop, **kwargs)
            for asked, config in zip(messages, configs, strict=True)
        ]
        return result_of(answers, configs)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Route each list of messages by itself, all at once."""
        configs = configs_for(len(messages), callbacks, tags, metadata, run_name, run_id)
        answers = await asyncio.gather(
            *(
                self.ainvoke(asked, config, stop=stop, **kwargs)
                for asked, config in zip(messages, configs, strict=True)
            ),
            return_exceptions=True,  # one failure must not leave the others running unwatched
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return result_of(cast("list[AIMessage]", answers), configs)

    def _chat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> ChatModelStream:
        """``stream_events(version="v3")``."""
        return event_stream(self, self._turn(input, config, stop, kwargs))

    async def _achat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncChatModelStream:
        """``astream_events(version="v3")``."""
        return aevent_stream(self, self._turn(input, config, stop, kwargs))

    def _answer(self, turn: Turn, port: ChatPort) -> AIMessage:
        """The message given back; asked for in pieces where somebody watches a cascade."""
        if self._seen_as(turn, port) == "chunks":  # events of a sync stream come when it is whole
            for _ in drive.stream(turn.flow(), port):
                pass
            return port.whole_message
        return cast("AIMessage", drive.run(turn.flow(), port).reply.message)

    async def _aanswer(self, turn: Turn, port: ChatPort) -> AIMessage:
        """The same without blocking the loop."""
        seen_as = self._seen_as(turn, port)
        source = by_events(port) if seen_as == "events" else port
        if seen_as is None or source is None:
            return cast("AIMessage", (await drive.arun(turn.flow(), port)).reply.message)
        async with aclosing(drive.astream(turn.flow(), source)) as pieces:
            async for _ in pieces:
                pass
        return source.whole_message

    def _seen_as(self, turn: Turn, port: ChatPort) -> Literal["chunks", "events"] | None:
        """As what those who watch a cascade see its answer come; None where nobody watches one.

        By the beginning of a stream a cascade can tell what to show; by whole answers only at their
        end, and people would see nothing until then.
        """
        climbs = turn.router.cascade is not None and turn.request.hold is None
        if not climbs or self._streaming_disabled(**turn.kwargs):
            return None
        return watched_by(port.config)

    # Required of every chat model; only wrappers that bypass the public methods come here

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self.invoke(messages, stop=stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = await self.ainvoke(messages, stop=stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self.stream(messages, stop=stop, **kwargs):
            yield ChatGenerationChunk(message=chunk)

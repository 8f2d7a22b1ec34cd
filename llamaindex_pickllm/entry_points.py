"""How LlamaIndex calls a routed LLM: every way in, each one turn of the router.

None of these is decorated with LlamaIndex's callbacks: the arm's own method is, and its events and
tokens would be told of twice. Spans they all have; the class's base gives them to methods that it
knows, and tools get them here. Streams are plain functions that return generators: a generator
function's span would end before anything has run.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.tools import BaseTool
from llama_index.core.types import TokenAsyncGen, TokenGen
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel

from llamaindex_pickllm.asked import Asked, Method
from llamaindex_pickllm.driving import adrive, adrive_stream, drive_stream, drive_whole
from llamaindex_pickllm.turn import Turn
from pickllm.types import Capability, Routed

__all__ = ["RoutedEntryPoints"]

A = TypeVar("A")
M = TypeVar("M", bound=BaseModel)

_dispatcher = get_dispatcher(__name__)


class RoutedEntryPoints(FunctionCallingLLM):
    """An LLM whose calls are turns of a router; what a turn is, a subclass says."""

    # not abstract: LlamaIndex would put a span around each

    def _turn(self, asked: Asked[Any]) -> Turn:
        """Read a call."""
        raise NotImplementedError

    def _parsed(self, routed: Routed) -> None:
        """Note that an answer had the structure that it was asked for."""

    # Chat and complete

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Ask one arm."""
        return self._whole(_chat(messages, kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Ask one arm without blocking the loop."""
        return await self._awhole(_chat(messages, kwargs))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Ask one arm, frame by frame."""
        return self._stream(_chat(messages, kwargs))

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Ask one arm, frame by frame, without blocking the loop."""
        return await self._astream(_chat(messages, kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Let one arm go on with a text."""
        return self._whole(_complete(prompt, formatted, kwargs))

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Let one arm go on with a text, without blocking the loop."""
        return await self._awhole(_complete(prompt, formatted, kwargs))

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Let one arm go on with a text, frame by frame."""
        return self._stream(_complete(prompt, formatted, kwargs))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Let one arm go on with a text, frame by frame, without blocking the loop."""
        return await self._astream(_complete(prompt, formatted, kwargs))

    # Tools

    @_dispatcher.span
    def chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> ChatResponse:
        """Ask one arm that can call tools; it formats them its own way."""
        response: ChatResponse = self._whole(_with_tools(tools, user_msg, chat_history, kwargs))
        return response

    @_dispatcher.span
    async def achat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> ChatResponse:
        """The same without blocking the loop."""
        return await self._awhole(_with_tools(tools, user_msg, chat_history, kwargs))

    @_dispatcher.span
    def stream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """The same, frame by frame."""
        return self._stream(_with_tools(tools, user_msg, chat_history, kwargs))

    @_dispatcher.span
    async def astream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """The same, frame by frame, without blocking the loop."""
        return await self._astream(_with_tools(tools, user_msg, chat_history, kwargs))

    def predict_and_call(  # noqa: PLR0917  # LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Let one arm choose tools and their arguments, and call them."""
        given = _of_calling(
            verbose, allow_parallel_tool_calls, error_on_no_tool_call, error_on_tool_error, kwargs
        )
        return self._whole(self._calling(tools, user_msg, chat_history, given))

    async def apredict_and_call(  # noqa: PLR0917  # LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """The same without blocking the loop."""
        given = _of_calling(
            verbose, allow_parallel_tool_calls, error_on_no_tool_call, error_on_tool_error, kwargs
        )
        return await self._awhole(self._calling(tools, user_msg, chat_history, given))

    # Structures

    def structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        """One arm's answer in the shape of a class, got the arm's own way."""
        if self._prompts_itself:
            given: M = super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return given
        return self._whole(self._structured(output_cls, prompt, llm_kwargs, prompt_args))

    async def astructured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        """The same without blocking the loop."""
        if self._prompts_itself:
            given: M = await super().astructured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            return given
        return await self._awhole(self._structured(output_cls, prompt, llm_kwargs, prompt_args))

    def stream_structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        """The same as it grows."""
        if self._prompts_itself:
            return super().stream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._stream(self._structured(output_cls, prompt, llm_kwargs, prompt_args))

    async def astream_structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        """The same as it grows, without blocking the loop."""
        if self._prompts_itself:
            return await super().astream_structured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
        return await self._astream(self._structured(output_cls, prompt, llm_kwargs, prompt_args))

    # Prompts

    def predict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        """One arm's text for a prompt, with the arm's own system prompt and output parser."""
        if self._prompts_itself:
            return super().predict(prompt, **prompt_args)
        return self._whole(self._predict(prompt, prompt_args))

    async def apredict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        """The same without blocking the loop."""
        if self._prompts_itself:
            return await super().apredict(prompt, **prompt_args)
        return await self._awhole(self._predict(prompt, prompt_args))

    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        """The same, token by token."""
        if self._prompts_itself:
            return super().stream(prompt, **prompt_args)
        return self._stream(self._predict(prompt, prompt_args))

    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """The same, token by token, without blocking the loop."""
        if self._prompts_itself:
            return await super().astream(prompt, **prompt_args)
        return await self._astream(self._predict(prompt, prompt_args))

    # Inside

    @property
    def _prompts_itself(self) -> bool:
        """Whether it has prompts of its own to put around what is asked; the arms' are left out."""
        return any((self.system_prompt, self.output_parser, self.query_wrapper_prompt))

    def _whole(self, asked: Asked[A]) -> A:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        routed = drive_whole(self._turn(asked))
        if asked.method == "structured_predict":
            self._parsed(routed)
        return cast("A", routed.reply.message)

    async def _awhole(self, asked: Asked[A]) -> A:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        routed = await adrive(self._turn(asked))
        if asked.method == "structured_predict":
            self._parsed(routed)
        return cast("A", routed.reply.message)

    def _stream(self, asked: Asked[Any]) -> Generator[Any, None, None]:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        return drive_stream(self._turn(asked))

    async def _astream(self, asked: Asked[Any]) -> AsyncGenerator[Any, None]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        return await adrive_stream(self._turn(asked))

    def _calling(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None,
        history: list[ChatMessage] | None,
        kwargs: Mapping[str, Any],
    ) -> Asked[AgentChatResponse]:
        """Where no arm can call tools, all are asked for them in words."""
        needs = _TOOLS if self.metadata.is_function_calling_model else frozenset()
        return _with_tools(tools, user_msg, history, kwargs, method="predict_and_call", needs=needs)

    def _structured(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> Asked[M]:
        settings, for_router = _parted(llm_kwargs or {})
        return Asked(
            method="structured_predict",
            args=(output_cls, prompt),
            kwargs={"llm_kwargs": settings or None, **prompt_args},
            messages=prompt.format_messages(llm=self, **prompt_args),
            needs=frozenset({"structured_output"}),
            **for_router,
        )

    def _predict(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> Asked[str]:
        return Asked(
            method="predict",
            args=(prompt,),
            kwargs=prompt_args,
            messages=prompt.format_messages(llm=self, **prompt_args),
        )


_TOOLS: frozenset[Capability] = frozenset({"tools"})
_FOR_THE_ROUTER = ("fresh", "model", "tenant", "weights")
"""Arguments of a call that no arm gets to see."""


def _chat(messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> Asked[ChatResponse]:
    own, for_router = _parted(kwargs)
    needs = _TOOLS if own.get("tools") else frozenset()
    listed = list(messages)
    return Asked(
        method="chat", args=(listed,), kwargs=own, messages=listed, needs=needs, **for_router
    )


def _complete(prompt: str, formatted: bool, kwargs: Mapping[str, Any]) -> Asked[CompletionResponse]:
    own, for_router = _parted(kwargs)
    return Asked(
        method="complete",
        args=(prompt,),
        kwargs={"formatted": formatted, **own},
        messages=[ChatMessage(role=MessageRole.USER, content=prompt)],
        **for_router,
    )


def _with_tools(
    tools: Sequence[BaseTool],
    user_msg: str | ChatMessage | None,
    history: Sequence[ChatMessage] | None,
    kwargs: Mapping[str, Any],
    *,
    method: Method = "chat_with_tools",
    needs: frozenset[Capability] = _TOOLS,
) -> Asked[Any]:
    own, for_router = _parted(kwargs)
    asked = [user_msg] if isinstance(user_msg, ChatMessage) else []
    if isinstance(user_msg, str):
        asked = [ChatMessage(role=MessageRole.USER, content=user_msg)]
    given = {"chat_history": list(history)} if history is not None else {}
    return Asked(
        method=method,
        args=(tools,),
        kwargs={"user_msg": user_msg, **given, **own},
        messages=[*(history or ()), *asked],
        needs=needs if tools else frozenset(),
        **for_router,
    )


def _of_calling(
    verbose: bool, parallel: bool, no_call_fails: bool, failure_fails: bool, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """How tools are to be called, as arms know it."""
    return {
        "verbose": verbose,
        "allow_parallel_tool_calls": parallel,
        "error_on_no_tool_call": no_call_fails,
        "error_on_tool_error": failure_fails,
        **kwargs,
    }


def _parted(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for the arm, and those for the router: the arms pinned, weights, tenant."""
    own = {key: value for key, value in kwargs.items() if key not in _FOR_THE_ROUTER}
    return own, {key: kwargs[key] for key in _FOR_THE_ROUTER if key in kwargs}

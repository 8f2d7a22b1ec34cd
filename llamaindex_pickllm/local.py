"""A HuggingFace model in this process as a LlamaIndex LLM.

    LocalLLM.load("meta-llama/Llama-2-13b-chat-hf", dtype="bfloat16", device_map="auto")

LlamaIndex's own `HuggingFaceLLM` blocks the loop, ignores a call's settings, reports no usage,
writes two beginnings of text, drops images silently, calls no tools, answers noise to a prompt that
does not fit, and never ends a stream whose model has failed; this one does none of that.
"""

import asyncio
import threading
import uuid
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool
from pydantic import Field

from llamaindex_pickllm.local_turns import request_of
from llamaindex_pickllm.threads import in_thread, in_threads
from pickllm.errors import ConfigError
from pickllm.local import Generated, LocalModel

__all__ = ["LocalLLM"]

_UNSAID_WINDOW = 4096
_NOT_GENERATION = ("formatted", "stream", "tools", "tool_choice", "parallel_tool_calls")
"""Arguments of a call that are about its form, and mean nothing to the generation."""


class LocalLLM(FunctionCallingLLM):
    """A `transformers` chat model in this process.

    Async calls run in a thread, and a call that is cancelled or a stream that is left stops the
    model. Copies by ``deepcopy`` share the weights.
    """

    model: LocalModel = Field(exclude=True)
    temperature: float | None = None
    """0 is greedy; None leaves it to the model's own generation config."""
    max_tokens: int | None = None
    """Longest answer; None leaves it to the model's own generation config, or else is 256."""
    stop: list[str] | None = None
    """Texts that end an answer, where a call says nothing of its own."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Any other settings of `transformers.GenerationConfig`, such as ``{"top_p": 0.9}``."""

    @classmethod
    def load(
        cls, model: str | Path, *, chat: Mapping[str, Any] | None = None, **how: Any
    ) -> "LocalLLM":
        """Load by name or folder; ``how`` is that of `pickllm.local.LocalModel.load`.

        ``chat`` holds arguments of this class, such as ``{"max_tokens": 256}``.
        """
        unknown = sorted(set(chat or {}) - set(cls.model_fields))
        if unknown:
            raise ConfigError(
                f"LocalLLM knows no {unknown}: settings of the generation go into "
                "chat={'settings': {...}}"
            )
        return cls(model=LocalModel.load(model, **how), **(chat or {}))

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names components."""
        return "PickLLM_LocalLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """Window and tools as the model has them."""
        return LLMMetadata(
            context_window=self.model.window or _UNSAID_WINDOW,
            num_output=self.max_tokens or -1,
            is_chat_model=True,
            is_function_calling_model=self.model.knows_tools,
            model_name=self.model.name,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "LocalLLM":
        """Settings of its own, the same weights."""
        return self.model_copy()

    # Chat

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer as a whole."""
        return self._response(self._generated(messages, kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer in a thread; a call that is cancelled stops the model."""
        return self._response(await self._agenerated(messages, kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer in cumulative frames; the last one holds calls and usage."""
        return self._frames(messages, kwargs)

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """The same, from a thread."""
        return in_threads(self._frames(messages, kwargs))

    # Complete: a prompt is what a user says

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as a whole."""
        return _completion(self._response(self._generated(_said(prompt), kwargs)))

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt in a thread."""
        return _completion(self._response(await self._agenerated(_said(prompt), kwargs)))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt in cumulative frames."""
        return _completions(self._frames(_said(prompt), kwargs))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """The same, from a thread."""
        return in_threads(_completions(self._frames(_said(prompt), kwargs)))

    # Tools

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tools that a response calls."""
        blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if error_on_no_tool_call and not blocks:
            raise ValueError("the model called no tool, though one was asked for")
        return [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=dict(block.tool_kwargs) if isinstance(block.tool_kwargs, dict) else {},
            )
            for block in blocks
        ]

    def _prepare_chat_with_tools(  # noqa: PLR0917  # LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        asked = _said(user_msg) if isinstance(user_msg, str) else [user_msg] if user_msg else []
        shown = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        return {
            "messages": [*(chat_history or ()), *asked],
            "tools": shown,
            "tool_choice": tool_choice or ("required" if tool_required and shown else None),
            **kwargs,
        }

    # Inside

    def _generated(
        self,
        messages: Sequence[ChatMessage],
        kwargs: Mapping[str, Any],
        left: threading.Event | None = None,
    ) -> Generated:
        asked = request_of(messages, kwargs, knows_tools=self.model.knows_tools)
        stop, settings = self._settings(kwargs)
        return self.model.generate(asked.turns, tools=asked.tools, stop=stop, left=left, **settings)

    async def _agenerated(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> Generated:
        left = threading.Event()
        try:
            return await in_thread(lambda: self._generated(messages, kwargs, left))
        except asyncio.CancelledError:
            left.set()
            raise

    def _frames(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse, None, None]:
        asked = request_of(messages, kwargs, knows_tools=self.model.knows_tools)
        stop, settings = self._settings(kwargs)
        pieces = self.model.stream(asked.turns, tools=asked.tools, stop=stop, **settings)
        text = ""
        try:
            while True:
                try:
                    delta = next(pieces)
                except StopIteration as end:
                    done: Generated = end.value
                    break
                text += delta
                message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                yield ChatResponse(message=message, delta=delta)
        finally:
            pieces.close()
        yield self._response(done, delta="")

    def _response(self, done: Generated, delta: str | None = None) -> ChatResponse:
        written = "\n".join(
            text for text in (done.text, *(b.source for b in done.bad_calls)) if text
        )
        calls = [
            ToolCallBlock(
                tool_call_id=uuid.uuid4().hex[:9],  # as the templates of Mistral want them
                tool_name=call.name,
                tool_kwargs=dict(call.arguments),
            )
            for call in done.calls
        ]
        older = [{"id": c.tool_call_id, "function": {"name": c.tool_name}} for c in calls]
        message = ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[TextBlock(text=written), *calls],
            additional_kwargs={"tool_calls": older} if older else {},  # programs look for these
        )
        usage = {"prompt_tokens": done.tokens_in, "completion_tokens": done.tokens_out}
        raw = {"model": self.model.name, "usage": usage, "finish_reason": done.finish_reason}
        return ChatResponse(message=message, raw=raw, delta=delta)

    def _settings(self, kwargs: Mapping[str, Any]) -> tuple[Sequence[str], dict[str, Any]]:
        """Stop sequences, and the arguments of a call as settings of the generation."""
        given = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
            **self.settings,
            **{key: value for key, value in kwargs.items() if key not in _NOT_GENERATION},
        }
        stop = given.pop("stop") or ()
        temperature, max_tokens = given.pop("temperature"), given.pop("max_tokens")
        if max_tokens is not None:
            if max_tokens < 1:
                raise ConfigError(f"max_tokens is {max_tokens}; it must be at least 1")
            given["max_new_tokens"] = max_tokens
        if temperature is not None:
            if temperature < 0:
                raise ConfigError(f"temperature is {temperature}; it must be at least 0")
            given["do_sample"] = temperature > 0
            if temperature > 0:
                given["temperature"] = float(temperature)
        return stop, given


def _said(prompt: str) -> list[ChatMessage]:
    return [ChatMessage(role=MessageRole.USER, content=prompt)]


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "", raw=response.raw, delta=response.delta
    )


def _completions(frames: ChatResponseGen) -> CompletionResponseGen:
    try:
        for frame in frames:
            yield _completion(frame)
    finally:
        frames.close()

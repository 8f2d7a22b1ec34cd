"""LLMs that say what a test wrote down, through LlamaIndex's own machinery.

`ScriptedLLM` answers like a provider's: decorated with LlamaIndex's callbacks, async of its own,
cumulative frames, usage in ``raw``, tools formatted and parsed its own way. `ScriptedTextLLM` is
what people write from `CustomLLM`: text only, and async that blocks.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

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
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool
from pydantic import Field

__all__ = ["Asked", "ScriptedLLM", "ScriptedTextLLM", "user"]

_WAIT_S = 10.0
"""A test that hangs for this long has failed."""


def user(text: str) -> list[ChatMessage]:
    """One message of a human."""
    return [ChatMessage(role=MessageRole.USER, content=text)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One call that the LLM got."""

    way: str
    messages: Sequence[ChatMessage]
    kwargs: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """What the last message says."""
        return self.messages[-1].content or ""


class ScriptedLLM(FunctionCallingLLM):
    """Says ``says``, or calls the first of its tools with ``arguments``."""

    model: str = "scripted"
    says: str = "Hello there, friend"
    window: int = 8_000
    tools: bool = True
    arguments: dict[str, Any] = Field(default_factory=dict)
    reports_usage: bool = True
    error: BaseException | None = Field(default=None, exclude=True)
    """Raised by each call, ``heals_after`` of them at most."""
    heals_after: int | None = None
    words_before_error: int = 0
    """How many words of a stream are out before ``error`` comes."""
    waits_for: threading.Event | None = Field(default=None, exclude=True)
    """Awaited by each call, in a stream after the first word; by async ones on the loop."""
    api_key: str = ""
    counts: Counter[str] = Field(default_factory=Counter, exclude=True)
    """How often it was asked in each way; ``opened`` and ``closed`` streams."""
    seen: list[Asked] = Field(default_factory=list, exclude=True)

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    @classmethod
    def class_name(cls) -> str:
        return "scripted_llm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self.window,
            num_output=64,
            is_chat_model=True,
            is_function_calling_model=self.tools,
            model_name=self.model,
        )

    @property
    def calls(self) -> int:
        """How often it was asked, in whatever way."""
        return len(self.seen)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        failing = self._begin("chat", messages, kwargs)
        self._wait()
        return self._answer(messages, kwargs, failing)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        failing = self._begin("achat", messages, kwargs)
        await self._await()
        return self._answer(messages, kwargs, failing)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        def frames() -> ChatResponseGen:
            failing = self._begin("stream_chat", messages, kwargs)
            self.counts["opened"] += 1
            try:
                for number, frame in enumerate(self._frames(messages, kwargs, failing)):
                    if number == 1:
                        self._wait()
                    yield frame
            finally:
                self.counts["closed"] += 1

        return frames()

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        async def frames() -> ChatResponseAsyncGen:
            failing = self._begin("astream_chat", messages, kwargs)
            self.counts["opened"] += 1
            try:
                for number, frame in enumerate(self._frames(messages, kwargs, failing)):
                    await asyncio.sleep(0)
                    if number == 1:
                        await self._await()
                    yield frame
            finally:
                self.counts["closed"] += 1

        return frames()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        failing = self._begin("complete", user(prompt), kwargs)
        self._wait()
        return _completion(self._answer(user(prompt), kwargs, failing))

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        failing = self._begin("acomplete", user(prompt), kwargs)
        await self._await()
        return _completion(self._answer(user(prompt), kwargs, failing))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        def frames() -> CompletionResponseGen:
            failing = self._begin("stream_complete", user(prompt), kwargs)
            for frame in self._frames(user(prompt), kwargs, failing):
                yield _completion(frame)

        return frames()

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        async def frames() -> CompletionResponseAsyncGen:
            failing = self._begin("astream_complete", user(prompt), kwargs)
            for frame in self._frames(user(prompt), kwargs, failing):
                yield _completion(frame)

        return frames()

    def _prepare_chat_with_tools(  # noqa: PLR0917  # LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = chat_history if chat_history is not None else []
        if user_msg is not None:  # as some providers' own: the caller's list grows
            messages.extend(user(user_msg) if isinstance(user_msg, str) else [user_msg])
        names = [f"{self.model}:{tool.metadata.name}" for tool in tools]
        return {"messages": messages, "tools": names, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Reads its own calls only, as providers' do."""
        found = [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=json.loads(str(block.tool_kwargs)),
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]
        for selection in found:
            assert selection.tool_id.startswith(self.model), "another model's call"
        if error_on_no_tool_call and not found:
            raise ValueError("no tool was called")
        return found

    def _begin(self, way: str, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> bool:
        """Note a call; whether this one fails."""
        self.counts[way] += 1
        self.seen.append(Asked(way=way, messages=list(messages), kwargs=dict(kwargs)))
        healed = self.heals_after is not None and len(self.seen) > self.heals_after
        return self.error is not None and not healed

    def _wait(self) -> None:
        if self.waits_for is not None:
            assert self.waits_for.wait(_WAIT_S)

    async def _await(self) -> None:
        if self.waits_for is not None:
            async with asyncio.timeout(_WAIT_S):
                while not self.waits_for.is_set():  # noqa: ASYNC110  # a flag of threads
                    await asyncio.sleep(0.002)

    def _usage(self, messages: Sequence[ChatMessage]) -> dict[str, Any] | None:
        words = sum(len((message.content or "").split()) for message in messages)
        usage = {"prompt_tokens": words, "completion_tokens": len(self.says.split())}
        return {"usage": usage, "model": self.model} if self.reports_usage else None

    def _answer(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any], failing: bool
    ) -> ChatResponse:
        if failing:
            assert self.error is not None
            raise self.error
        return ChatResponse(message=self._message(messages, kwargs), raw=self._usage(messages))

    def _message(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatMessage:
        tools = kwargs.get("tools")
        if not tools or messages[-1].role == MessageRole.TOOL:
            return ChatMessage(role=MessageRole.ASSISTANT, content=self.says)
        call = ToolCallBlock(
            tool_call_id=f"{self.model}-call-{len(self.seen)}",
            tool_name=tools[0].removeprefix(f"{self.model}:"),
            tool_kwargs=json.dumps(self.arguments),
        )
        old = {"id": call.tool_call_id, "function": {"name": call.tool_name}}
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[TextBlock(text=""), call],
            additional_kwargs={"tool_calls": [old]},  # the older form, which programs still want
        )

    def _frames(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any], failing: bool
    ) -> ChatResponseGen:
        whole = self._message(messages, kwargs)
        if failing and not self.words_before_error:
            assert self.error is not None
            raise self.error
        yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=""), delta="")
        words, text = (whole.content or "").split(" "), ""
        for number, word in enumerate(words):
            if failing and number == self.words_before_error:
                assert self.error is not None
                raise self.error
            delta = f" {word}" if number else word
            text += delta
            message = whole.model_copy(update={"blocks": [TextBlock(text=text), *whole.blocks[1:]]})
            raw = self._usage(messages) if number == len(words) - 1 else None
            yield ChatResponse(message=message, delta=delta, raw=raw)


class ScriptedTextLLM(CustomLLM):
    """Goes on with a text by ``says``."""

    says: str = "Hello there, friend"
    window: int = 2_000
    error: Exception | None = Field(default=None, exclude=True)
    waits_for: threading.Event | None = Field(default=None, exclude=True)
    seen: list[str] = Field(default_factory=list, exclude=True)

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=self.window, num_output=64, model_name="text")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.seen.append(prompt)
        if self.waits_for is not None:
            assert self.waits_for.wait(_WAIT_S)
        if self.error is not None:
            raise self.error
        return CompletionResponse(text=self.says)

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        def frames() -> CompletionResponseGen:
            self.seen.append(prompt)
            if self.waits_for is not None:
                assert self.waits_for.wait(_WAIT_S)
            if self.error is not None:
                raise self.error
            text = ""
            for number, word in enumerate(self.says.split(" ")):
                delta = f" {word}" if number else word
                text += delta
                yield CompletionResponse(text=text, delta=delta)

        return frames()


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "", delta=response.delta, raw=response.raw
    )

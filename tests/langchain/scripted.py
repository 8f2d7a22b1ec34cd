"""A chat model that says what a test wrote down, through LangChain's own machinery.

It answers like a provider's model: an empty chunk first, words one by one, the finish reason, then
usage on the last chunk; tools formatted by ``bind_tools`` and called with arguments that fit their
schema. It counts what was asked of it, and which of its streams were closed.
"""

import asyncio
import json
import re
import threading
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from pickllm.lock import Lock

__all__ = ["Asked", "NoToolsChatModel", "ScriptedChatModel", "get_weather", "look_up"]

_WAIT_S = 10.0
"""A test that hangs for this long has failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One call that the model got."""

    messages: Sequence[BaseMessage]
    kwargs: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """What the last message says."""
        return self.messages[-1].text


class ScriptedChatModel(BaseChatModel):
    """Says ``says``, or calls one of the tools bound to it."""

    model_name: str = "scripted"
    says: str = "Hello there, friend"
    reports_usage: bool = True
    error: BaseException | None = None
    """Raised by each call, ``heals_after`` of them at most."""
    heals_after: int | None = None
    words_before_error: int = 0
    """How many words of a stream are out before ``error`` comes."""
    waits_for: threading.Event | None = None
    """Awaited by each call, in a stream after the first word; by async ones on the loop."""
    api_key: str = ""
    """Shows in this model's own repr: what is put around it must not repeat that."""
    counts: Counter[str] = Field(default_factory=Counter, exclude=True, repr=False)
    """How often ``invoke``, ``ainvoke``, ``stream``, ``astream``; ``opened``, ``closed``."""
    seen: list[Asked] = Field(default_factory=list, exclude=True, repr=False)

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    _lock: Lock = PrivateAttr(default_factory=Lock)

    @property
    def calls(self) -> int:
        """How often it was asked, in whatever way."""
        return sum(self.counts[way] for way in ("invoke", "ainvoke", "stream", "astream"))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Format tools as this model's provider wants them, signed with the model's name."""
        formatted = [
            {**convert_to_openai_tool(tool, strict=strict), "for": self.model_name}
            for tool in tools
        ]
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=formatted, **chosen, **kwargs)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model_name": self.model_name, "says": self.says}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        failing = self._begin("invoke", messages, stop, kwargs)
        if self.waits_for is not None:
            assert self.waits_for.wait(_WAIT_S)
        return self._whole(messages, stop, kwargs, failing=failing)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        failing = self._begin("ainvoke", messages, stop, kwargs)
        await asyncio.sleep(0)
        await self._await_signal()
        return self._whole(messages, stop, kwargs, failing=failing)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        failing = self._begin("stream", messages, stop, kwargs)
        self._count("opened")
        try:
            for number, chunk in enumerate(self._chunks(messages, stop, kwargs, failing=failing)):
                if number == 2 and self.waits_for is not None:
                    assert self.waits_for.wait(_WAIT_S)
                chunk.id = self._id_of("message", messages)
                yield ChatGenerationChunk(message=chunk)
        finally:
            self._count("closed")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        failing = self._begin("astream", messages, stop, kwargs)
        self._count("opened")
        try:
            for number, chunk in enumerate(self._chunks(messages, stop, kwargs, failing=failing)):
                await asyncio.sleep(0)
                if number == 2:
                    await self._await_signal()
                chunk.id = self._id_of("message", messages)
                yield ChatGenerationChunk(message=chunk)
        finally:
            self._count("closed")

    # The script

    def _whole(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        failing: bool,
    ) -> ChatResult:
        if failing and self.error is not None:
            raise self.error
        called = self._calls_of(messages, kwargs)
        text = "" if called else self._text(stop)
        message = AIMessage(
            content=text,
            id=self._id_of("message", messages),
            tool_calls=called,
            response_metadata=self._metadata(called),
            usage_metadata=self._usage(messages, text),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        failing: bool,
    ) -> Iterator[AIMessageChunk]:
        called = self._calls_of(messages, kwargs)
        text = "" if called else self._text(stop)
        first = AIMessageChunk(content="")
        words = (AIMessageChunk(content=word) for word in re.findall(r"\S+\s*", text))
        for number, chunk in enumerate(chain([first], words, _call_chunks(called))):
            if failing and self.error is not None and number == self.words_before_error:
                raise self.error
            yield chunk
        yield AIMessageChunk(content="", response_metadata=self._metadata(called))
        usage = self._usage(messages, text)
        yield AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")

    def _text(self, stop: list[str] | None) -> str:
        return min(
            (self.says.partition(word)[0] for word in stop or ()), key=len, default=self.says
        )

    def _metadata(self, called: Sequence[ToolCall]) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "model_provider": "scripted",
            "finish_reason": "tool_calls" if called else "stop",
        }

    def _usage(self, messages: Sequence[BaseMessage], text: str) -> UsageMetadata | None:
        if not self.reports_usage:
            return None
        tokens_in = sum(len(message.text.split()) for message in messages)
        tokens_out = max(len(text.split()), 1)
        return UsageMetadata(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            total_tokens=tokens_in + tokens_out,
        )

    def _id_of(self, what: str, messages: Sequence[BaseMessage]) -> str:
        """The same for the same conversation, so that two answers to it can be compared."""
        said = json.dumps([self.model_name, *(f"{m.type}: {m.text}" for m in messages)])
        return f"{what}-{zlib.crc32(said.encode()):08x}"

    def _calls_of(
        self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> list[ToolCall]:
        tools = [each["function"] for each in kwargs.get("tools") or ()]
        if not tools or isinstance(messages[-1], ToolMessage):
            return []
        prompt = messages[-1].text
        chosen = _chosen(tools, kwargs.get("tool_choice"), prompt)
        if chosen is None:
            return []
        args = _arguments(chosen.get("parameters", {}), prompt)
        return [tool_call(name=chosen["name"], args=args, id=self._id_of("call", messages))]

    # Counting and waiting

    def _begin(
        self,
        way: str,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> bool:
        """Note the call; says whether it is one that fails."""
        with self._lock:
            self.counts[way] += 1
            given = {**kwargs, **({"stop": stop} if stop else {})}
            self.seen.append(Asked(messages=tuple(messages), kwargs=given))
            return self.heals_after is None or self.calls <= self.heals_after

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    async def _await_signal(self) -> None:
        async with asyncio.timeout(_WAIT_S):
            while self.waits_for is not None and not self.waits_for.is_set():  # noqa: ASYNC110  # a flag of threads
                await asyncio.sleep(0.001)  # an asyncio.Event would be bound to one loop


@tool
def get_weather(place: str) -> str:
    """Weather at a place."""
    return f"sunny in {place}"


@tool
def look_up(place: str) -> str:
    """Weather at a place."""
    return f"sunny in {place}"


class NoToolsChatModel(ScriptedChatModel):
    """The same without tools: it inherits LangChain's ``bind_tools``, which is not implemented."""

    if not TYPE_CHECKING:  # a type checker takes it for a field
        bind_tools = BaseChatModel.bind_tools


def _call_chunks(called: Sequence[ToolCall]) -> Iterator[AIMessageChunk]:
    """Name and id first, then the arguments in two pieces."""
    for index, call in enumerate(called):
        args = json.dumps(call["args"], ensure_ascii=False)
        for name, piece, call_id in (
            (call["name"], "", call["id"]),
            (None, args[:4], None),
            (None, args[4:], None),
        ):
            part = tool_call_chunk(name=name, args=piece, id=call_id, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[part])


def _chosen(tools: Sequence[dict[str, Any]], choice: object, prompt: str) -> dict[str, Any] | None:
    """The tool forced by the choice, or else the one that the prompt speaks of."""
    named = choice["function"]["name"] if isinstance(choice, dict) else choice
    for each in tools:
        if each["name"] == named:
            return each
    spoken_of = [each for each in tools if _speaks_of(prompt, each["name"])]
    if spoken_of:
        return spoken_of[0]
    return tools[0] if choice in ("any", "required", True) else None


def _speaks_of(prompt: str, name: str) -> bool:
    return any(part in prompt.lower() for part in name.lower().split("_") if len(part) > 2)


def _arguments(schema: Mapping[str, Any], prompt: str) -> dict[str, Any]:
    """A value for each property, taken from the prompt where it holds one."""
    numbers = iter(re.findall(r"-?\d+", prompt))
    quoted = iter(re.findall(r"'([^']+)'", prompt))

    def value(of: Mapping[str, Any]) -> object:
        kind = of.get("type") or next((o.get("type") for o in of.get("anyOf", ())), "string")
        match kind:
            case "integer" | "number":
                return int(next(numbers, "1"))
            case "boolean":
                return True
            case "array":
                return []
            case "object":
                return {name: value(inner) for name, inner in of.get("properties", {}).items()}
            case _:
                return next(quoted, prompt)

    return {name: value(of) for name, of in schema.get("properties", {}).items()}

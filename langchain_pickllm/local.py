"""A HuggingFace model in this process as a LangChain chat model.

    ChatLocal.load("meta-llama/Llama-2-13b-chat-hf", dtype="bfloat16", device_map="auto")

LangChain's own wrapper of a pipeline has no async, reports no usage, echoes the prompt, loses tools
and renders images as text into it; this one does none of that.
"""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import (
    ToolCallChunk,
    invalid_tool_call,
    tool_call,
    tool_call_chunk,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_pickllm.local_turns import request_of
from pickllm.errors import ConfigError
from pickllm.local import Generated, LocalModel
from pickllm.local_requests import LocalRequest
from pickllm.tool_calls import BadToolCall

__all__ = ["ChatLocal"]


_NOT_GENERATION = ("stream", "tools", "tool_choice", "parallel_tool_calls", "strict")
"""Arguments of a call that are about its form, and mean nothing to the generation."""


class ChatLocal(BaseChatModel):
    """A `transformers` chat model in this process.

    Async calls run in a thread, and a call that is cancelled stops the model. Copies by `copy`,
    `deepcopy` or `pickle` take the weights along; ``model_copy`` shares them.
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
    ) -> "ChatLocal":
        """Load by name or folder; ``how`` is that of `pickllm.local.LocalModel.load`.

        ``chat`` holds arguments of this class, such as ``{"max_tokens": 256}``.
        """
        unknown = sorted(set(chat or {}) - set(cls.model_fields))
        if unknown:
            raise ConfigError(
                f"ChatLocal knows no {unknown}: settings of the generation go into "
                "chat={'settings': {...}}"
            )
        return cls(model=LocalModel.load(model, **how), **(chat or {}))

    @property
    def _llm_type(self) -> str:
        return "pickllm-local"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            "model": self.model.name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "default_stop": self.stop,  # LangChain puts the call's own under "stop"
            "settings": self.settings,
        }

    def _resolve_model_profile(self) -> ModelProfile:
        known = ModelProfile(
            image_inputs=False,
            audio_inputs=False,
            pdf_inputs=False,
            tool_calling=self.model.knows_tools,
            structured_output=False,
        )
        if self.model.window is not None:
            known["max_input_tokens"] = self.model.window
        return known

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        name = kwargs.get("model", self.model.name)
        return LangSmithParams(**{**params, "ls_provider": "local", "ls_model_name": name})

    def get_token_ids(self, text: str) -> list[int]:
        """Tokens of a text alone, by the model's own tokenizer."""
        return self.model.token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Length in tokens, by the model's own tokenizer and chat template."""
        shown = {"tools": [convert_to_openai_tool(tool) for tool in tools or ()]}
        asked = self._request(messages, shown)
        return self.model.count_tokens(asked.turns, tools=asked.tools)

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | Mapping[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Show tools to the model, if its chat template does.

        A ``tool_choice`` that wants a call, "any" or the name of a tool, asks for it in words and
        shows that tool alone; the model may still answer otherwise.
        """
        if not self.model.knows_tools:
            raise ConfigError(
                f"the chat template of {self.model.name} shows no tools to the model: take a model "
                "that was trained to call them"
            )
        formatted = [
            convert_to_openai_tool(dict(t) if isinstance(t, Mapping) else t) for t in tools
        ]
        given = {} if tool_choice is None else {"tool_choice": tool_choice}
        request_of([], {"tools": formatted, **given}, knows_tools=True)  # told now if it cannot be
        return self.bind(tools=formatted, **given, **kwargs)

    def _request(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> LocalRequest:
        if not messages:
            raise ConfigError("no messages: a chat model needs at least one")
        return request_of(messages, kwargs, knows_tools=self.model.knows_tools)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self._generated(messages, stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        left = threading.Event()
        try:
            done = await asyncio.to_thread(self._generated, messages, stop, kwargs, left)
        finally:
            left.set()
        return self._result(done)

    def _generated(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        left: threading.Event | None = None,
    ) -> Generated:
        asked = self._request(messages, kwargs)
        return self.model.generate(
            asked.turns,
            tools=asked.tools,
            stop=stop or self.stop or (),
            left=left,
            **self._settings(kwargs),
        )

    def _result(self, done: Generated) -> ChatResult:
        message = AIMessage(
            content=done.text,
            tool_calls=[
                tool_call(name=call.name, args=dict(call.arguments), id=_new_id())
                for call in done.calls
            ],
            invalid_tool_calls=[
                invalid_tool_call(args=_malformed(bad), id=_new_id(), error=bad.error)
                for bad in done.bad_calls
            ],
            usage_metadata=_usage(done),
            response_metadata=self._metadata(done),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked = self._request(messages, kwargs)
        pieces = self.model.stream(
            asked.turns,
            tools=asked.tools,
            stop=stop or self.stop or (),
            **self._settings(kwargs),
        )
        done = yield from _as_chunks(pieces)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_call_chunks=_call_chunks(done),
                usage_metadata=_usage(done),
                response_metadata=self._metadata(done),
                chunk_position="last",
            )
        )

    def _settings(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of a call as settings of the generation."""
        settings = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **self.settings,
            **kwargs,
        }
        temperature, max_tokens = settings.pop("temperature"), settings.pop("max_tokens")
        for name in _NOT_GENERATION:
            settings.pop(name, None)
        if max_tokens is not None:
            if max_tokens < 1:
                raise ConfigError(f"max_tokens is {max_tokens}; it must be at least 1")
            settings["max_new_tokens"] = max_tokens
        if temperature is not None:
            if temperature < 0:
                raise ConfigError(f"temperature is {temperature}; it must be at least 0")
            settings["do_sample"] = temperature > 0
            if temperature > 0:
                settings["temperature"] = float(temperature)
        return settings

    def _metadata(self, done: Generated) -> dict[str, Any]:
        return {
            "model_name": self.model.name,
            "model_provider": "local",
            "finish_reason": done.finish_reason,
        }


def _as_chunks(pieces: Any) -> Any:
    """Pieces of text as chunks; returns what the pieces return, and closes them with it."""
    try:
        while True:
            try:
                text = next(pieces)
            except StopIteration as end:
                return end.value
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
    finally:
        pieces.close()


def _call_chunks(done: Generated) -> list[ToolCallChunk]:
    """Each call in one chunk, whose arguments LangChain reads again."""
    written: list[tuple[str | None, str]] = [
        (call.name, json.dumps(dict(call.arguments))) for call in done.calls
    ]
    written += [(None, _malformed(bad)) for bad in done.bad_calls]
    return [
        tool_call_chunk(name=name, args=source, id=_new_id(), index=number)
        for number, (name, source) in enumerate(written)
    ]


def _malformed(bad: BadToolCall) -> str:
    """The source, so marked that LangChain does not mend the JSON of a call that was cut off."""
    return f"malformed: {bad.source}"


def _new_id() -> str:
    """An id of a call, as long as the chat templates of Mistral want it."""
    return uuid.uuid4().hex[:9]


def _usage(done: Generated) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=done.tokens_in,
        output_tokens=done.tokens_out,
        total_tokens=done.tokens_in + done.tokens_out,
    )

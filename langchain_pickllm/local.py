"""A HuggingFace model in this process as a LangChain chat model.

    ChatLocal.load("meta-llama/Llama-2-13b-chat-hf", dtype="bfloat16", device_map="auto")

LangChain's own wrapper of a pipeline has no async, reports no usage, echoes the prompt and renders
images as text into it; this one does none of that.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from pickllm.errors import ConfigError
from pickllm.local import Generated, LocalModel

__all__ = ["ChatLocal"]


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
            tool_calling=False,
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
        return self.model.count_tokens(_turns(messages))

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
        return self.model.generate(
            _turns(messages), stop=stop or self.stop or (), left=left, **self._settings(kwargs)
        )

    def _result(self, done: Generated) -> ChatResult:
        message = AIMessage(
            content=done.text,
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
        pieces = self.model.stream(
            _turns(messages), stop=stop or self.stop or (), **self._settings(kwargs)
        )
        done = yield from _as_chunks(pieces)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
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
        settings.pop("stream", None)
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


def _usage(done: Generated) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=done.tokens_in,
        output_tokens=done.tokens_out,
        total_tokens=done.tokens_in + done.tokens_out,
    )


def _turns(messages: Sequence[BaseMessage]) -> list[dict[str, str]]:
    """Messages as a chat template takes them: roles and texts."""
    if not messages:
        raise ConfigError("no messages: a chat model needs at least one")
    return [{"role": _role(message), "content": _text(message)} for message in messages]


def _role(message: BaseMessage) -> str:
    match message:
        case HumanMessage():
            return "user"
        case AIMessage():
            return "assistant"
        case SystemMessage():
            return "system"
        case ChatMessage():
            return message.role
    raise ConfigError(f"a local model cannot read a message of type {message.type!r}")


_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}
"""Kinds of content that another model wrote for itself: left out of what this one is shown."""


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict)]
        kinds = {str(block.get("type")) for block in blocks} - {"text"} - _THOUGHTS
        if kinds:
            raise ConfigError(f"a local model reads text only; this message holds {sorted(kinds)}")
    return message.text

"""A HuggingFace model in this process as a LangChain chat model.

    ChatLocal.load("meta-llama/Llama-2-13b-chat-hf", dtype="bfloat16", device_map="auto")

LangChain's own wrapper of a pipeline has no async, reports no usage, echoes the prompt and renders
images as text into it; this one does none of that.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
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
    """A `transformers` chat model in this process. Async calls run in a thread."""

    model: LocalModel = Field(exclude=True, repr=False)
    temperature: float | None = None
    """0 is greedy; None leaves it to the model's own generation config."""
    max_tokens: int | None = None
    """Longest answer; None leaves it to the model's own generation config."""

    @classmethod
    def load(
        cls, model: str | Path, *, chat: Mapping[str, Any] | None = None, **how: Any
    ) -> "ChatLocal":
        """Load by name or folder; ``how`` is that of `pickllm.local.LocalModel.load`.

        ``chat`` holds arguments of this class, such as ``{"max_tokens": 256}``.
        """
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
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        return LangSmithParams(
            **{**params, "ls_provider": "local", "ls_model_name": self.model.name}
        )

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
        done = self.model.generate(_turns(messages), stop=stop or (), **self._settings(kwargs))
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
        pieces = self.model.stream(_turns(messages), stop=stop or (), **self._settings(kwargs))
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
        settings = {"temperature": self.temperature, "max_tokens": self.max_tokens, **kwargs}
        temperature, max_tokens = settings.pop("temperature"), settings.pop("max_tokens")
        settings.pop("stream", None)
        if max_tokens is not None:
            settings["max_new_tokens"] = max_tokens
        if temperature is not None:
            settings["do_sample"] = temperature > 0
            if temperature > 0:
                settings["temperature"] = temperature
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


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        kinds = {str(b.get("type")) for b in message.content if isinstance(b, dict)} - {"text"}
        if kinds:
            raise ConfigError(f"a local model reads text only; this message holds {sorted(kinds)}")
    return message.text

"""What an answer is kept under, and the response that it becomes when it is given again."""

from collections.abc import Mapping
from typing import Any

from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, MessageRole

from llamaindex_pickllm.asked import Asked
from pickllm.digest import digest_of
from pickllm.stamp import KEY, recital_stamp
from pickllm.types import Decision, Kept

__all__ = ["call_digest", "recited"]


def call_digest(asked: Asked[Any]) -> str:
    """What shapes an answer beside the messages: tools, the class asked for, sampling, stop words.

    The arguments of a template are in the messages that it makes, and count there.
    """
    settings: Mapping[str, Any] = asked.kwargs
    shape: object = None
    match asked.method:
        case "predict":
            settings, shape = {}, type(getattr(asked.args[0], "output_parser", None)).__qualname__
        case "structured_predict":
            settings, shape = asked.kwargs.get("llm_kwargs") or {}, asked.args[0]
        case "chat_with_tools":
            shape = [tool.metadata.to_openai_tool() for tool in asked.args[0]]
            settings = {k: v for k, v in settings.items() if k not in {"user_msg", "chat_history"}}
    return digest_of({"llamaindex": asked.method, "settings": dict(settings), "shape": shape})


def recited(asked: Asked[Any], decision: Decision, kept: Kept) -> Any:
    """The answer as what the method returns."""
    extras = {KEY: recital_stamp(decision)}
    match asked.method:
        case "predict":
            return kept.text
        case "complete":
            return CompletionResponse(text=kept.text, delta=kept.text, additional_kwargs=extras)
        case "structured_predict":
            return asked.args[0].model_validate_json(kept.text)
        case _:
            message = ChatMessage(role=MessageRole.ASSISTANT, content=kept.text)
            return ChatResponse(message=message, delta=kept.text, additional_kwargs=extras)

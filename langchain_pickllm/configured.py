"""What is set on the router and belongs to its arms: cache, streaming, the shape of their output.

A cache at the router would be wrong by construction: its key ignores which arm was chosen. So a
cache given to the router is handed to the arms, each with its own key. And where two arms have one
key (every `ChatHuggingFace` over a pipeline has the same), they would answer for each other; their
calls go past the cache. ``output_version`` must act inside the arm, too: converting chunks later
would lose which block they belong to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_pickllm.wrappers import chat_model_below, with_chat_model

__all__ = ["Configured"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured:
    """The models of a pool, with what is set on the router."""

    models: Mapping[str, Runnable[Any, Any]]
    cache: Any = None
    output_version: str | None = None
    streaming: bool = False

    def arm(self, name: str) -> Runnable[Any, Any]:
        """The arm of that name: itself where nothing is to be handed on, else a copy."""
        arm = self.models[name]
        chat = chat_model_below(arm)
        if chat is None:
            return arm
        changes = self._cache_for(name, chat)
        if self.output_version is not None and chat.output_version is None:
            changes["output_version"] = self.output_version
        if self.streaming and "streaming" in set(type(chat).model_fields) - chat.model_fields_set:
            changes["streaming"] = True
        return with_chat_model(arm, chat.model_copy(update=changes)) if changes else arm

    def _cache_for(self, name: str, chat: BaseChatModel) -> dict[str, Any]:
        if chat.cache is False or not (self.cache or chat.cache or get_llm_cache()):
            return {}
        others = (chat_model_below(arm) for key, arm in self.models.items() if key != name)
        if any(other is not None and _key(other) == _key(chat) for other in others):
            return {"cache": False}
        return {"cache": self.cache} if chat.cache is None and self.cache is not None else {}


def _key(chat: BaseChatModel) -> str:
    return chat._get_llm_string()  # noqa: SLF001  # the very key that LangChain's cache uses

"""LangChain's cache, arm by arm.

A cache at the router would be wrong by construction: its key ignores which arm was chosen. So a
cache given to the router is handed to the arms, each with its own key. And where two arms have one
key (every `ChatHuggingFace` over a pipeline has the same), they would answer for each other; their
calls go past the cache.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_pickllm.wrappers import chat_model_below, with_chat_model

__all__ = ["with_right_cache"]


def with_right_cache(
    models: Mapping[str, Runnable[Any, Any]], name: str, cache: Any
) -> Runnable[Any, Any]:
    """The arm of that name, with ``cache`` where it has none of its own, or past any cache."""
    arm = models[name]
    chat = chat_model_below(arm)
    if chat is None or not (cache or chat.cache or get_llm_cache()) or chat.cache is False:
        return arm
    others = (chat_model_below(other) for key, other in models.items() if key != name)
    if any(other is not None and _key(other) == _key(chat) for other in others):
        return with_chat_model(arm, chat.model_copy(update={"cache": False}))
    if chat.cache is None and cache is not None:
        return with_chat_model(arm, chat.model_copy(update={"cache": cache}))
    return arm


def _key(chat: BaseChatModel) -> str:
    return chat._get_llm_string()  # noqa: SLF001  # the very key that LangChain's cache uses

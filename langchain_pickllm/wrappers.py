"""Models inside what users put around them: ``model.bind(…)``, ``model.with_retry()`` and such."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.configurable import DynamicRunnable

from pickllm.router import Router

__all__ = [
    "answers_in_thread",
    "as_configured",
    "bare",
    "chat_model_below",
    "chosen_by",
    "is_bare_pipeline",
    "router_inside",
    "taken_by",
    "with_chat_model",
]

_SETTINGS = frozenset({"temperature", "max_tokens", "stop"})
"""Settings of every chat model, which a call may carry to arms of any kind."""

_OF_THREADS = ("thread_id", "run_id", "checkpoint_", "__")
"""How fields begin by which a graph finds its way; they change no model."""

_HOOKS = ("_agenerate", "_stream", "_astream")
"""What a chat model writes itself of the ways in which it may be asked."""


def chat_model_below(model: Runnable[Any, Any]) -> BaseChatModel | None:
    """The chat model itself, below whatever has been put around it; None where there is none."""
    model = bare(model)
    return model if isinstance(model, BaseChatModel) else None


def bare(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """What has things put around it, chat model or not."""
    while isinstance(model, RunnableBindingBase):
        model = model.bound
    return model


def with_chat_model(model: Runnable[Any, Any], chat: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The same with another model below what has been put around it."""
    if isinstance(model, RunnableBindingBase):
        return model.model_copy(update={"bound": with_chat_model(model.bound, chat)})
    return chat


def as_configured(model: Runnable[Any, Any], config: RunnableConfig) -> Runnable[Any, Any]:
    """The model that a call's config chooses or changes; itself where nothing is configurable.

    Only then can it be asked what it is: ``bind_tools`` of a configurable model forgets that it is.
    """
    if isinstance(model, RunnableBindingBase):
        bound = as_configured(model.bound, merge_configs(model.config, config))
        return model if bound is model.bound else model.model_copy(update={"bound": bound})
    if not isinstance(model, DynamicRunnable):
        return model
    chosen, _ = model.prepare(config)
    return chosen.with_config(model.config) if model.config else chosen


def chosen_by(config: RunnableConfig, models: Iterable[Runnable[Any, Any]]) -> dict[str, Any]:
    """What a call's config may choose or change in these models.

    Chat models read nothing of it. What else may be an arm (alternatives, chains, functions,
    routers) can read any field, so there all of them count.
    """
    if all(chat_model_below(each) is not None and router_inside(each) is None for each in models):
        return {}
    fields = config.get("configurable") or {}
    return {name: fields[name] for name in fields if not name.startswith(_OF_THREADS)}


def taken_by(model: Runnable[Any, Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, less the settings of chat models that a function, as an arm, does not name."""
    first = bare(model)
    while isinstance(first, RunnableSequence):
        first = bare(first.first)
    if not isinstance(first, RunnableLambda):
        return dict(kwargs)
    function = first.func if hasattr(first, "func") else first.afunc
    parameters = inspect.signature(function).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return dict(kwargs)
    unknown = _SETTINGS - set(parameters)
    return {name: value for name, value in kwargs.items() if name not in unknown}


def router_inside(model: Runnable[Any, Any]) -> Router | None:
    """The router of a model that is routed itself."""
    chat = chat_model_below(model)
    router = None if chat is None else vars(chat).get("router")
    return router if isinstance(router, Router) else None


def answers_in_thread(model: Runnable[Any, Any], *, stream: bool) -> bool:
    """Whether the model knows no async of its own, so that a thread has to wait for it."""
    chat, base = chat_model_below(model), BaseChatModel
    if chat is None:
        return False
    own = {name for name in _HOOKS if getattr(type(chat), name) is not getattr(base, name)}
    knows_none = "_stream" in own and "_astream" not in own if stream else "_agenerate" not in own
    return knows_none or is_bare_pipeline(model)


def is_bare_pipeline(model: Runnable[Any, Any]) -> bool:
    """Whether it is `ChatHuggingFace` over a pipeline, which has no async and drops tools silently.

    Only a process that has imported `langchain_huggingface` can hold one.
    """
    package = sys.modules.get("langchain_huggingface")
    chat = chat_model_below(model)
    return (
        package is not None
        and isinstance(chat, package.ChatHuggingFace)
        and isinstance(chat.llm, package.HuggingFacePipeline)
    )

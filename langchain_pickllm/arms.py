"""What a LangChain model says of itself without being called: price, capabilities, window."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.runnables import Runnable, RunnableSequence

from langchain_pickllm.opening import by_name, opening
from langchain_pickllm.text_models import as_chat
from langchain_pickllm.wrappers import bare, chat_model_below, is_bare_pipeline
from pickllm.construction import stated_limit
from pickllm.errors import ConfigError
from pickllm.pool import Pool
from pickllm.types import Arm, Capability

__all__ = ["arms_of", "models_of", "profile_of"]

_PROFILE: Mapping[str, Capability] = {
    "image_inputs": "images",
    "audio_inputs": "audio",
    "video_inputs": "video",
    "pdf_inputs": "pdf",
    "tool_calling": "tools",
    "structured_output": "structured_output",
}

_LONGEST = ("max_tokens", "max_output_tokens", "num_predict")
"""What models call the longest answer that they are set to give. A profile's is not looked at: what
a model could give at the very most is no estimate for a `pickllm.Budget` to set aside."""


def models_of(given: object) -> dict[str, Runnable[Any, Any]]:
    """The pool's models by name, checked; strings such as "openai:gpt-4o-mini" are opened."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"models must map names to chat models; it is {type(given).__name__}. "
            'For example models={"small": ChatOpenAI(model="gpt-4o-mini"), ...}'
        )
    return {name: _model_of(name, model) for name, model in given.items()}


def arms_of(
    models: Mapping[str, Runnable[Any, Any]],
    given: Mapping[str, Arm] | None,
    *,
    timeout_s: float | None,
) -> dict[str, Arm]:
    """An arm for each model: what the user states, and from the model what the user leaves out."""
    if given is not None and not isinstance(given, Mapping):
        kind = type(given).__name__
        raise ConfigError(f'arms must map names to Arm, as in {{"small": Arm(...)}}; it is {kind}')
    stated = dict(given or {})
    unknown = sorted(set(stated) - set(models))
    if unknown:
        raise ConfigError(f"arms names {unknown}, but models has only {sorted(models)}")
    for name, arm in stated.items():
        if not isinstance(arm, Arm):
            raise ConfigError(f"arms[{name!r}] must be an Arm, not {type(arm).__name__}")
    if stated:
        Pool.of(stated)  # says what is wrong with them as they were given
    return {
        name: _completed(stated.get(name, Arm()), model, timeout_s)
        for name, model in models.items()
    }


def profile_of(models: Mapping[str, Runnable[Any, Any]]) -> ModelProfile | None:
    """What the pool can do: what some arm can, within the limits that every arm keeps.

    Requests go to arms that can, so an ability of one is one of the pool; a limit is that of the
    narrowest, for any arm may be asked.
    """
    chats = (chat_model_below(model) for model in models.values())
    profiles = [dict(chat.profile) for chat in chats if chat is not None and chat.profile]
    merged: dict[str, Any] = {}
    for key in sorted({key for profile in profiles for key in profile}):
        values = [profile[key] for profile in profiles if profile.get(key) is not None]
        if values and all(isinstance(value, bool) for value in values):
            merged[key] = any(values)
        elif values and all(isinstance(value, int) for value in values):
            merged[key] = min(cast("list[int]", values))
    return cast("ModelProfile", merged) if merged else None


def _model_of(name: object, model: object) -> Runnable[Any, Any]:
    if not isinstance(name, str):
        raise ConfigError(f"the name of an arm must be a string; {name!r} is not")
    if isinstance(model, str):
        with opening(name):
            return by_name(model)
    if isinstance(model, BaseLLM):
        return as_chat(model)
    if not isinstance(model, Runnable):
        raise ConfigError(
            f"arm {name!r} is no chat model but {type(model).__name__}: give a BaseChatModel, or "
            "a Runnable from messages to an AIMessage; a function becomes one by RunnableLambda(…)"
        )
    return model


def _completed(arm: Arm, model: Runnable[Any, Any], timeout_s: float | None) -> Arm:
    chat = chat_model_below(model)
    if timeout_s is not None and arm.timeout_s is None:
        arm = replace(arm, timeout_s=timeout_s)
    if is_bare_pipeline(model) or _is_text_model(model):
        arm = replace(arm, can={**_text_only(), **arm.can})
    if chat is None:
        can: Mapping[Capability, bool] = (
            {} if hasattr(bare(model), "bind_tools") else {"tools": False}
        )
        return replace(arm, can={**can, **arm.can})
    profile: Mapping[str, Any] = chat.profile or {}
    arm = replace(
        arm,
        can={**_capabilities(chat, profile), **arm.can},
        context_tokens=arm.context_tokens or profile.get("max_input_tokens"),
        max_tokens_out=arm.max_tokens_out or stated_limit(chat, _LONGEST),
    )
    if arm.usd_per_hour is None and arm.usd_per_mtok_in is None and arm.model is None:
        arm = replace(arm, model=_model_name(chat), provider=arm.provider or _provider(chat))
    return arm


def _capabilities(chat: BaseChatModel, profile: Mapping[str, Any]) -> dict[Capability, bool]:
    known = {
        capability: bool(profile[key])
        for key, capability in _PROFILE.items()
        if profile.get(key) is not None
    }
    if type(chat).bind_tools is BaseChatModel.bind_tools:
        known["tools"] = False
    return known


def _is_text_model(model: Runnable[Any, Any]) -> bool:
    return isinstance(model, RunnableSequence) and isinstance(model.first, BaseLLM)


def _text_only() -> dict[Capability, bool]:
    return dict.fromkeys(_PROFILE.values(), False)


def _model_name(chat: BaseChatModel) -> str | None:
    return chat._get_ls_params().get("ls_model_name")  # noqa: SLF001  # the only place that says it


def _provider(chat: BaseChatModel) -> str | None:
    """Provider, or the base URL where the user set one: another server has other prices."""
    base_url = getattr(chat, "openai_api_base", None)
    return base_url or chat._get_ls_params().get("ls_provider")  # noqa: SLF001  # as above

"""How each arm of a pool is asked for structured output: its own way, looked up once.

What `with_structured_output` of an arm would send, and how it would read the answer, is taken out
of the chain that it returns. An arm that has no way at all is never asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase

from langchain_pickllm.stamp import arm_of
from langchain_pickllm.wrappers import chat_model_below, router_inside
from pickllm.errors import ConfigError
from pickllm.router import Router
from pickllm.types import Capability

__all__ = ["Shape", "shape_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How one arm is asked for a shape."""

    kwargs: Mapping[str, Any]
    parser: Runnable[AIMessage, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A schema, as each arm of a pool is asked for it."""

    arm_to_way: Mapping[str, _Way]
    arm_to_reason: Mapping[str, str]
    """Arms that cannot give it, and why."""

    def kwargs(self, arm: str) -> Mapping[str, Any]:
        """What the arm is called with."""
        return self.arm_to_way[arm].kwargs

    def parser(self, message: AIMessage) -> Runnable[AIMessage, Any]:
        """The parser of the arm that gave this message."""
        return self.arm_to_way[arm_of(message)].parser


def shape_of(
    router: Router,
    models: Mapping[str, Runnable[Any, Any]],
    schema: dict[str, Any] | type,
    settings: Mapping[str, Any],
) -> Shape:
    """How each arm is asked for a schema; ``settings`` are `with_structured_output`'s others.

    Raises:
        ConfigError: No arm can give structured output.
        ValueError: An arm does not take these settings, or the schema is none.
    """
    arm_to_way: dict[str, _Way] = {}
    arm_to_reason: dict[str, str] = {}
    for name, model in models.items():
        try:
            way = _way_of(model, schema, settings)
        except NotImplementedError:
            arm_to_reason[name] = "cannot do structured output"
            continue
        lacking = [need for need in _needs(way) if not router.pool[name].can.get(need, True)]
        if lacking:
            arm_to_reason[name] = f"cannot do {lacking[0]}"
        else:
            arm_to_way[name] = way
    if not arm_to_way:
        told = "; ".join(f"{name}: {reason}" for name, reason in arm_to_reason.items())
        raise ConfigError(f"no arm of the pool can give structured output ({told})")
    return Shape(arm_to_way=arm_to_way, arm_to_reason=arm_to_reason)


def _way_of(
    model: Runnable[Any, Any], schema: dict[str, Any] | type, settings: Mapping[str, Any]
) -> _Way:
    """The arguments and the parser of an arm's own chain, or of the one every chat model has."""
    chat = chat_model_below(model)
    if chat is None:
        raise NotImplementedError
    chain = _without_bindings(chat.with_structured_output(schema, **settings))
    if not _is_asking_then_reading(chain):
        chain = BaseChatModel.with_structured_output(chat, schema)
    assert isinstance(chain, RunnableSequence)
    first, *reading = chain.steps
    kwargs: dict[str, Any] = {}
    while isinstance(first, RunnableBindingBase):
        kwargs = {**first.kwargs, **kwargs}
        first = first.bound
    parser = reading[0] if len(reading) == 1 else RunnableSequence(*reading)
    return _Way(kwargs=kwargs, parser=parser)


def _without_bindings(runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
    while isinstance(runnable, RunnableBindingBase):
        runnable = runnable.bound
    return runnable


def _is_asking_then_reading(chain: Runnable[Any, Any]) -> bool:
    """Whether a model with arguments is followed by a parser; a routed model has several."""
    if not isinstance(chain, RunnableSequence) or chat_model_below(chain.first) is None:
        return False
    return router_inside(chain.first) is None


def _needs(way: _Way) -> list[Capability]:
    keys: Mapping[str, Capability] = {"tools": "tools", "response_format": "structured_output"}
    return [need for key, need in keys.items() if way.kwargs.get(key)]

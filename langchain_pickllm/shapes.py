"""How each arm of a pool is asked for structured output: its own way, looked up once.

    chat model      what its own ``with_structured_output`` would send, and how it would read
    routed model    as each of its own arms is asked
    any other       a forced tool call, which all chat models know: which of them answers is only
                    known when it is asked, for it falls back or is configured by the call

An arm that has no way at all is never asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_pickllm.stamp import stamp_on
from langchain_pickllm.tool_binding import Tools
from langchain_pickllm.wrappers import bare, chat_model_below, router_inside
from pickllm.errors import ConfigError
from pickllm.router import Router
from pickllm.types import Capability

__all__ = ["SHAPE", "Shape", "shape_of"]

SHAPE = "pickllm_shape"
"""The argument under which a call carries the shape that its answer shall have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How one arm is asked for a shape."""

    kwargs: Mapping[str, Any]
    reader: "Runnable[AIMessage, Any] | Shape"
    """A parser, or for an arm that is routed itself those of its own arms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A schema, as each arm of a pool is asked for it."""

    arm_to_way: Mapping[str, _Way]
    arm_to_reason: Mapping[str, str]
    """Arms that cannot give it, and why."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that can give it."""
        return tuple(self.arm_to_way)

    def kwargs(self, arm: str) -> Mapping[str, Any]:
        """What the arm is called with."""
        return self.arm_to_way[arm].kwargs

    def parser(self, message: AIMessage) -> Runnable[AIMessage, Any]:
        """The parser of the arm that gave this message."""
        reader: Runnable[AIMessage, Any] | Shape = self
        stamp = stamp_on(message)
        while isinstance(reader, Shape):
            reader, stamp = reader.arm_to_way[stamp["arm"]].reader, stamp.get("inner", {})
        return reader


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
            by = f" by {settings['method']}" if settings.get("method") else ""
            arm_to_reason[name] = f"cannot do structured output{by}"
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
    """The way of an arm, or `NotImplementedError`."""
    chat = chat_model_below(model)
    if chat is None:
        return _forced_way_of(model, schema, settings)
    router = router_inside(chat)
    if router is not None:
        return _routed_way_of(router, cast("Any", chat).models, schema, settings)
    return _own_way_of(chat, schema, settings)


def _own_way_of(
    chat: BaseChatModel, schema: dict[str, Any] | type, settings: Mapping[str, Any]
) -> _Way:
    """The arguments and the parser of a model's own chain, or of the one every chat model has."""
    chain = bare(chat.with_structured_output(schema, **settings))
    if not _is_asking_then_reading(chain):
        chain = BaseChatModel.with_structured_output(chat, schema)
    assert isinstance(chain, RunnableSequence)
    first, *reading = chain.steps
    kwargs: dict[str, Any] = {}
    while isinstance(first, RunnableBindingBase):
        kwargs = {**first.kwargs, **kwargs}
        first = first.bound
    parser = reading[0] if len(reading) == 1 else RunnableSequence(*reading)
    return _Way(kwargs=kwargs, reader=parser)


def _routed_way_of(
    router: Router,
    models: Mapping[str, Runnable[Any, Any]],
    schema: dict[str, Any] | type,
    settings: Mapping[str, Any],
) -> _Way:
    try:
        shape = shape_of(router, models, schema, settings)
    except ConfigError as error:
        raise NotImplementedError from error
    return _Way(kwargs={SHAPE: shape}, reader=shape)


def _forced_way_of(
    model: Runnable[Any, Any], schema: dict[str, Any] | type, settings: Mapping[str, Any]
) -> _Way:
    """One parser reads whichever model answers, for all write their tool calls alike."""
    asked = {name: value for name, value in settings.items() if name != "method"}
    method, bind_tools = settings.get("method"), getattr(bare(model), "bind_tools", None)
    if bind_tools is None or method not in (None, "function_calling"):
        raise NotImplementedError
    tools = Tools.of([schema], {"tool_choice": "any", **asked})
    bind_tools(tools.given, **tools.settings)  # raises here what else each call would raise
    parser: Runnable[AIMessage, Any]
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
    else:
        name = tools.shown[0]["function"]["name"]
        parser = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return _Way(kwargs=tools.kwargs, reader=parser)


def _is_asking_then_reading(chain: Runnable[Any, Any]) -> bool:
    """Whether a model with arguments is followed by a parser."""
    return isinstance(chain, RunnableSequence) and chat_model_below(chain.first) is not None


def _needs(way: _Way) -> list[Capability]:
    keys: Mapping[str, Capability] = {"tools": "tools", "response_format": "structured_output"}
    return [need for key, need in keys.items() if way.kwargs.get(key)]

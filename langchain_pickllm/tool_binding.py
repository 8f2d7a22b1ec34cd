"""Tools on their way to an arm, which binds them its own way when it is asked.

LangChain and its agents read a model's tools in its binding, as dicts. A dict no longer says what
a tool was made with, nor may an arm add to it what its provider wants; so the tools themselves
travel beside it, and the arm's own ``bind_tools`` gets those.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_pickllm.wrappers import bare, with_chat_model

__all__ = ["TOOLS", "Tools", "bound_to"]

TOOLS = "pickllm_tools"
"""The argument under which a call carries its tools as they were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What ``bind_tools`` was called with."""

    given: Sequence[Any]
    shown: Sequence[Mapping[str, Any]]
    """The same as dicts."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The other arguments: ``tool_choice``, ``strict``, ``response_format``, …"""

    @classmethod
    def of(cls, given: Sequence[Any], settings: Mapping[str, Any]) -> "Tools":
        """Tools for any arm; one that is no tool is found out here."""
        shown = [convert_to_openai_tool(each, strict=settings.get("strict")) for each in given]
        return cls(given=tuple(given), shown=shown, settings=settings)

    @property
    def kwargs(self) -> dict[str, Any]:
        """What a call carries of them."""
        return {**self.settings, "tools": list(self.shown), TOOLS: self}


def bound_to(
    arm: Runnable[Any, Any], kwargs: Mapping[str, Any]
) -> tuple[Runnable[Any, Any], dict[str, Any]]:
    """The arm with the call's tools bound its own way, and the arguments left for the call.

    They are bound below whatever has been put around the model: ``bind_tools`` of a binding binds
    them to the bare model and forgets the rest.
    """
    left = {name: value for name, value in kwargs.items() if name != TOOLS}
    carried: Tools | None = kwargs.get(TOOLS)
    if carried is not None and carried.shown != left.get("tools"):  # others were given since
        carried = None
    bind_tools = getattr(bare(arm), "bind_tools", None)
    anything = left.get("tools") or (carried and carried.settings.get("response_format"))
    if bind_tools is None or not anything:  # declared able: it reads its arguments
        return arm, left
    names = {"tools", "tool_choice", *inspect.signature(bind_tools).parameters}
    names.update(carried.settings if carried else ())
    taken = {name: left.pop(name) for name in names & set(left)}
    if carried:
        taken["tools"] = carried.given
    stated = {name: value for name, value in taken.items() if value is not None}
    return with_chat_model(arm, bind_tools(**stated)), left

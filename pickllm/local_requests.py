"""What a local model is asked: turns for its chat template, and the tools that it is shown.

{"role": "user", "content": "4 + 3?"}
{"role": "assistant", "content": "", "tool_calls": [
    {"type": "function", "id": ..., "function": {"name": "add", "arguments": {"a": 4, "b": 3}}}]}
{"role": "tool", "name": "add", "tool_call_id": ..., "content": "7"}
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pickllm.errors import ConfigError

__all__ = ["LocalRequest", "chosen", "short_id"]

_ID_LENGTH = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalRequest:
    """What a local model is asked."""

    turns: Sequence[Mapping[str, Any]] = field(repr=False)
    tools: Sequence[Mapping[str, Any]]


def chosen(
    turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], tool_choice: Any
) -> LocalRequest:
    """The turns, and of the tools those that ``tool_choice`` leaves.

    A choice that wants a call asks for it in words and shows that tool alone; the model may still
    answer otherwise.

    Raises:
        ConfigError: The tool chosen is none.
    """
    name_to_tool = {tool["function"]["name"]: tool for tool in tools}
    match tool_choice:
        case None | False | "auto":
            return LocalRequest(turns=turns, tools=[*name_to_tool.values()])
        case "none":
            return LocalRequest(turns=turns, tools=[])
        case True | "any" | "required":
            told = _told(turns, [*name_to_tool])
            return LocalRequest(turns=told, tools=[*name_to_tool.values()])
        case str(name) | {"function": {"name": str(name)}} if name in name_to_tool:
            return LocalRequest(turns=_told(turns, [name]), tools=[name_to_tool[name]])
        case unknown:
            raise ConfigError(f"tool_choice is {unknown!r}, but the tools are {[*name_to_tool]}")


def short_id(call_id: str) -> str:
    """An id that all chat templates take: those of Mistral refuse others than of nine letters.

    The calls of a routed conversation may be another model's.
    """
    if len(call_id) == _ID_LENGTH and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:_ID_LENGTH]


def _told(turns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """The turns with the wish for a call in the system's turn, the first one."""
    wish = f"Answer with a call of {' or '.join(names)}, and with nothing else."
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{wish}"}, *turns[1:]]
    return [{"role": "system", "content": wish}, *turns]

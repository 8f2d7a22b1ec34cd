"""A LangChain request as a chat template of HuggingFace takes it: turns and tools.

HumanMessage("4 + 3?")            {"role": "user", "content": "4 + 3?"}
AIMessage(tool_calls=[...])       {"role": "assistant", "content": "", "tool_calls": [
                                      {"type": "function", "id": ..., "function":
                                          {"name": "add", "arguments": {"a": 4, "b": 3}}}]}
ToolMessage("7")                  {"role": "tool", "name": "add", "tool_call_id": ...,
                                      "content": "7"}
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from pickllm.errors import ConfigError

__all__ = ["Request", "request_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a local model is asked."""

    turns: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]


def request_of(
    messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], *, knows_tools: bool
) -> Request:
    """The turns, and of the bound tools those that ``tool_choice`` leaves.

    Raises:
        ConfigError: A message is not to be shown to the model, or the tool chosen is none.
    """
    name_to_tool = {tool["function"]["name"]: tool for tool in kwargs.get("tools") or ()}
    call_to_name = {
        str(call["id"]): call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    turns = [_turn(message, call_to_name, knows_tools=knows_tools) for message in messages]
    match kwargs.get("tool_choice"):
        case None | False | "auto":
            return Request(turns=turns, tools=[*name_to_tool.values()])
        case "none":
            return Request(turns=turns, tools=[])
        case True | "any" | "required":
            return Request(turns=_told(turns, [*name_to_tool]), tools=[*name_to_tool.values()])
        case str(name) | {"function": {"name": str(name)}} if name in name_to_tool:
            return Request(turns=_told(turns, [name]), tools=[name_to_tool[name]])
        case unknown:
            raise ConfigError(f"tool_choice is {unknown!r}, but the tools are {[*name_to_tool]}")


def _told(turns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """The turns with the wish for a call in the system's turn, the first one."""
    wish = f"Answer with a call of {' or '.join(names)}, and with nothing else."
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{wish}"}, *turns[1:]]
    return [{"role": "system", "content": wish}, *turns]


def _turn(
    message: BaseMessage, call_to_name: Mapping[str, str], *, knows_tools: bool
) -> Mapping[str, Any]:
    turn = {"content": _text(message)}
    match message:
        case HumanMessage():
            return {"role": "user", **turn}
        case AIMessage(tool_calls=calls, invalid_tool_calls=bad) if knows_tools and (calls or bad):
            return {"role": "assistant", **_with_calls(message)}
        case AIMessage():
            return {"role": "assistant", **turn}
        case SystemMessage():
            return {"role": "system", **turn}
        case ChatMessage():
            return {"role": message.role, **turn}
        case ToolMessage() if knows_tools:
            called = message.tool_call_id
            name = message.name or call_to_name.get(called, "")
            return {"role": "tool", "name": name, "tool_call_id": _short(called), **turn}
    raise ConfigError(f"this local model cannot read a message of type {message.type!r}")


def _with_calls(message: AIMessage) -> Mapping[str, Any]:
    """The answer and its calls; what was no call is shown as it was written."""
    texts = [_text(message), *(bad["args"] or "" for bad in message.invalid_tool_calls)]
    calls = [
        {
            "type": "function",
            "id": _short(str(call["id"])),
            "function": {"name": call["name"], "arguments": call["args"]},
        }
        for call in message.tool_calls
    ]
    turn: dict[str, Any] = {"content": "\n".join(text for text in texts if text)}
    return {**turn, "tool_calls": calls} if calls else turn


_ID_LENGTH = 9


def _short(call_id: str) -> str:
    """An id that all chat templates take: those of Mistral refuse others than of nine letters.

    The calls of a routed conversation may be another model's.
    """
    if len(call_id) == _ID_LENGTH and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:_ID_LENGTH]


_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}
"""Kinds of content that another model wrote for itself: left out of what this one is shown."""
_CALLS = {"tool_use", "tool_call", "function_call", "server_tool_call", "input_json_delta"}
"""Kinds of content that repeat what is in ``tool_calls``."""


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict)]
        kinds = {str(block.get("type")) for block in blocks} - {"text"} - _THOUGHTS
        if isinstance(message, AIMessage) and message.tool_calls:
            kinds -= _CALLS
        if kinds:
            raise ConfigError(f"a local model reads text only; this message holds {sorted(kinds)}")
    return message.text

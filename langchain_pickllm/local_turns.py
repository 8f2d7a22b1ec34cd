"""A LangChain request as a chat template of HuggingFace takes it: turns and tools.

HumanMessage("4 + 3?")            {"role": "user", "content": "4 + 3?"}
AIMessage(tool_calls=[...])       {"role": "assistant", "content": "", "tool_calls": [
                                      {"type": "function", "id": ..., "function":
                                          {"name": "add", "arguments": {"a": 4, "b": 3}}}]}
ToolMessage("7")                  {"role": "tool", "name": "add", "tool_call_id": ...,
                                      "content": "7"}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_pickllm.reading import REASONING
from pickllm.errors import ConfigError
from pickllm.local_requests import LocalRequest, chosen, short_id

__all__ = ["request_of"]


def request_of(
    messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], *, knows_tools: bool
) -> LocalRequest:
    """The turns, and of the bound tools those that ``tool_choice`` leaves.

    Raises:
        ConfigError: A message is not to be shown to the model, or the tool chosen is none.
    """
    call_to_name = {
        str(call["id"]): call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    turns = [_turn(message, call_to_name, knows_tools=knows_tools) for message in messages]
    return chosen(turns, kwargs.get("tools") or (), kwargs.get("tool_choice"))


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
            return {"role": "tool", "name": name, "tool_call_id": short_id(called), **turn}
    raise ConfigError(f"this local model cannot read a message of type {message.type!r}")


def _with_calls(message: AIMessage) -> Mapping[str, Any]:
    """The answer and its calls; what was no call is shown as it was written."""
    texts = [_text(message), *(bad["args"] or "" for bad in message.invalid_tool_calls)]
    calls = [
        {
            "type": "function",
            "id": short_id(str(call["id"])),
            "function": {"name": call["name"], "arguments": call["args"]},
        }
        for call in message.tool_calls
    ]
    turn: dict[str, Any] = {"content": "\n".join(text for text in texts if text)}
    return {**turn, "tool_calls": calls} if calls else turn


_CALLS = {"tool_use", "tool_call", "function_call", "server_tool_call", "input_json_delta"}
"""Kinds of content that repeat what is in ``tool_calls``."""


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict)]
        kinds = {str(block.get("type")) for block in blocks} - {"text"} - REASONING
        if isinstance(message, AIMessage) and message.tool_calls:
            kinds -= _CALLS
        if kinds:
            raise ConfigError(f"a local model reads text only; this message holds {sorted(kinds)}")
    return message.text

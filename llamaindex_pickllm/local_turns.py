"""LlamaIndex's messages as the turns that a chat template of HuggingFace takes.

What a local model cannot read is refused, never dropped: an answer to half a question looks right.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from pickllm.errors import ConfigError
from pickllm.local_requests import LocalRequest, chosen, short_id

__all__ = ["request_of"]

_READ = (TextBlock, ThinkingBlock, ToolCallBlock, CachePoint)
"""Thoughts are another model's, written for itself: they are left out of what this one is shown."""
_ROLES: Mapping[MessageRole, str] = {
    MessageRole.USER: "user",
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}


def request_of(
    messages: Sequence[ChatMessage], kwargs: Mapping[str, Any], *, knows_tools: bool
) -> LocalRequest:
    """The turns, and of the tools those that ``tool_choice`` leaves.

    Raises:
        ConfigError: A message is not to be shown to the model, or the tool chosen is none.
    """
    if not messages:
        raise ConfigError("no messages: a chat model needs at least one")
    call_to_name = {
        str(block.tool_call_id): block.tool_name
        for message in messages
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    }
    turns = [_turn(message, call_to_name, knows_tools=knows_tools) for message in messages]
    return chosen(turns, kwargs.get("tools") or (), kwargs.get("tool_choice"))


def _turn(
    message: ChatMessage, call_to_name: Mapping[str, str], *, knows_tools: bool
) -> Mapping[str, Any]:
    kinds = sorted({b.block_type for b in message.blocks if not isinstance(b, _READ)})
    if kinds:
        raise ConfigError(f"a local model reads text only; this message holds {kinds}")
    text = message.content or ""
    if message.role in (MessageRole.TOOL, MessageRole.FUNCTION) and knows_tools:
        called = str(message.additional_kwargs.get("tool_call_id", ""))
        name = message.additional_kwargs.get("name") or call_to_name.get(called, "")
        return {"role": "tool", "name": name, "tool_call_id": short_id(called), "content": text}
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    role = _ROLES.get(message.role)
    if role is None:
        raise ConfigError(f"this local model cannot read a message of role {message.role.value!r}")
    if calls and knows_tools:
        return {"role": role, "content": text, "tool_calls": [_call(block) for block in calls]}
    return {"role": role, "content": text}


def _call(block: ToolCallBlock) -> Mapping[str, Any]:
    given = block.tool_kwargs
    arguments = json.loads(given or "{}") if isinstance(given, str) else given
    return {
        "type": "function",
        "id": short_id(str(block.tool_call_id)),
        "function": {"name": block.tool_name, "arguments": arguments},
    }

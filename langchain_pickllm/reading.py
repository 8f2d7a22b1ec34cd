"""What the core needs to know of LangChain's messages: prompt, needs, length and usage.

Pure functions over messages; nothing here calls a model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from pickllm.types import Capability, Usage

__all__ = [
    "REASONING",
    "came_from_cache",
    "finish_reason_of",
    "needs_of",
    "prompt_text",
    "shows",
    "text_shown_by",
    "tokens_of",
    "usage_of",
]

REASONING = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""Kinds of content that a model wrote for itself, and that others cannot read."""

_BLOCK_NEEDS: Mapping[str, Capability] = {
    "image": "images",
    "image_url": "images",
    "input_image": "images",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
    "file": "pdf",
    "document": "pdf",
}


def prompt_text(messages: Sequence[BaseMessage]) -> str:
    """The last thing a human said, or the last message where no human spoke."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return message.text
    return messages[-1].text if messages else ""


def needs_of(messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> frozenset[Capability]:
    """What a model must be able to do for this request, in any of its messages."""
    needs: set[Capability] = set()
    if kwargs.get("tools"):
        needs.add("tools")
    if kwargs.get("response_format"):
        needs.add("structured_output")
    needs.update(_BLOCK_NEEDS[kind] for kind in _block_types(messages) if kind in _BLOCK_NEEDS)
    return frozenset(needs)


def tokens_of(messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None) -> int:
    """About how many tokens messages and tools have, without any model's tokenizer."""
    return count_tokens_approximately(messages, tools=list(tools or ()))


def usage_of(
    message: AIMessage, asked: Sequence[BaseMessage], tools: Sequence[Any] | None = None
) -> Usage:
    """Tokens as the model reported them, or about as many where it reports none."""
    usage: Mapping[str, Any] = message.usage_metadata or {}
    if "input_tokens" not in usage:  # a cache adds a cost of zero to whatever was there
        tokens_out = max(len(message.text) // 4, 1)
        return Usage(tokens_in=tokens_of(asked, tools), tokens_out=tokens_out, estimated=True)
    details = usage.get("input_token_details") or {}
    return Usage(
        tokens_in=usage["input_tokens"],
        tokens_out=usage["output_tokens"],
        tokens_in_cached=details.get("cache_read") or 0,
    )


def finish_reason_of(message: AIMessage) -> str | None:
    """Why the model ended, under whichever name its provider says so."""
    said = message.response_metadata
    for name in ("finish_reason", "stop_reason", "done_reason", "stopReason"):
        if isinstance(said.get(name), str):
            return str(said[name])
    return "incomplete" if said.get("status") == "incomplete" else None


def shows(message: AIMessage) -> bool:
    """Whether a chunk has text, a part of a tool call, or a block that is not text."""
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict)]
        if any(block.get("type") != "text" for block in blocks):
            return True
    return bool(message.text or message.tool_calls or getattr(message, "tool_call_chunks", None))


def text_shown_by(event: Mapping[str, Any]) -> str:
    """What an event of a content-block stream adds to the text; empty for most."""
    delta: Mapping[str, Any] = event.get("delta") or {}
    return str(delta.get("text", "")) if delta.get("type") == "text-delta" else ""


def came_from_cache(message: AIMessage) -> bool:
    """Whether LangChain's cache answered: it marks that by a total cost of zero."""
    usage: Mapping[str, Any] = message.usage_metadata or {}
    return usage.get("total_cost") == 0


def _block_types(messages: Sequence[BaseMessage]) -> Iterator[str]:
    for message in messages:
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, dict):
                    yield str(block.get("type"))

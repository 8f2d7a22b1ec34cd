"""What the core needs to know of LlamaIndex's messages and responses. Pure functions.

Lengths are measured with LlamaIndex's own tokenizer, by which its prompt helper packs prompts, so
that what it has packed for a window is not found too long for it here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, MessageRole
from llama_index.core.utils import get_tokenizer
from pydantic import BaseModel

from pickllm.types import Capability, Usage

__all__ = [
    "finish_reason_of",
    "human_text",
    "needs_of",
    "reported_usage",
    "shown_by",
    "shows",
    "text_of",
    "tokens_of",
    "tool_call_ids",
    "usage_of",
]

_BLOCK_NEEDS: Mapping[str, Capability] = {
    "image": "images",
    "audio": "audio",
    "video": "video",
    "document": "pdf",
}
_IN = ("prompt_tokens", "input_tokens", "prompt_token_count", "prompt_eval_count")
_OUT = ("completion_tokens", "output_tokens", "candidates_token_count", "eval_count")
"""How providers call their counts."""

_PER_MESSAGE = 4
"""Tokens of a chat template around each message, about."""
_SLICE = 4_000
"""Characters that are counted at once: some tokenizers take quadratic time on odd texts."""
_SLICES = 16
"""Of a longer text so many slices are counted, and the rest is taken to be like them."""


def human_text(messages: Sequence[ChatMessage]) -> str:
    """The last thing a human said, or the last message where no human spoke."""
    for message in reversed(messages):
        if message.role == MessageRole.USER:
            return message.content or ""
    return (messages[-1].content or "") if messages else ""


def needs_of(messages: Iterable[ChatMessage]) -> frozenset[Capability]:
    """What a model must be able to read, in any of the messages and in nested blocks, too."""
    kinds = {kind for message in messages for kind in _kinds(message.blocks)}
    return frozenset(_BLOCK_NEEDS[kind] for kind in kinds if kind in _BLOCK_NEEDS)


def tokens_of(messages: Sequence[ChatMessage], window: int) -> int:
    """About how many tokens the messages have.

    Counted only where they may not fit ``window``: a text has never more tokens than bytes.
    """
    texts = [message.content or "" for message in messages]
    most = sum(len(text) if text.isascii() else 4 * len(text) for text in texts)
    if most + _PER_MESSAGE * len(texts) <= window:
        return most // 4 + _PER_MESSAGE * len(texts)
    return sum(_counted(text) + _PER_MESSAGE for text in texts)


def text_of(answer: object) -> str:
    """The text of whatever an LLM's method returns."""
    match answer:
        case str():
            return answer
        case ChatResponse():
            return answer.message.content or ""
        case CompletionResponse():
            return answer.text
        case AgentChatResponse():
            return answer.response
        case BaseModel():
            return answer.model_dump_json()
    return ""


def shows(piece: object) -> bool:
    """Whether a consumer sees something in a frame of a stream: text, thoughts, a tool call."""
    match piece:
        case str():
            return bool(piece)
        case ChatResponse():
            message = piece.message
            called = "tool_calls" in message.additional_kwargs and message.additional_kwargs
            blocks = (block for block in message.blocks if block.block_type != "text")
            return bool(piece.delta or message.content or called or any(True for _ in blocks))
        case CompletionResponse():
            return bool(piece.delta or piece.text)
    return True


def shown_by(frame: object) -> str:
    """The text that a frame of a stream adds; none where only the whole so far is told."""
    return frame if isinstance(frame, str) else (getattr(frame, "delta", None) or "")


def tool_call_ids(message: ChatMessage) -> list[str]:
    """Ids of the tools that a message calls, in whatever form its author gave them."""
    blocks = (block for block in message.blocks if block.block_type != "text")
    found = [getattr(block, "tool_call_id", None) for block in blocks]
    older = message.additional_kwargs.get("tool_calls") or ()
    found += [_get(call, "id") for call in older]
    return list(dict.fromkeys(str(call_id) for call_id in found if call_id))


def reported_usage(response: object) -> Usage | None:
    """Tokens as the model reported them; None where it reports none."""
    for place in _places(response):
        tokens_in, tokens_out = _first(place, _IN), _first(place, _OUT)
        if tokens_in is not None and tokens_out is not None:
            details = _get(place, "prompt_tokens_details")
            cached = _first(details, ("cached_tokens",)) or _first(
                place, ("cache_read_input_tokens",)
            )
            return Usage(tokens_in=tokens_in, tokens_out=tokens_out, tokens_in_cached=cached or 0)
    return None


def usage_of(responses: Iterable[object], asked: Sequence[ChatMessage], text: str) -> Usage:
    """Tokens of these responses together, or about as many where one reports none."""
    reported = [reported_usage(response) for response in responses]
    known = [usage for usage in reported if usage is not None]
    if known and len(known) == len(reported):
        return Usage(
            tokens_in=sum(usage.tokens_in for usage in known),
            tokens_out=sum(usage.tokens_out for usage in known),
            tokens_in_cached=sum(usage.tokens_in_cached for usage in known),
        )
    characters = sum(len(message.content or "") for message in asked)
    return Usage(
        tokens_in=characters // 4 + _PER_MESSAGE * len(asked),
        tokens_out=max(len(text) // 4, 1),
        estimated=True,
    )


def finish_reason_of(response: object) -> str | None:
    """Why the model ended, where it says so in the way of OpenAI or Anthropic."""
    raw = getattr(response, "raw", None)
    choices = _get(raw, "choices")
    first = choices[0] if isinstance(choices, Sequence) and choices else raw
    for name in ("finish_reason", "stop_reason", "done_reason", "stopReason"):
        reason = _get(first, name)
        if isinstance(reason, str):
            return reason
    return "incomplete" if _get(first, "status") == "incomplete" else None


def _counted(text: str) -> int:
    tokenize = get_tokenizer()
    slices = [text[start : start + _SLICE] for start in range(0, len(text), _SLICE)]
    step = max(len(slices) / _SLICES, 1.0)
    looked_at = [slices[int(number * step)] for number in range(min(len(slices), _SLICES))]
    seen = sum(map(len, looked_at))
    count = sum(len(tokenize(part)) for part in looked_at)
    return round(count * len(text) / seen) if seen else 0


def _kinds(blocks: Iterable[Any]) -> Iterator[str]:
    for block in blocks:
        yield block.block_type
        if block.block_type == "text":
            continue
        inner = getattr(block, "content", None) or getattr(block, "cited_content", None)
        if isinstance(inner, Sequence) and not isinstance(inner, str):
            yield from _kinds(inner)
        elif getattr(inner, "block_type", None):
            yield from _kinds([inner])


def _places(response: object) -> Iterator[object]:
    """Where integrations put their counts."""
    raw = getattr(response, "raw", None)
    yield _get(raw, "usage")
    yield _get(raw, "usage_metadata")
    yield raw
    yield getattr(response, "additional_kwargs", None)


def _first(place: object, names: Iterable[str]) -> int | None:
    values = (_get(place, name) for name in names)
    return next((value for value in values if isinstance(value, int)), None)


def _get(place: object, name: str) -> Any:
    return place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)

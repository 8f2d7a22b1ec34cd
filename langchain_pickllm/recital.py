"""What an answer is kept under, and the message that it becomes when it is given again.

The message carries no usage: no model was asked, and whoever adds up tokens shall not count any.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.language_models._compat_bridge import message_to_events
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_pickllm.shapes import Shape
from langchain_pickllm.tool_binding import TOOLS
from pickllm.digest import digest_of
from pickllm.stamp import KEY, recital_stamp
from pickllm.types import Decision, Kept

__all__ = ["call_digest", "recited_chunk", "recited_events", "recited_message"]


def call_digest(
    kwargs: Mapping[str, Any], shape: Shape | None, *, chosen: Mapping[str, Any]
) -> str:
    """What shapes an answer beside the messages: tools, response format, sampling, stop words.

    And ``chosen``, which is what the call's config changes in the arms.
    """
    given = {name: value for name, value in kwargs.items() if name != TOOLS}
    if shape is not None:
        given["pickllm_shape"] = {arm: dict(shape.kwargs(arm)) for arm in shape.arms}
        for kwargs_of_arm in given["pickllm_shape"].values():
            kwargs_of_arm.pop(TOOLS, None)
    return digest_of({"langchain": given, "chosen": chosen})


def recited_message(decision: Decision, kept: Kept) -> AIMessage:
    """The answer as a message of the arm that gave it."""
    return AIMessage(
        content=kept.text, id=_id(decision), response_metadata=_metadata(decision, kept)
    )


def recited_chunk(decision: Decision, kept: Kept) -> AIMessageChunk:
    """The answer as the only chunk of a stream."""
    return AIMessageChunk(
        content=kept.text,
        id=_id(decision),
        response_metadata=_metadata(decision, kept),
        chunk_position="last",
    )


def recited_events(message: AIMessage) -> Iterator[dict[str, Any]]:
    """The answer as a content-block stream."""
    return (dict(event) for event in message_to_events(message, message_id=message.id))


def _id(decision: Decision) -> str:
    """As LangChain makes them for messages that have none of a provider's; of its own each time."""
    return f"lc_run--{decision.id}"


def _metadata(decision: Decision, kept: Kept) -> dict[str, Any]:
    metadata: dict[str, Any] = {KEY: recital_stamp(decision)}
    return (
        metadata
        if kept.finish_reason is None
        else {**metadata, "finish_reason": kept.finish_reason}
    )

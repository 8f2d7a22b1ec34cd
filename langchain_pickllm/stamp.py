"""The decision in a message's metadata: put there, and found again.

On a copy always: a cache hands out one object to many, and an arm may be used elsewhere too. In a
stream exactly one chunk is stamped, for merging chunks would add strings up and refuse two floats.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from langchain_core.messages import BaseMessage

from pickllm.errors import ConfigError
from pickllm.stamp import KEY, stamp_of
from pickllm.steps import Call

__all__ = ["arm_of", "decision_id_of", "stamp_on", "stamped", "stamped_event", "unstamped"]

M = TypeVar("M", bound=BaseMessage)


def stamped(message: M, call: Call) -> M:
    """A copy of the message that says which arm gave it, and by which decision."""
    metadata = {**message.response_metadata, KEY: stamp_of(call, message.response_metadata)}
    return message.model_copy(update={"response_metadata": metadata})


def stamped_event(event: dict[str, Any], call: Call) -> dict[str, Any]:
    """A copy of a protocol event whose metadata says the same."""
    metadata = event.get("metadata") or {}
    return {**event, "metadata": {**metadata, KEY: stamp_of(call, metadata)}}


def unstamped(messages: Sequence[BaseMessage], arm: str, arms: Container[str]) -> list[BaseMessage]:
    """The messages for an arm that is a router itself: with its own stamp on what it said.

    The outer router's stamps are taken off, for the two may call their arms by the same names.
    """
    return [_without(message, arm) if arm_of(message) in arms else message for message in messages]


def stamp_on(message: BaseMessage) -> Mapping[str, Any]:
    """The decision that a message carries; empty where it carries none that can be read."""
    stamp = message.response_metadata.get(KEY)
    return stamp if isinstance(stamp, Mapping) and {"arm", "decision_id"} <= stamp.keys() else {}


def arm_of(message: BaseMessage) -> str:
    """The arm that gave a message; empty where it carries no decision."""
    return str(stamp_on(message).get("arm", ""))


def decision_id_of(message_or_id: object) -> str:
    """The decision that a message carries, or the id itself."""
    if isinstance(message_or_id, BaseMessage):
        stamp = stamp_on(message_or_id)
        if not stamp:
            raise ConfigError(
                "this message carries no decision: give the one that the routed model returned, "
                "or its decision id"
            )
        return str(stamp["decision_id"])
    if not isinstance(message_or_id, str | UUID):
        raise ConfigError(
            "give the message that the routed model returned, its decision id or a run id; this is "
            f"{type(message_or_id).__name__}"
        )
    return str(message_or_id)


def _without(message: BaseMessage, arm: str) -> BaseMessage:
    metadata = dict(message.response_metadata)
    stamp = metadata.pop(KEY)
    if stamp["arm"] == arm and "inner" in stamp:
        metadata[KEY] = stamp["inner"]
    return message.model_copy(update={"response_metadata": metadata})

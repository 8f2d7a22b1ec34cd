"""The decision in a response's ``additional_kwargs``: put there, and found again.

On a copy always, and on the response, never in its message: integrations send what stands in a
message's ``additional_kwargs`` to the provider, and memories count it as tokens.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from llama_index.core.llms import ChatResponse, CompletionResponse

from pickllm.errors import ConfigError
from pickllm.stamp import KEY, stamp_of
from pickllm.steps import Call

__all__ = ["decision_id_of", "stamp_on", "stamped", "with_inner_stamp"]

A = TypeVar("A")
_Carriers = (ChatResponse, CompletionResponse)


def stamped(answer: A, call: Call) -> A:
    """A copy that says which arm gave it, and by which decision; other kinds as they are."""
    if not isinstance(answer, _Carriers):
        return answer
    given = answer.additional_kwargs
    if given.get(KEY, {}).get("decision_id") == call.decision.id:  # a frame of its stream
        return answer
    stamped_kwargs = {**given, KEY: stamp_of(call, given)}
    return cast("A", answer.model_copy(update={"additional_kwargs": stamped_kwargs}))


def stamp_on(answer: object) -> Mapping[str, Any]:
    """The decision that a response carries; empty where it carries none."""
    kwargs = answer.additional_kwargs if isinstance(answer, _Carriers) else {}
    stamp: Mapping[str, Any] = kwargs.get(KEY) or {}
    return stamp


def with_inner_stamp(response: ChatResponse) -> ChatResponse:
    """The response as the arm gave it: with its own stamp where it is a router, else without."""
    kwargs = {key: value for key, value in response.additional_kwargs.items() if key != KEY}
    inner = stamp_on(response).get("inner")
    return response.model_copy(
        update={"additional_kwargs": {**kwargs, KEY: inner} if inner else kwargs}
    )


def decision_id_of(response_or_id: object) -> str:
    """The decision that a response carries, or the id itself."""
    if isinstance(response_or_id, _Carriers):
        stamp = stamp_on(response_or_id)
        if not stamp:
            raise ConfigError(
                "this response carries no decision: give the one that the routed LLM returned, "
                "or its decision id"
            )
        return str(stamp["decision_id"])
    if not isinstance(response_or_id, str | UUID):
        raise ConfigError(
            "give the response that the routed LLM returned, its decision id, or an id around it; "
            f"this is {type(response_or_id).__name__}. What an engine or an agent returns carries "
            'no decision: put instrument_tags({"request_id": ...}) around it and give that id, or '
            "have a RewardTracker score it"
        )
    return str(response_or_id)

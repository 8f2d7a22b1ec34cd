"""Which arm a conversation has to stay with, read from its messages: there is no hidden state.

    tool loop    a model asked for tools, and their results are there: the same model goes on
    reasoning    the history holds reasoning that only its author can read
    thread       the user asked for it: the arm that spoke last speaks again

The arm is the one in the metadata of the message that it wrote, so this survives checkpoints,
restarts and other workers.
"""

from collections.abc import Container, Iterator, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_pickllm.reading import REASONING
from langchain_pickllm.stamp import arm_of, stamp_on
from pickllm.types import Hold

__all__ = ["failed_tool_calls", "hold_of"]


def hold_of(messages: Sequence[BaseMessage], arms: Container[str], *, sticky: bool) -> Hold | None:
    """The arm to stay with, and why; None where the router is free to choose."""
    spoken = [message for message in _stamped(messages) if arm_of(message) in arms]
    recent = _since_human(messages)
    for message in spoken:
        if message.tool_calls and any(message is other for other in recent):
            return Hold(
                arm=arm_of(message),
                reason="tool loop",
                continues=str(stamp_on(message)["decision_id"]),
            )
    for message in spoken:
        if _has_reasoning(message):
            return Hold(arm=arm_of(message), reason="reasoning in the history")
    if sticky and spoken:
        return Hold(arm=arm_of(spoken[0]), reason="thread")
    return None


def failed_tool_calls(messages: Sequence[BaseMessage]) -> list[AIMessage]:
    """The newest messages whose tool calls came back as errors, since a human last spoke."""
    recent = _since_human(messages)
    failed = {
        getattr(message, "tool_call_id", None)
        for message in recent
        if getattr(message, "status", None) == "error"
    }
    return [
        message
        for message in recent
        if isinstance(message, AIMessage) and any(c["id"] in failed for c in message.tool_calls)
    ]


def _stamped(messages: Sequence[BaseMessage]) -> Iterator[AIMessage]:
    """Messages of arms, newest first."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and stamp_on(message):
            yield message


def _since_human(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    recent: list[BaseMessage] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        recent.append(message)
    return recent


def _has_reasoning(message: AIMessage) -> bool:
    return isinstance(message.content, list) and any(
        isinstance(block, dict) and block.get("type") in REASONING for block in message.content
    )

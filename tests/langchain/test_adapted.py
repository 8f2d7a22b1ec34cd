"""Adapted conversations in LangChain: what an arm is called with, and what stays as it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_pickllm import RoutedChatModel
from pickllm.types import Arm, Request, Said
from tests.langchain.recording import MODEL_WAYS
from tests.langchain.scripted import ScriptedChatModel

CALL = {"name": "look", "args": {"city": "Oslo"}, "id": "1"}
HISTORY: list[BaseMessage] = [
    SystemMessage("Be brief"),
    HumanMessage("An example"),
    AIMessage("Its answer"),
    HumanMessage("Look, please"),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("rain", tool_call_id="1"),
    HumanMessage("A very long question"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """Drops the example, adds a word of its own, and shortens the question, for one arm."""

    arm: str = "small"
    name: str = "rewritten"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation."""
        if arm.name != self.arm:
            return request.turns
        first, _, _, *middle, last = request.turns
        hint = Said(role="system", text="Think")
        return (first, hint, *middle, Said(role=last.role, text="question", at=last.at))


def pool(first: str) -> RoutedChatModel:
    """Two arms, the one asked first by name."""
    models = {name: ScriptedChatModel(model_name=name) for name in ("small", "large")}
    return RoutedChatModel(models=models, policy=lambda _: {first: 1.0}, adaptations=Rewritten())


def read(model: RoutedChatModel, arm: str) -> Sequence[Any]:
    """The messages that an arm got."""
    asked = model.models[arm]
    assert isinstance(asked, ScriptedChatModel)
    return asked.seen[-1].messages


@pytest.mark.parametrize("way", sorted(set(MODEL_WAYS) - {"generate", "agenerate"}))
def test_the_arm_reads_the_adapted_conversation(way: str) -> None:
    """What was kept is the very message; what was changed is a copy, and the caller's stays."""
    model = pool("small")
    MODEL_WAYS[way](model, HISTORY, {})
    got = read(model, "small")

    assert ["Be brief", "Think", "Look, please", "", "rain", "question"] == [m.text for m in got]
    assert [CALL["name"]] == [call["name"] for call in got[3].tool_calls]
    assert "1" == got[4].tool_call_id
    assert "A very long question" == HISTORY[-1].text


def test_other_arms_read_what_was_given() -> None:
    """An adaptation is one arm's."""
    model = pool("large")
    model.invoke(HISTORY)
    assert HISTORY == list(read(model, "large"))

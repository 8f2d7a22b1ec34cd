"""Answers that were given before, in LangChain: every way of asking, and what tells calls apart."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.reading import finish_reason_of
from pickllm import ConfigError
from pickllm.cache import AnswerCache
from pickllm.types import Kept, Said
from tests.langchain.recording import MODEL_WAYS
from tests.langchain.scripted import ScriptedChatModel, get_weather, look_up
from tests.unit.test_recalling import Shelf

QUESTION = "What is it?"


class Strict(Shelf):
    """Keeps answers by all that the core is told of a call."""

    def recall(self, request: Any) -> Kept | None:
        return self.kept.get(_key(request))

    def keep(self, request: Any, kept: Kept) -> None:
        self.kept[_key(request)] = kept


def _key(request: Any) -> str:
    said = [(turn.role, turn.text) for turn in request.turns]
    return repr((request.tenant, request.call_digest, said))


def shelved(**settings: Any) -> RoutedChatModel:
    """One arm and a shelf."""
    models = {"only": ScriptedChatModel(says="four five six")}
    return RoutedChatModel(models=models, answers=Strict(), **settings)


def calls(model: RoutedChatModel) -> int:
    """How often the arm was asked."""
    arm = model.models["only"]
    assert isinstance(arm, ScriptedChatModel)
    return arm.calls


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_every_way_of_asking_is_served(way: str) -> None:
    """With the same words and the stamp of a decision that says where they come from."""
    model = shelved()
    first = model.invoke(QUESTION)
    again = MODEL_WAYS[way](model, QUESTION, {})

    assert "four five six" == again.text
    assert 1 == calls(model)
    stamp = again.response_metadata["pickllm"]
    assert first.response_metadata["pickllm"]["decision_id"] == stamp["recites"]
    assert "noted" == model.feedback(again, 1.0)
    assert again.usage_metadata is None


@pytest.mark.parametrize(
    "change",
    [
        {"stop": ["five"]},
        {"temperature": 0.9},
        {"tenant": "another"},
        {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]},
        {"odd": object()},
    ],
    ids=["stop words", "sampling", "tenant", "tools", "something that nobody can read"],
)
def test_calls_that_differ_are_asked(change: Mapping[str, Any]) -> None:
    """Whatever shapes an answer is part of what it is kept under."""
    model = shelved()
    model.invoke(QUESTION)
    model.invoke(QUESTION, **change)
    assert 2 == calls(model)


def test_tools_are_told_apart_by_what_they_are() -> None:
    """Bound tools count as their schemas, in any run of a program."""
    model = shelved()
    digests = [_digest_of(model, tools) for tools in ([get_weather], [look_up], [get_weather], [])]
    assert digests[0] == digests[2]
    assert 3 == len(set(digests))


def _digest_of(model: RoutedChatModel, tools: list[Any]) -> str:
    bound: Any = model.bind_tools(tools)
    digest: str = model._turn("q", None, None, bound.kwargs).request.call_digest
    assert digest
    return digest


def test_without_a_shelf_nothing_is_worked_out() -> None:
    """It would take time for nothing."""
    model = RoutedChatModel(models={"only": ScriptedChatModel()})
    assert "" == model._turn("q", None, None, {}).request.call_digest


def test_the_conversation_reaches_the_core_as_text() -> None:
    """Roles, words, places, and whether words are all there is."""
    image = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    messages = [
        SystemMessage("Be brief"),
        HumanMessage([{"type": "text", "text": "Look"}, image]),
        AIMessage("A cat", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
    ]
    turns = shelved()._turn(messages, None, None, {}).request.turns
    assert (
        Said(role="system", text="Be brief", at=0),
        Said(role="user", text="Look", at=1, plain=False),
        Said(role="assistant", text="A cat", at=2, plain=False),
    ) == turns


def test_many_at_once_are_served() -> None:
    """Batches, on a loop."""
    model = shelved()
    model.invoke(QUESTION)
    given = asyncio.run(model.abatch([QUESTION] * 20))
    assert ["four five six"] * 20 == [message.text for message in given]
    assert 1 == calls(model)


def test_fresh_asks_anew() -> None:
    """For a button that says "again"; what the arm says then takes the old answer's place."""
    model = shelved()
    model.invoke(QUESTION)
    model.invoke(QUESTION, fresh=True)
    model.invoke(QUESTION)
    assert 2 == calls(model)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens"}, "max_tokens"),
        ({"done_reason": "length"}, "length"),
        ({"stopReason": "max_tokens"}, "max_tokens"),
        ({"status": "incomplete"}, "incomplete"),
        ({"status": "completed"}, None),
    ],
)
def test_why_a_model_ended_is_read_from_any_provider(
    metadata: dict[str, str], reason: str | None
) -> None:
    """A cache must know that an answer was cut off, whatever its provider calls that."""
    assert reason == finish_reason_of(AIMessage("cut", response_metadata=metadata))


@pytest.mark.parametrize("answers", [True, "sqlite:///answers.db", AnswerCache], ids=str)
def test_what_is_no_cache_is_refused(answers: Any) -> None:
    """When the model is made, with what to give."""
    with pytest.raises(ConfigError, match="give a cache, such as AnswerCache"):
        RoutedChatModel(models={"only": ScriptedChatModel()}, answers=answers)

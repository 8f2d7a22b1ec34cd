"""Kept answers behind LangChain's own cache interface."""

import json
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, Generation

from langchain_pickllm.cache import CachedAnswers
from pickllm.cache import AnswerCache
from tests.langchain.scripted import ScriptedChatModel, get_weather


def cached(**settings: Any) -> CachedAnswers:
    """One that verifies nothing by chance."""
    return CachedAnswers(AnswerCache(verified_share=0.0, **settings))


def test_a_chat_model_answers_once() -> None:
    """Equal questions share an answer; `invoke`, `ainvoke` and `batch` alike."""
    arm = ScriptedChatModel(cache=cached())

    said = [arm.invoke("Hello").text, *(each.text for each in arm.batch(["Hello", "Hello"]))]

    assert ["Hello there, friend"] * 3 == said
    assert 1 == arm.calls


async def test_async_calls_are_answered_too() -> None:
    """By the same answers."""
    arm = ScriptedChatModel(cache=cached())

    await arm.ainvoke("Hello")
    assert "Hello there, friend" == (await arm.ainvoke("Hello")).text
    assert 1 == arm.calls


def test_the_last_human_message_is_compared() -> None:
    """Semantically, where the cache is; what was said before has to be the same."""
    arm = ScriptedChatModel(cache=cached(semantic=True))
    system = SystemMessage("Be brief.")
    arm.invoke([system, HumanMessage("What is the capital of France?")])

    arm.invoke([system, HumanMessage("could you tell me what the capital of france is?", id="7")])
    assert 1 == arm.calls
    arm.invoke([SystemMessage("Rhyme."), HumanMessage("What is the capital of France?")])
    arm.invoke([system, HumanMessage("What is the capital of Spain?")])
    arm.invoke(
        [HumanMessage("Hi"), AIMessage("Hi"), HumanMessage("What is the capital of France?")]
    )
    assert 4 == arm.calls


def test_models_and_settings_are_kept_apart() -> None:
    """Another model, or another argument, is another answer."""
    answers = cached()
    for model in (FakeListChatModel(responses=["a"]), FakeListChatModel(responses=["b"])):
        model.cache = answers
        assert model.responses[0] == model.invoke("Hello").text
    assert "a" == FakeListChatModel(responses=["a"], cache=answers).invoke("Hello", stop=["."]).text
    assert 3 == answers.answers.size()


def test_completion_models_have_it_too() -> None:
    """Also where a prompt looks like JSON."""
    for prompt in ("Hello", "[", "[1]", '[{"kwargs": 1}]'):
        llm = FakeListLLM(responses=["a", "b"], cache=cached())
        assert ["a", "a"] == [llm.invoke(prompt), llm.invoke(prompt)]


def test_tools_are_not_cached() -> None:
    """Neither what is answered where tools are offered, nor what asks for them."""
    arm = ScriptedChatModel(cache=cached())
    bound = arm.bind_tools([get_weather])

    for _ in range(2):
        bound.invoke("Hello")
        bound.invoke("The weather in 'Rome'?")

    assert 4 == arm.calls


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([{"type": "image_url", "image_url": {"url": "data:x"}}]),
        HumanMessage("Hello", name="Ada"),
        AIMessage("", tool_calls=[tool_call(name="f", args={}, id="1")]),
    ],
)
def test_what_is_more_than_text_is_not_cached(message: HumanMessage | AIMessage) -> None:
    """Images, names and tool calls are not told apart here, so they are left alone."""
    arm = ScriptedChatModel(cache=cached())
    for _ in range(2):
        arm.invoke([message, HumanMessage("Hello")])

    assert 2 == arm.calls


@pytest.mark.parametrize(
    "generations",
    [
        [],
        [Generation(text="a"), Generation(text="b")],
        [Generation(text="")],
        [Generation(text="cut", generation_info={"finish_reason": "length"})],
        [ChatGeneration(message=AIMessage("cut", response_metadata={"stop_reason": "max_tokens"}))],
        [ChatGeneration(message=AIMessage("", tool_calls=[tool_call(name="f", args={}, id="1")]))],
        [ChatGeneration(message=AIMessage([{"type": "reasoning", "reasoning": "x"}, "yes"]))],
    ],
)
def test_unfit_answers_are_not_kept(generations: list[Generation]) -> None:
    """None or several, nothing said, cut off, or more than text."""
    answers = cached()
    answers.update("Hello", "model", generations)

    assert answers.lookup("Hello", "model") is None


def test_nothing_in_a_prompt_is_made_into_an_object() -> None:
    """A prompt that names a class of its own is text, no more."""
    answers = cached()
    message = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "ls"}}
    answers.update(json.dumps([message]), "model", [Generation(text="a")])

    found = answers.lookup(json.dumps([message]), "model")
    assert found is not None
    assert ["a"] == [each.text for each in found]


def test_what_is_asked_to_verify_an_answer_verifies_it() -> None:
    """A model that is asked all the same says whether the kept answer was right."""
    answers = CachedAnswers(AnswerCache(semantic=True, verified_share=1.0))
    answers.update("What is the capital of France?", "model", [Generation(text="Paris.")])
    for prompt, said in (
        ("please tell me the capital of France", "Paris."),
        ("tell me what the capital of France is", "It is Lyon."),
    ):
        assert answers.lookup(prompt, "model") is None
        answers.update(prompt, "model", [Generation(text=said)])

    stats = answers.answers.stats()
    assert (1, 1) == (stats["verified right"], stats["verified wrong"])


def test_clearing_forgets() -> None:
    """As LangChain asks its caches to."""
    answers = cached()
    answers.update("Hello", "model", [Generation(text="a")])
    answers.clear()

    assert answers.lookup("Hello", "model") is None

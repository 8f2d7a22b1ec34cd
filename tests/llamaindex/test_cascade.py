"""Cascades, recited answers and adapted conversations in LlamaIndex, in every way of asking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.adapted import turns_of
from pickllm import Abstained
from pickllm.cascading import ThresholdCascade
from pickllm.scoring import scorer_of
from pickllm.types import Arm, Request, Said
from tests.langchain.test_recited import Strict
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import ANSWERS, WAYS, answer

PROMPT = "What is it?"


class City(BaseModel):
    """A city."""

    name: str


def climbing(small: str = "no idea", large: str = "four five six", **how: Any) -> RoutedLLM:
    """Two arms, of which the first is asked first; whatever begins with "no" is poor."""
    scorer = scorer_of(lambda _, answer: float(not answer.startswith("no")))
    how = {"thresholds": (0.5,), "scorer": scorer, **how}
    return RoutedLLM(
        llms={"small": ScriptedLLM(says=small), "large": ScriptedLLM(says=large)},
        cascade=ThresholdCascade(order=("small", "large"), **how),
        seed=1,
    )


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asking_gives_one_answer(way: str) -> None:
    """The second arm's; the first one's draft is booked and not seen."""
    llm = climbing()

    assert "four five six" == answer(WAYS[way](llm, PROMPT))
    last = llm.router.last_decision
    assert last is not None
    assert "asked small: rejected" in str(llm.explain(last.id))
    assert "large" == llm.router.answered_by(last.id)


@pytest.mark.parametrize("way", WAYS)
def test_abstaining_reaches_the_caller_as_itself(way: str) -> None:
    """With what was bought."""
    llm = climbing(large="no, sorry", abstain_below=0.5)
    with pytest.raises(Abstained) as told:
        WAYS[way](llm, PROMPT)
    assert ["no idea", "no, sorry"] == [reply.text for reply, _ in told.value.replies]


def test_tools_that_are_called_are_called_once() -> None:
    """``predict_and_call`` runs the tools itself: one arm is asked, and no second one."""
    called: list[str] = []

    def look(city: str) -> str:
        """Look out of the window."""
        called.append(city)
        return "no rain"

    llm = climbing()
    for arm in llm.llms.values():
        arm.arguments = {"city": "Oslo"}  # type: ignore[attr-defined]  # a scripted one
    llm.predict_and_call([FunctionTool.from_defaults(look)], "Weather in Oslo?")
    assert ["Oslo"] == called


@pytest.mark.parametrize(("arguments", "arm"), [({"city": "Oslo"}, "small"), ({}, "large")])
def test_tool_calls_are_scored_by_their_arguments(arguments: dict[str, Any], arm: str) -> None:
    """Those of the first arm fit its schema, or do not."""

    def look(city: str) -> str:
        """Look out of the window."""
        return city

    llm = climbing()
    llm.llms["small"].arguments = arguments  # type: ignore[attr-defined]  # a scripted one
    llm.llms["large"].arguments = {"city": "Oslo"}  # type: ignore[attr-defined]  # as above
    response = llm.chat_with_tools([FunctionTool.from_defaults(look)], "Weather in Oslo?")
    assert arm == response.additional_kwargs["pickllm"]["arm"]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asking_is_served_again(way: str) -> None:
    """With the same words, and the stamp of a decision that says where they come from."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(says="four five six")}, answers=Strict())
    first, again = (WAYS[way](llm, PROMPT) for _ in range(2))

    assert "four five six" == answer(first) == answer(again)
    assert 1 == llm.llms["only"].calls  # type: ignore[attr-defined]  # a scripted one
    if way in ANSWERS:
        stamps = [given.additional_kwargs["pickllm"] for given in (first, again)]
        assert stamps[0]["decision_id"] == stamps[1]["recites"]
        assert "noted" == llm.feedback(again, 1.0)


def test_structures_are_served_again() -> None:
    """As the class that was asked for; another class is another question."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(arguments={"name": "Oslo"})}, answers=Strict())
    prompt = PromptTemplate("A city, please")

    class Town(BaseModel):
        """A town."""

        name: str
        size: int = 1

    given = [llm.structured_predict(kind, prompt) for kind in (City, City, Town)]
    assert [City(name="Oslo"), City(name="Oslo"), Town(name="Oslo")] == given
    assert 1 == llm.stats()["answers_recited"]


def test_tenants_are_told_apart() -> None:
    """By the call, or by the tags around it."""
    llm = RoutedLLM(llms={"only": ScriptedLLM()}, answers=Strict())
    llm.chat(user(PROMPT), tenant="red")
    with instrument_tags({"tenant": "blue"}):
        llm.chat(user(PROMPT))
    assert 2 == llm.llms["only"].calls  # type: ignore[attr-defined]  # a scripted one
    with instrument_tags({"tenant": "red"}):
        llm.chat(user(PROMPT))
    assert 2 == llm.llms["only"].calls  # type: ignore[attr-defined]  # as above


@dataclass(frozen=True, kw_only=True, slots=True)
class Shorter:
    """Leaves one word of the question."""

    name: str = "shorter"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:  # the protocol's
        """The conversation."""
        *before, last = request.turns
        return (*before, Said(role=last.role, text="question", at=last.at))


@pytest.mark.parametrize("way", WAYS)
def test_the_arm_reads_the_adapted_conversation(way: str) -> None:
    """Whatever the method: messages, a text, a template that was filled in."""
    llm = RoutedLLM(llms={"only": ScriptedLLM()}, adaptations=Shorter())
    WAYS[way](llm, "A very long question {with braces}")

    (asked,) = llm.llms["only"].seen  # type: ignore[attr-defined]  # a scripted one
    assert "question" == asked.prompt


def test_structures_are_asked_for_with_the_adapted_prompt() -> None:
    """A template that was filled in."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(arguments={"name": "Oslo"})}, adaptations=Shorter())
    assert City(name="Oslo") == llm.structured_predict(City, PromptTemplate("{a} city"), a="One")
    (asked,) = llm.llms["only"].seen  # type: ignore[attr-defined]  # a scripted one
    assert "question" == asked.prompt


def test_messages_that_stay_are_the_same_objects() -> None:
    """Images, tools and what providers put into them survive."""
    history = [ChatMessage(role=MessageRole.SYSTEM, content="Be brief"), *user("A long one")]
    llm = RoutedLLM(llms={"only": ScriptedLLM()}, adaptations=Shorter())
    llm.chat(history)
    (asked,) = llm.llms["only"].seen  # type: ignore[attr-defined]  # a scripted one
    assert history[0] is asked.messages[0]
    assert "A long one" == history[1].content
    assert (0, 1) == tuple(said.at for said in turns_of(history))

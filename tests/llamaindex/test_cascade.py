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
from tests.llamaindex.recording import recorded
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import ANSWERS, STREAMS, WAYS, answer

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
        arm.arguments = {"city": "Oslo"}
    llm.predict_and_call([FunctionTool.from_defaults(look)], "Weather in Oslo?")
    assert ["Oslo"] == called


@pytest.mark.parametrize(("arguments", "arm"), [({"city": "Oslo"}, "small"), ({}, "large")])
def test_tool_calls_are_scored_by_their_arguments(arguments: dict[str, Any], arm: str) -> None:
    """Those of the first arm fit its schema, or do not."""

    def look(city: str) -> str:
        """Look out of the window."""
        return city

    llm = climbing()
    llm.llms["small"].arguments = arguments
    llm.llms["large"].arguments = {"city": "Oslo"}
    response = llm.chat_with_tools([FunctionTool.from_defaults(look)], "Weather in Oslo?")
    assert arm == response.additional_kwargs["pickllm"]["arm"]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asking_is_served_again(way: str) -> None:
    """With the same words, and the stamp of a decision that says where they come from."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(says="four five six")}, answers=Strict())
    first, again = (WAYS[way](llm, PROMPT) for _ in range(2))

    assert "four five six" == answer(first) == answer(again)
    assert 1 == llm.llms["only"].calls
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
    assert 2 == llm.llms["only"].calls
    with instrument_tags({"tenant": "red"}):
        llm.chat(user(PROMPT))
    assert 2 == llm.llms["only"].calls


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

    (asked,) = llm.llms["only"].seen
    assert "question" == asked.prompt


def test_structures_are_asked_for_with_the_adapted_prompt() -> None:
    """A template that was filled in."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(arguments={"name": "Oslo"})}, adaptations=Shorter())
    assert City(name="Oslo") == llm.structured_predict(City, PromptTemplate("{a} city"), a="One")
    (asked,) = llm.llms["only"].seen
    assert "question" == asked.prompt


def test_messages_that_stay_are_the_same_objects() -> None:
    """Images, tools and what providers put into them survive."""
    history = [ChatMessage(role=MessageRole.SYSTEM, content="Be brief"), *user("A long one")]
    llm = RoutedLLM(llms={"only": ScriptedLLM()}, adaptations=Shorter())
    llm.chat(history)
    (asked,) = llm.llms["only"].seen
    assert history[0] is asked.messages[0]
    assert "A long one" == history[1].content
    assert (0, 1) == tuple(said.at for said in turns_of(history))


# Events


def shown_by_events(told: Sequence[Any]) -> str:
    """What a handler of events shows that looks at what is said of holding back."""
    text = ""
    for event in told:
        if event.class_name() == "PickLLMShownEvent":
            text += event.text
        elif "pickllm_held_back" not in event.tags and "InProgress" in event.class_name():
            text += event.response.delta
    return text


@pytest.mark.parametrize("window", [4, 400])
@pytest.mark.parametrize("small", ["no idea at all", "yes yes yes yes"])
@pytest.mark.parametrize("way", WAYS)
def test_events_say_what_is_held_back_and_when_it_is_shown(
    way: str, small: str, window: int
) -> None:
    """Drafts are told of as they come, by their arms; whoever shows words can tell them apart."""
    llm = climbing(small, hold_back_chars=window)
    with recorded() as recording:
        given = answer(WAYS[way](llm, PROMPT))

    assert given == shown_by_events(recording.told)
    (event,) = [each for each in recording.told if each.class_name() == "PickLLMShownEvent"]
    assert {} == event.tags
    last = llm.router.last_decision
    assert last is not None
    assert (last.id, llm.router.answered_by(last.id)) == (event.decision_id, event.arm)


@pytest.mark.parametrize("way", STREAMS)
def test_events_of_the_arm_shown_are_told_as_they_come(way: str) -> None:
    """Once it is known that it is shown; by then it is at its beginning."""
    with recorded() as recording:
        WAYS[way](climbing("yes " * 9, hold_back_chars=4), PROMPT)

    names = [event.class_name() for event in recording.told if not event.tags]
    assert "PickLLMShownEvent" == names[0]
    assert 8 == sum("InProgress" in name for name in names)


def test_tags_around_a_cascade_are_kept() -> None:
    """What is held back is said beside what the caller says."""
    with recorded() as recording, instrument_tags({"tenant": "ann"}):
        climbing().chat(user(PROMPT))

    tags = [event.tags for event in recording.told]
    assert {"tenant": "ann", "pickllm_held_back": "small"} == tags[0]
    assert {"tenant": "ann"} == tags[-1]
    assert all(each["tenant"] == "ann" for each in tags)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_given_again_is_told_of(way: str) -> None:
    """No arm is asked for it, so this is all that events say of it."""
    llm = RoutedLLM(llms={"only": ScriptedLLM(says="four five six")}, answers=Strict())
    WAYS[way](llm, PROMPT)
    with recorded() as recording:
        WAYS[way](llm, PROMPT)

    (event,) = recording.told
    assert ("PickLLMShownEvent", "four five six") == (event.class_name(), event.text)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_cascade_nothing_is_held_back(way: str) -> None:
    """Events are as they would be of the arm alone."""
    with recorded() as recording:
        WAYS[way](RoutedLLM(llms={"only": ScriptedLLM()}), PROMPT)

    assert [{}] * len(recording.told) == [event.tags for event in recording.told]
    assert "PickLLMShownEvent" not in recording.events

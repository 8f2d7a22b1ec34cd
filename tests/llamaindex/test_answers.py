"""Kept answers in a routed LLM: given again by every way in, judged, pinned, kept apart."""

from typing import Any

import pytest
from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.tools import FunctionTool

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from pickllm.cache import AnswerCache
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import ANSWERS, STREAMS, WAYS, answer

ASKED, OTHERWISE = "What is the capital of France?", "please tell me the capital of france"

every_way = pytest.mark.parametrize("way", WAYS)


def routed(arms: int = 1, answers: AnswerCache | None = None, **settings: Any) -> RoutedLLM:
    """Scripted arms with a cache."""
    llms: dict[str, LLM] = {
        f"arm{number}": ScriptedLLM(model=f"arm{number}", says=f"I am {number} of us")
        for number in range(arms)
    }
    return RoutedLLM(llms=llms, answers=answers or AnswerCache(), seed=1, **settings)


def calls(llm: RoutedLLM) -> int:
    """How often any arm was asked."""
    return sum(len(arm.seen) for arm in llm.llms.values() if isinstance(arm, ScriptedLLM))


@every_way
def test_an_answer_is_given_again_by_every_way(way: str) -> None:
    """The second time no arm is asked."""
    llm = routed()

    said = [answer(WAYS[way](llm, ASKED)) for _ in range(2)]

    assert ["I am 0 of us"] * 2 == said
    assert 1 == calls(llm)
    assert 1 == llm.router.stats()["answers_recited"]


@pytest.mark.parametrize("way", ANSWERS)
def test_a_response_carries_the_decision(way: str) -> None:
    """Its own, and the one that it was first given by."""
    llm = routed()
    first, again = (stamp_on(ANSWERS[way](llm, ASKED)) for _ in range(2))

    assert first["decision_id"] == again["recites"]
    assert first["decision_id"] != again["decision_id"]


def test_ways_of_one_kind_share_answers() -> None:
    """A stream gives what a whole answer was, sync and async alike."""
    llm = routed()
    for way in ("chat", "achat", "stream_chat", "astream_chat"):
        assert "I am 0 of us" == answer(ANSWERS[way](llm, ASKED))

    assert 1 == calls(llm)


@pytest.mark.parametrize("way", STREAMS)
def test_a_kept_answer_is_one_coherent_stream(way: str) -> None:
    """The last frame says it all."""
    llm = routed()
    ANSWERS[way](llm, ASKED)

    assert "I am 0 of us" == answer(ANSWERS[way](llm, ASKED))
    assert "".join(frame.delta or "" for frame in llm.stream_chat(user(ASKED))) == "I am 0 of us"


def test_questions_that_read_alike_share_an_answer() -> None:
    """Where the cache is semantic."""
    llm = routed(answers=AnswerCache(semantic=True, verified_share=0.0))
    llm.chat(user(ASKED))

    assert "I am 0 of us" == llm.chat(user(OTHERWISE)).message.content
    assert 1 == calls(llm)


def test_walls_hold() -> None:
    """Tenants, system messages and settings."""
    llm = routed()
    llm.chat(user(ASKED))
    llm.chat(user(ASKED), tenant="ada")
    llm.chat(user(ASKED), tenant="bob")
    llm.chat([ChatMessage("Rhyme.", role="system"), *user(ASKED)])
    llm.chat(user(ASKED), temperature=1.0)
    assert 5 == calls(llm)

    llm.chat(user(ASKED), tenant="ada")
    assert 5 == calls(llm)


def test_messages_that_are_not_told_apart_share_no_answer() -> None:
    """Names, and whatever else is said beside the text."""
    llm = routed()
    for beside in ({"name": "ada"}, {"name": "bob"}, {"lang": "de"}, {"lang": "fr"}):
        llm.chat([ChatMessage("Go on.", role="user", additional_kwargs=beside), *user(ASKED)])
    assert 4 == calls(llm)

    for beside in ({"name": "ada"}, {"name": "bob"}):
        llm.chat([ChatMessage("Hi.", role="assistant", additional_kwargs=beside), *user(ASKED)])
    assert 6 == calls(llm)


def test_feedback_on_a_kept_answer_lets_it_go() -> None:
    """By the decision that its reader saw."""
    llm = routed()
    llm.chat(user(ASKED))
    again = stamp_on(llm.chat(user(ASKED)))

    llm.router.feedback(again["decision_id"], 0.0)

    assert "recites" not in stamp_on(llm.chat(user(ASKED)))
    assert 2 == calls(llm)


def test_tools_are_not_cached() -> None:
    """Whether they are called or only offered."""

    def weather(place: str) -> str:
        """The weather at a place."""
        return place

    llm = routed()
    tool = FunctionTool.from_defaults(weather)
    for _ in range(2):
        llm.chat_with_tools([tool], user_msg=ASKED)

    assert 2 == calls(llm)


def test_a_pinned_arm_answers_itself() -> None:
    """What another arm has said does not serve."""
    llm = routed(arms=2)
    llm.chat(user(ASKED), model="arm0")

    assert "I am 1 of us" == llm.chat(user(ASKED), model="arm1").message.content
    assert 2 == calls(llm)

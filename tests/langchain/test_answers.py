"""Kept answers in a routed chat model: given again by every way in, judged, pinned, kept apart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnableLambda

from langchain_pickllm import RoutedChatModel
from pickllm import ArmError, Usage
from pickllm.cache import AnswerCache
from pickllm.protocols import Cache
from pickllm.testing import kept_answer
from pickllm.types import Kept, Request
from tests.langchain.recording import MODEL_WAYS, Recorder
from tests.langchain.scripted import ScriptedChatModel, get_weather

ASKED, OTHERWISE = "What is the capital of France?", "please tell me the capital of france"

every_way = pytest.mark.parametrize("way", MODEL_WAYS)


def routed(arms: int = 1, answers: Cache | None = None, **settings: Any) -> RoutedChatModel:
    """Scripted arms with a cache."""
    models: dict[str, BaseChatModel] = {
        f"arm{number}": ScriptedChatModel(model_name=f"arm{number}", says=f"I am {number} of us")
        for number in range(arms)
    }
    return RoutedChatModel(models=models, answers=answers or AnswerCache(), seed=1, **settings)


def calls(model: RoutedChatModel) -> int:
    """How often any arm was asked."""
    asked: int = sum(arm.calls for arm in model.models.values())
    return asked


@every_way
def test_an_answer_is_given_again_by_every_way(way: str) -> None:
    """Whichever way it was first asked; with a decision of its own that names the first."""
    model = routed()
    first = model.invoke(ASKED).response_metadata["pickllm"]

    again = MODEL_WAYS[way](model, ASKED, {})

    stamp = again.response_metadata["pickllm"]
    assert "I am 0 of us" == again.text
    assert 1 == calls(model)
    assert (first["decision_id"], "arm0") == (stamp["recites"], stamp["arm"])
    assert first["decision_id"] != stamp["decision_id"]
    assert again.usage_metadata is None
    assert f"lc_run--{stamp['decision_id']}" == again.id  # a message of its own, in a history too
    assert 1 == model.router.stats()["answers_recited"]


@every_way
def test_an_answer_is_kept_whichever_way_it_came(way: str) -> None:
    """Streams and async ones among them."""
    model = routed()
    MODEL_WAYS[way](model, ASKED, {})

    assert "I am 0 of us" == model.invoke(ASKED).text
    assert 1 == calls(model)


def test_a_kept_answer_is_one_coherent_stream() -> None:
    """Its chunks add up to the answer, one carries the decision, the last one says so."""
    model = routed()
    model.invoke(ASKED)

    chunks = list(model.stream(ASKED))

    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert "I am 0 of us" == whole.text
    assert 1 == len([each for each in chunks if "pickllm" in each.response_metadata])
    assert "last" == chunks[-1].chunk_position


def test_questions_that_read_alike_share_an_answer() -> None:
    """In a chain, too; and the router's explanation says why no arm was asked."""
    model = routed(answers=AnswerCache(semantic=True, verified_share=0.0))
    prompt = ChatPromptTemplate([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | model | StrOutputParser()

    said = [chain.invoke({"question": each}) for each in (ASKED, OTHERWISE)]

    assert ["I am 0 of us"] * 2 == said
    assert 1 == calls(model)
    decision = model.router.last_decision
    assert decision is not None
    assert decision.held is not None
    assert "answered before" == decision.held.reason


def test_tenants_are_kept_apart() -> None:
    """Said with the call or in the chain's metadata."""
    model = routed()
    model.invoke(ASKED, tenant="ada")

    model.invoke(ASKED, {"metadata": {"tenant": "ada"}})
    assert 1 == calls(model)
    model.invoke(ASKED, tenant="bob")
    model.invoke(ASKED)
    assert 3 == calls(model)


def test_system_messages_history_and_settings_are_walls() -> None:
    """What shapes an answer beside the question."""
    model = routed()
    for given in (
        ASKED,
        [SystemMessage("Rhyme."), HumanMessage(ASKED)],
        [HumanMessage("Hi"), HumanMessage(ASKED)],
    ):
        model.invoke(given)
    for settings in ({"stop": ["."]}, {"temperature": 1.0}):
        model.invoke(ASKED, **settings)

    assert 5 == calls(model)
    model.invoke([HumanMessage(ASKED)])
    assert 5 == calls(model)


def _configured(config: RunnableConfig, **fields: Any) -> RunnableConfig:
    """With fields as chains and graphs hand them on."""
    return {**config, "configurable": fields}


@pytest.mark.parametrize("way", sorted(set(MODEL_WAYS) - {"generate", "agenerate"}))
def test_what_a_call_configures_is_a_wall(way: str) -> None:
    """An arm that a config changes is another arm; the thread that it is asked in is none."""
    arm: Any = ScriptedChatModel().configurable_fields(says=ConfigurableField(id="style"))
    model = RoutedChatModel(models={"a": arm}, answers=AnswerCache())

    said = [
        MODEL_WAYS[way](model, ASKED, _configured({}, style=style, thread_id=str(number))).text
        for number, style in enumerate(("pirate", "lawyer", "pirate", "lawyer"))
    ]

    assert ["pirate", "lawyer", "pirate", "lawyer"] == said
    assert 2 == model.router.stats()["answers_recited"]


def test_what_a_function_reads_of_the_config_is_a_wall() -> None:
    """Nobody can tell what that is; where it has no digest, nothing is given again."""
    arm: Any = RunnableLambda(
        lambda _, config: AIMessage(str(config["configurable"].get("style"))),
    )
    model = RoutedChatModel(models={"a": arm}, answers=AnswerCache())
    for style in ("pirate", "lawyer", object()):
        for _ in range(2):
            assert str(style) == model.invoke(ASKED, _configured({}, style=style)).text

    assert 2 == model.router.stats()["answers_recited"]


def test_chat_models_read_no_config() -> None:
    """So whoever asks them shares their answers."""
    model = routed()
    for user in ("ada", "bob"):
        model.invoke(ASKED, _configured({}, user_id=user, seen=object()))

    assert 1 == calls(model)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ChatMessage(content="Go on.", role="critic"),
            ChatMessage(content="Go on.", role="author"),
        ),
        (
            HumanMessage("Go on.", additional_kwargs={"lang": "de"}),
            HumanMessage("Go on.", additional_kwargs={"lang": "fr"}),
        ),
        (
            AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": "1"}}),
            AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": "2"}}),
        ),
    ],
)
def test_messages_that_are_not_told_apart_share_no_answer(
    one: BaseMessage, other: BaseMessage
) -> None:
    """Roles that only a provider knows, and what is said beside the text."""
    model = routed()
    for message in (one, other, one):
        model.invoke([message, HumanMessage(ASKED)])

    assert 3 == calls(model)


def test_what_providers_put_beside_their_answers_tells_nothing_apart() -> None:
    """Such as that nothing was refused."""
    model = routed()
    for beside in ({"refusal": None}, {}):
        said = AIMessage("Hi", additional_kwargs=beside)
        model.invoke([HumanMessage("Hello"), said, HumanMessage(ASKED)])

    assert 1 == calls(model)


def test_feedback_on_a_kept_answer_lets_it_go() -> None:
    """By the decision that its reader saw; the next one is asked anew."""
    model = routed()
    model.invoke(ASKED)
    again = model.invoke(ASKED)

    model.router.feedback(again.response_metadata["pickllm"]["decision_id"], 0.0)

    assert "recites" not in model.invoke(ASKED).response_metadata["pickllm"]
    assert 2 == calls(model)


def test_feedback_on_the_first_answer_lets_it_go() -> None:
    """By every worker of a store; praise lets nothing go."""
    model = routed()
    first = model.invoke(ASKED)
    decision_id = first.response_metadata["pickllm"]["decision_id"]

    model.router.feedback(decision_id, 1.0)
    model.invoke(ASKED)
    assert 1 == calls(model)
    model.router.feedback(decision_id, 0.0, "reviewer")
    model.invoke(ASKED)
    assert 2 == calls(model)


def test_what_a_scorer_thinks_little_of_is_not_kept() -> None:
    """It is asked for again, until an answer is good."""
    verdicts = [0.9, 0.1]
    model = routed(scorer=lambda *_: verdicts.pop())
    for _ in range(4):
        model.invoke(ASKED)

    assert 2 == calls(model)


def test_tools_are_not_cached() -> None:
    """Neither steps that call them, nor answers where they are offered."""
    model = routed()
    bound = model.bind_tools([get_weather])
    for _ in range(2):
        bound.invoke(ASKED)
        bound.invoke("The weather in 'Rome'?")

    assert 4 == calls(model)


def test_pictures_are_not_cached() -> None:
    """Nor is anything else that is more than text."""
    model = routed()
    block = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    for _ in range(2):
        model.invoke([HumanMessage([{"type": "text", "text": ASKED}, block])])

    assert 2 == calls(model)


def test_a_pinned_arm_answers_itself() -> None:
    """What another arm has said does not serve."""
    model = routed(arms=2)
    model.invoke(ASKED, model="arm0")

    assert "I am 1 of us" == model.invoke(ASKED, model="arm1").text
    assert "I am 1 of us" == model.invoke(ASKED, model=["arm0", "arm1"]).text
    assert 2 == calls(model)


def test_a_stream_that_is_left_is_not_kept() -> None:
    """Half an answer is none."""
    model = routed()
    stream: Any = model.stream(ASKED)
    next(stream)
    next(stream)
    stream.close()

    model.invoke(ASKED)
    assert 2 == calls(model)


def test_a_failure_is_not_kept() -> None:
    """The next call is asked anew."""
    arm = ScriptedChatModel(error=ValueError("no"), heals_after=1)
    model = RoutedChatModel(models={"a": arm}, answers=AnswerCache())
    with pytest.raises((ArmError, ValueError)):
        model.invoke(ASKED)

    assert "Hello there, friend" == model.invoke(ASKED).text


class Broken:
    """A cache that fails in every way."""

    def recall(self, request: Request) -> Kept | None:
        raise OSError

    def keep(self, request: Request, kept: Kept) -> None:
        raise OSError

    def judged(self, decision_id: str, value: float) -> None:
        raise OSError


@every_way
def test_a_cache_that_fails_takes_no_answer_away(way: str) -> None:
    """Also one that is not ours."""
    model = routed(answers=Broken())
    answer = MODEL_WAYS[way](model, ASKED, {})
    model.router.feedback(answer.response_metadata["pickllm"]["decision_id"], 0.0)

    assert "I am 0 of us" == answer.text
    assert 3 == model.router.stats()["cache_failures"]


def test_routers_share_answers_by_a_store(tmp_path: Path) -> None:
    """Another process on the same file gives what the first has kept."""
    address = f"sqlite:///{tmp_path / 'answers.db'}"
    one, other = (routed(answers=AnswerCache(store=address)) for _ in range(2))
    one.invoke(ASKED)

    assert "I am 0 of us" == other.invoke(ASKED).text
    assert 0 == calls(other)


def test_an_arm_that_left_the_pool_answers_no_more() -> None:
    """What it once said does not serve either."""
    cache = AnswerCache()
    routed(arms=2, answers=cache).invoke(ASKED, model="arm1")

    assert "I am 0 of us" == routed(arms=1, answers=cache).invoke(ASKED).text


def test_callers_at_once_all_get_an_answer() -> None:
    """Whoever comes first; afterwards none asks an arm."""
    model = routed(answers=AnswerCache(semantic=True, verified_share=0.0))

    async def ask() -> list[str]:
        asked = [model.ainvoke(each, tenant=str(n % 4)) for n, each in enumerate([ASKED] * 32)]
        return [each.text for each in await asyncio.gather(*asked)]

    assert ["I am 0 of us"] * 32 == asyncio.run(ask())
    before = calls(model)
    assert ["I am 0 of us"] * 32 == asyncio.run(ask())
    assert before == calls(model)


def test_a_trace_shows_a_run_without_a_model() -> None:
    """The router's own run is there, with its output; no arm's run is below it."""
    model = routed()
    model.invoke(ASKED)
    recorder = Recorder()

    model.invoke(ASKED, {"callbacks": [recorder]})

    (span,) = recorder
    assert ["end"] == span.ends
    assert "I am 0 of us" == span.output.text


def test_a_kept_answer_costs_nothing() -> None:
    """Its outcome says so, and teaches no policy."""
    model = routed()
    model.invoke(ASKED)
    again = model.invoke(ASKED)

    record = model.router.ledger[again.response_metadata["pickllm"]["decision_id"]]
    assert record.outcome is not None
    assert 0.0 == record.outcome.cost_usd
    assert not record.outcome.attempts[0].called


def test_usage_survives_in_what_is_kept() -> None:
    """For reports of what was saved."""
    cache = AnswerCache()
    model = routed(answers=cache)
    model.invoke(ASKED)
    decision_id = model.invoke(ASKED).response_metadata["pickllm"]["decision_id"]

    kept = cache.explain(decision_id).kept
    assert kept is not None
    assert isinstance(kept.usage, Usage)
    assert kept_answer().finish_reason == kept.finish_reason

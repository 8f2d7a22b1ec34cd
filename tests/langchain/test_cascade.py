"""A cascade in LangChain: every way of asking, watchers, tracing, tools, structured output."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from pickllm import Abstained
from pickllm.cache import AnswerCache
from pickllm.cascading import ThresholdCascade
from pickllm.scoring import scorer_of
from tests.langchain.recording import MODEL_WAYS, Recorder
from tests.langchain.scripted import ScriptedChatModel

QUESTION = "What is it?"


class Weather(BaseModel):
    """The weather of a city."""

    city: str


@tool
def look(city: str) -> str:
    """Look out of the window."""
    return f"rain in {city}"


def climbing(small: str = "no idea", large: str = "four five six", **how: Any) -> RoutedChatModel:
    """Two arms, of which the first is asked first; whatever begins with "no" is poor."""
    models = {
        "small": ScriptedChatModel(model_name="small", says=small),
        "large": ScriptedChatModel(model_name="large", says=large),
    }
    scorer = scorer_of(lambda _, answer: float(not answer.startswith("no")))
    settings = {"answers": how.pop("answers", None), "seed": 1}
    how = {"thresholds": (0.5,), "scorer": scorer, **how}
    cascade = ThresholdCascade(order=("small", "large"), **how)
    return RoutedChatModel(models=models, cascade=cascade, **settings)


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_every_way_of_asking_gives_one_answer(way: str) -> None:
    """The second arm's, with its stamp; the first one's draft is booked and not seen."""
    model = climbing()
    message = MODEL_WAYS[way](model, QUESTION, {})

    assert "four five six" == message.text
    stamp = message.response_metadata["pickllm"]
    assert ("large", "small") == (stamp["arm"], stamp["asked_after"])
    assert "scored 1.00 by 'scorer'" in str(model.explain(message))
    assert "asked small: rejected" in str(model.explain(message))


def test_tracing_shows_both_calls_below_the_router() -> None:
    """A draft was paid for, so its run, its tokens and its end are there."""
    recorder = Recorder()
    climbing().invoke(QUESTION, {"callbacks": [recorder]})

    chain, small, large = recorder
    assert ("chain", "llm", "llm") == (chain.kind, small.kind, large.kind)
    assert small.parent_run_id == large.parent_run_id == chain.run_id
    assert ["end"] == small.ends == large.ends


def test_tools_that_fit_are_accepted_and_asked_once() -> None:
    """A tool call is scored by its arguments; no tool runs here, so none runs twice."""
    model = climbing()
    message = model.bind_tools([look], tool_choice="look").invoke("Weather in Oslo?")

    assert ["look"] == [call["name"] for call in message.tool_calls]
    assert "small" == message.response_metadata["pickllm"]["arm"]
    assert 0 == _arm(model, "large").calls


def test_structured_output_of_the_arm_that_answered_is_read() -> None:
    """Each arm is asked its own way, whoever's answer is shown."""
    model = climbing(small='{"city": "Oslo"}')
    given = model.with_structured_output(Weather).invoke("Weather in Oslo?")

    assert isinstance(given, Weather)


def test_abstaining_reaches_the_caller_as_itself() -> None:
    """To be caught, and handed to a person."""
    model = climbing(large="no, sorry", abstain_below=0.5)
    for ask in (model.invoke, _ainvoked(model), lambda asked: list(model.stream(asked))):
        with pytest.raises(Abstained) as told:
            ask(QUESTION)
        assert ["no idea", "no, sorry"] == [reply.text for reply, _ in told.value.replies]


def test_a_long_answer_is_shown_before_its_end() -> None:
    """A good beginning is enough; what comes after it is streamed."""
    model = climbing(small="word " * 100, hold_back_chars=40)
    chunks = model.stream(QUESTION)
    next(chunks)
    assert 0 == _arm(model, "small").counts["closed"]
    rest = "".join(chunk.text for chunk in chunks)

    assert "word " * 99 in rest
    assert 1 == _arm(model, "small").counts["closed"]


def test_a_cascade_below_a_router_hears_of_its_own_answers_only() -> None:
    """What is said of the outer answer reaches the inner router that gave it, not the other one."""
    scorer = scorer_of(lambda _, answer: float(not answer.startswith("no")))
    inner = {
        name: RoutedChatModel(
            models={"only": ScriptedChatModel(says=says)}, policy="epsilon_greedy"
        )
        for name, says in (("small", "no idea"), ("large", "four"))
    }
    outer = RoutedChatModel(
        models=inner,
        cascade=ThresholdCascade(order=("small", "large"), thresholds=(0.5,), scorer=scorer),
    )
    message = outer.invoke(QUESTION)
    outer.feedback(message, 1.0)

    heard = {name: model.stats().get("feedback_counted", 0) for name, model in inner.items()}
    assert {"small": 0, "large": 2} == heard


def _arm(model: RoutedChatModel, name: str) -> ScriptedChatModel:
    arm = model.models[name]
    assert isinstance(arm, ScriptedChatModel)
    return arm


def _ainvoked(model: Runnable[Any, Any]) -> Callable[[Any], Any]:
    return lambda asked: asyncio.run(model.ainvoke(asked))


def test_an_answer_that_would_not_do_is_no_better_for_being_the_only_one() -> None:
    """Where one arm alone may answer it is scored all the same, and not kept for others."""
    cache = AnswerCache()
    model = climbing(abstain_below=0.5, answers=cache)

    with pytest.raises(Abstained):
        model.invoke(QUESTION, model="small")
    assert "four five six" == model.invoke(QUESTION).text
    assert "four five six" == model.invoke(QUESTION, model="large").text
    assert 1 == model.stats()["answers_recited"]

"""LangChain's own wrapper of a pipeline as an arm: no async, no tools, one cache key for all."""

import asyncio
import contextlib
import copy
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.wrappers import is_bare_pipeline
from pickllm.local import LocalModel
from tests.langchain.recording import MODEL_WAYS, Recorder
from tests.langchain.scripted import ScriptedChatModel, get_weather
from tests.tiny import ANSWER, QUESTION, tiny_folder

pytestmark = pytest.mark.xdist_group("local models")


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatHuggingFace:
    """A small Llama, as users of LangChain wrap it."""
    return wrapped(LocalModel.load(tiny_folder(tmp_path_factory)).pipeline)


@pytest.fixture
def everyones() -> Iterator[InMemoryCache]:
    """A cache for all models of the process."""
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def wrapped(pipeline: Any) -> ChatHuggingFace:
    """`ChatHuggingFace` over a pipeline."""
    llm = HuggingFacePipeline(pipeline=pipeline, model_id="tiny")
    return ChatHuggingFace(llm=llm, tokenizer=pipeline.tokenizer)


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_it_answers_in_every_way(way: str, chat: ChatHuggingFace) -> None:
    """Async as well, where by itself it raises."""
    model = RoutedChatModel(models={"tiny": chat})

    answer = MODEL_WAYS[way](model, QUESTION, {})

    assert answer.text.endswith(
        ANSWER
    )  # whole answers begin with the prompt, as they do without us
    assert "tiny" == answer.response_metadata["pickllm"]["arm"]
    assert "counted" == model.feedback(answer, 1.0)


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_it_works_in_a_thread_of_its_own(way: str, chat: ChatHuggingFace) -> None:
    """The loop's thread is free meanwhile."""
    threads: set[int] = set()
    hook = chat.llm.pipeline.model.register_forward_pre_hook(
        lambda *_: threads.add(threading.get_ident())
    )
    model = RoutedChatModel(models={"tiny": chat})

    try:
        if way == "ainvoke":
            await model.ainvoke(QUESTION)
        else:
            assert [chunk async for chunk in model.astream(QUESTION)]
    finally:
        hook.remove()

    assert threads
    assert threading.get_ident() not in threads


async def test_many_at_once_get_their_own_answers(chat: ChatHuggingFace) -> None:
    """Threads do not mix what they generate."""
    model = RoutedChatModel(models={"tiny": chat})

    questions = [f"{number} + 2 =" for number in range(6)]
    alone = [chat.invoke(question).text for question in questions]

    answers = await asyncio.gather(*(model.ainvoke(question) for question in questions))

    assert alone == [answer.text for answer in answers]
    assert 6 == len(set(alone))


async def test_leaving_its_stream_closes_its_run(chat: ChatHuggingFace) -> None:
    """Nobody waits for a thread that has no reader."""
    recorder = Recorder()
    model = RoutedChatModel(models={"tiny": chat})

    async with contextlib.aclosing(
        cast("Any", model.astream(QUESTION, {"callbacks": [recorder]}))
    ) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break

    assert [["GeneratorExit"], ["GeneratorExit"]] == [span.ends for span in recorder]
    assert 1 == model.stats()["outcome_abandoned"]


def test_what_needs_tools_goes_elsewhere(chat: ChatHuggingFace) -> None:
    """It would drop them without a word."""
    models: dict[str, Any] = {"tiny": chat, "able": ScriptedChatModel()}
    model = RoutedChatModel(models=models, policy=lambda s: s.arms[0])

    answer = model.bind_tools([get_weather]).invoke("How is the weather?")

    explained = model.explain(answer).decision
    assert ("able", {"tiny": "cannot do tools"}) == (explained.arm, explained.ineligible)


def test_two_of_them_do_not_answer_for_each_other(
    chat: ChatHuggingFace, everyones: InMemoryCache
) -> None:
    """They have one key in a cache, so both go past it."""
    tokenizer = copy.deepcopy(chat.tokenizer)
    tokenizer.chat_template = "Another model: " + tokenizer.chat_template
    other = ChatHuggingFace(llm=chat.llm, tokenizer=tokenizer)
    model = RoutedChatModel(models={"one": chat, "other": other})
    assert chat._get_llm_string() == other._get_llm_string()

    texts = [model.invoke(QUESTION, model=arm).text for arm in ("one", "other", "one")]

    assert texts[0] == texts[2] != texts[1]
    assert 0 == len(everyones._cache)


def test_wrappers_do_not_hide_what_it_is(chat: ChatHuggingFace) -> None:
    """``bind`` and ``with_retry`` change nothing of what it lacks."""
    arms = [chat, chat.bind(stop=["x"]), chat.with_retry(), ScriptedChatModel()]

    assert [True, True, True, False] == [is_bare_pipeline(arm) for arm in arms]


@pytest.mark.parametrize("wrap", [lambda c: c.bind(), lambda c: c.with_retry()])
def test_wrapped_it_answers_on_a_loop(wrap: Any, chat: ChatHuggingFace) -> None:
    """In a thread as well."""
    model = RoutedChatModel(models={"tiny": wrap(chat)})

    answers = [MODEL_WAYS[way](model, QUESTION, {}) for way in ("ainvoke", "astream")]
    assert [True, True] == [answer.text.endswith(ANSWER) for answer in answers]

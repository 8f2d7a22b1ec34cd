"""A local model in LangChain: what chains expect of a chat model, and what an arm is."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.local import ChatLocal
from pickllm import Arm, ConfigError
from pickllm.local import LocalModel
from pickllm.policies import Fixed
from tests.langchain.scripted import ScriptedChatModel
from tests.langchain.tiny_suite import OverATinyModel
from tests.tiny import (
    ANSWER,
    QUESTION,
    before_tokens,
    generating,
    rambling,
    soon,
    tiny_folder,
)

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The model, loaded once."""
    return LocalModel.load(tiny_folder(tmp_path_factory))


@pytest.fixture
def chat(local: LocalModel) -> ChatLocal:
    """The model for a chain."""
    return ChatLocal(model=local)


@pytest.fixture
def seen(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the model's chat template is given, call by call."""
    given: list[Any] = []
    template = local.pipeline.tokenizer.apply_chat_template

    def told(messages: Any, **settings: Any) -> Any:
        given.append(messages)
        return template(messages, **settings)

    monkeypatch.setattr(local.pipeline.tokenizer, "apply_chat_template", told)
    return given


def added(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """The chunks as one."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


# Answers


def test_a_message_holds_answer_usage_and_reason(chat: ChatLocal, local: LocalModel) -> None:
    """No prompt in it, tokens as the tokenizer counts them, and the name that prices go by."""
    answer = chat.invoke(QUESTION)

    assert ANSWER == answer.content
    assert {"input_tokens": 6, "output_tokens": 4, "total_tokens": 10} == answer.usage_metadata
    assert {
        "model_name": local.name,
        "model_provider": "local",
        "finish_reason": "stop",
    } == answer.response_metadata


def test_a_stream_is_the_same_message(chat: ChatLocal) -> None:
    """Chunks add up to what `invoke` returns, and usage comes once."""
    chunks = list(chat.stream(QUESTION))

    whole, answer = added(chunks), chat.invoke(QUESTION)
    assert answer.content == whole.content
    assert answer.usage_metadata == whole.usage_metadata
    assert answer.response_metadata == whole.response_metadata
    assert 1 == sum(chunk.usage_metadata is not None for chunk in chunks)
    assert "last" == chunks[-1].chunk_position


async def test_async_calls_answer_alike(chat: ChatLocal) -> None:
    """Async invoke, stream and batch give the answers of their sync twins."""
    answer = chat.invoke(QUESTION)

    chunks = [chunk async for chunk in chat.astream(QUESTION)]
    answers = [await chat.ainvoke(QUESTION), *await chat.abatch([QUESTION] * 3)]

    assert answer.content == added(chunks).content
    assert answer.usage_metadata == added(chunks).usage_metadata
    assert [(answer.content, answer.usage_metadata)] * 4 == [
        (each.content, each.usage_metadata) for each in answers
    ]


def test_threads_get_their_own_answers(chat: ChatLocal) -> None:
    """Eight calls at a time answer as one after another."""
    prompts: list[Any] = [f"Sort the letters: {letter}ba" for letter in "cdefghij"]

    alone = [chat.invoke(prompt).content for prompt in prompts]
    with ThreadPoolExecutor(8) as threads:
        together = [answer.content for answer in threads.map(chat.invoke, prompts)]

    assert alone == together
    assert alone == [answer.content for answer in chat.batch(prompts, {"max_concurrency": 8})]


def test_a_limit_may_be_the_model_s_or_the_call_s(chat: ChatLocal, local: LocalModel) -> None:
    """That of the call is the one that counts."""
    limited = ChatLocal(model=local, max_tokens=1)

    assert "a" == limited.invoke(QUESTION).content
    assert "ab" == limited.invoke(QUESTION, max_tokens=2).content
    assert "ab" == added(list(limited.stream(QUESTION, max_tokens=2))).content
    assert "length" == limited.invoke(QUESTION).response_metadata["finish_reason"]
    assert "a" == chat.bind(max_tokens=1).invoke(QUESTION).content


def test_temperature_may_be_the_model_s_or_the_call_s(local: LocalModel) -> None:
    """Heat makes answers differ, and zero makes them one, whatever the other says."""
    warm, cold = ChatLocal(model=local, temperature=90.0), ChatLocal(model=local, temperature=0)

    assert ANSWER == cold.invoke(QUESTION).content
    assert ANSWER == warm.invoke(QUESTION, temperature=0).content
    assert 1 < len({str(warm.invoke(QUESTION).content) for _ in range(4)})
    assert 1 < len({str(cold.invoke(QUESTION, temperature=90).content) for _ in range(4)})


def test_other_settings_are_those_of_transformers(local: LocalModel) -> None:
    """What the class has no name for goes into ``settings``, or along with a call."""
    banned: dict[str, Any] = {
        "suppress_tokens": [local.pipeline.tokenizer.convert_tokens_to_ids("a")]
    }

    assert "a" not in str(ChatLocal(model=local, settings=banned).invoke(QUESTION).content)
    assert "a" not in str(ChatLocal(model=local).invoke(QUESTION, **banned).content)


def test_stop_sequences_may_be_the_model_s_or_the_call_s(local: LocalModel) -> None:
    """Those of the call take the place of the model's."""
    chat = ChatLocal(model=local, stop=["b"])

    assert "a" == chat.invoke(QUESTION).content
    assert "ab" == chat.invoke(QUESTION, stop=["d"]).content
    assert "ab" == added(list(chat.stream(QUESTION, stop=["d"]))).content
    assert "stop" == chat.invoke(QUESTION).response_metadata["finish_reason"]


def test_it_works_in_a_chain(chat: ChatLocal) -> None:
    """Between a prompt and a parser, as any chat model."""
    chain = (
        ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{it}")])
        | chat
        | StrOutputParser()
    )

    assert ANSWER == chain.invoke({"it": QUESTION})
    assert ANSWER == "".join(chain.stream({"it": QUESTION}))


@pytest.mark.parametrize("setting", [{"max_tokens": 0}, {"temperature": -1.0}, {"stop": [""]}])
def test_settings_that_cannot_be_are_refused(chat: ChatLocal, setting: dict[str, Any]) -> None:
    """With an error that names them."""
    with pytest.raises(ConfigError, match=r"must be at least|is empty"):
        chat.invoke(QUESTION, **setting)


def test_a_misspelt_setting_of_the_model_is_refused(local: LocalModel) -> None:
    """It is not lost without a word."""
    with pytest.raises(ConfigError, match=r"knows no \['temprature'\]"):
        ChatLocal.load(local.name, chat={"temprature": 0})


# Messages


def test_roles_and_texts_reach_the_template(chat: ChatLocal, seen: list[Any]) -> None:
    """Every turn goes to the chat template, text blocks as their text."""
    chat.invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Hi"}]),
            AIMessage(
                [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hello"}]
            ),
            ChatMessage(role="critic", content="Fine."),
            HumanMessage(QUESTION),
        ]
    )

    assert [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "critic", "content": "Fine."},
        {"role": "user", "content": QUESTION},
    ] == seen[0]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "no messages"),
        ([HumanMessage([IMAGE])], r"reads text only; this message holds \['image_url'\]"),
        ([HumanMessage("?"), ToolMessage("4", tool_call_id="1")], "message of type 'tool'"),
    ],
)
def test_what_it_cannot_read_is_refused(
    chat: ChatLocal, messages: list[BaseMessage], words: str
) -> None:
    """Images and tools' results are no text, and are not shown to the model as if they were."""
    with pytest.raises(ConfigError, match=words):
        chat.invoke(messages)
    with pytest.raises(ConfigError, match=words):
        list(chat.stream(messages))


def test_tokens_are_counted_by_the_model_s_tokenizer(chat: ChatLocal) -> None:
    """As it would get them, which is what usage says afterwards."""
    answer = chat.invoke(QUESTION)

    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == chat.get_num_tokens_from_messages(
        [HumanMessage(QUESTION)]
    )
    assert 3 == chat.get_num_tokens("abc")


# Loops and threads


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_loop_goes_on_while_the_model_works(
    chat: ChatLocal, local: LocalModel, streamed: bool
) -> None:
    """Another task takes its turns before the model's next token."""
    asked, ticked = threading.Event(), threading.Event()

    async def tick() -> None:
        while not asked.is_set():  # noqa: ASYNC110  # it is another thread that sets it
            await asyncio.sleep(0.001)
        ticked.set()

    def wait() -> None:
        asked.set()
        assert ticked.wait(10)

    with before_tokens(local, wait):
        ticking = asyncio.create_task(tick())
        if streamed:
            text = "".join([str(chunk.content) async for chunk in chat.astream(QUESTION)])
        else:
            text = str((await chat.ainvoke(QUESTION)).content)
        await ticking

    assert ANSWER == text


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_stops_the_model(
    chat: ChatLocal, local: LocalModel, streamed: bool
) -> None:
    """Nobody waits for the answer any more, so it is not written to its end."""
    begun, cancelled = threading.Event(), threading.Event()
    tokens: list[None] = []

    def count() -> None:
        tokens.append(None)
        begun.set()
        assert cancelled.wait(10)

    async def stream() -> None:
        async for _ in chat.astream(QUESTION, **rambling(local)):
            pass

    async def invoke() -> None:
        await chat.ainvoke(QUESTION, **rambling(local))

    with before_tokens(local, count):
        task = asyncio.create_task(stream() if streamed else invoke())
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await asyncio.get_running_loop().shutdown_default_executor()  # waits for its threads
        assert soon(lambda: not generating())
    assert len(tokens) < 150


def test_leaving_a_stream_stops_the_model(chat: ChatLocal, local: LocalModel) -> None:
    """A consumer who breaks off leaves no thread behind."""
    for _ in chat.stream(QUESTION, **rambling(local, tokens=500)):
        break

    assert soon(lambda: not generating())


async def test_leaving_an_async_stream_stops_the_model(chat: ChatLocal, local: LocalModel) -> None:
    """The same under async."""
    chunks = chat.astream(QUESTION, **rambling(local, tokens=500))
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert await asyncio.to_thread(soon, lambda: not generating())


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_an_error_inside_the_model_surfaces_as_it_is(
    chat: ChatLocal, local: LocalModel, way: str
) -> None:
    """At once, and not as a timeout."""

    def fail() -> None:
        raise MemoryError("no room")

    with before_tokens(local, fail), pytest.raises(MemoryError, match="no room"):
        list(chat.stream(QUESTION)) if way == "stream" else chat.invoke(QUESTION)


# Copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda chat: pickle.loads(pickle.dumps(chat))])
def test_copies_answer_with_weights_of_their_own(
    chat: ChatLocal, copied: Callable[[ChatLocal], ChatLocal]
) -> None:
    """They go to other processes, at the price of the weights."""
    other = copied(chat)

    assert ANSWER == other.invoke(QUESTION).content
    assert chat.model.pipeline.model is not other.model.pipeline.model


def test_settings_of_a_copy_share_the_weights(chat: ChatLocal) -> None:
    """``model_copy`` is how one model gets several settings."""
    short = chat.model_copy(update={"max_tokens": 1})

    assert "a" == short.invoke(QUESTION).content
    assert chat.model.pipeline is short.model.pipeline


def test_models_are_told_apart_in_a_cache(local: LocalModel) -> None:
    """Another model, or other settings, is another key."""
    other = LocalModel(name="other", pipeline=local.pipeline)
    chats = [
        ChatLocal(model=local),
        ChatLocal(model=other),
        ChatLocal(model=local, stop=["b"]),
        ChatLocal(model=local, settings={"top_k": 3}),
        ChatLocal(model=local, max_tokens=3),
    ]

    assert len(chats) == len({chat._get_llm_string() for chat in chats})


# As an arm


def test_an_hour_s_price_makes_the_cost_of_an_answer(chat: ChatLocal) -> None:
    """The seconds that it took, at the arm's rate."""
    model = RoutedChatModel(models={"llama": chat}, arms={"llama": Arm(usd_per_hour=36.0)})

    assert ANSWER == model.invoke(QUESTION).content
    assert ANSWER == "".join(str(chunk.content) for chunk in model.stream(QUESTION))

    for record in model.router.ledger:
        assert record.outcome is not None
        assert 0.0 < record.outcome.latency_s
        assert pytest.approx(record.outcome.latency_s * 0.01) == record.outcome.cost_usd


def test_an_arm_that_is_stuck_is_replaced(chat: ChatLocal, local: LocalModel) -> None:
    """Within the arm's time limit, by one that answers; so it is for a stream."""
    model = RoutedChatModel(
        models={"stuck": chat, "other": ScriptedChatModel(says="Here")},
        arms={"stuck": Arm(timeout_s=0.05)},
        policy=Fixed(arm="stuck"),
    )
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(30)

    with before_tokens(local, hang):
        try:
            answer, chunks = model.invoke(QUESTION), list(model.stream(QUESTION))
        finally:
            go_on.set()
        assert soon(lambda: not generating())

    assert "Here" == answer.content
    assert "Here" == "".join(str(chunk.content) for chunk in chunks)


@pytest.mark.parametrize(
    "prompt", [[HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE])], "x " * 4000]
)
def test_an_arm_is_not_asked_what_it_cannot_do(chat: ChatLocal, prompt: Any) -> None:
    """Images, and prompts longer than its window, go to other arms from the start."""
    model = RoutedChatModel(
        models={"llama": chat, "other": ScriptedChatModel(says="Here")},
        policy=Fixed(arm="llama"),
    )

    answer = model.invoke(prompt)

    assert "Here" == answer.content
    (record,) = model.router.ledger
    assert ["llama"] == list(record.decision.ineligible)


# LangChain's own suites


class _OverTheTinyModel(OverATinyModel):
    """Its template knows no tools."""

    knows_tools = False


class TestUnit(_OverTheTinyModel, ChatModelUnitTests):
    """The model alone."""


class TestIntegration(_OverTheTinyModel, ChatModelIntegrationTests):
    """The model alone."""

"""Who answers when an arm fails, is too slow, or is left: never two arms in one answer."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_pickllm import RoutedChatModel
from pickllm import Arm, ArmRefused, ArmTimeout
from pickllm.policies import epsilon_greedy
from tests.langchain.recording import MODEL_WAYS, WAYS, Recorder, until
from tests.langchain.scripted import ScriptedChatModel

every_way = pytest.mark.parametrize("way", MODEL_WAYS)

NO_ROUTE = ConnectionError("no route")


def pool(**settings: Any) -> tuple[RoutedChatModel, ScriptedChatModel, ScriptedChatModel]:
    """A model that asks the first arm first, and its two arms; ``settings`` are the first's."""
    first = ScriptedChatModel(says="one two three", **settings)
    second = ScriptedChatModel(says="four five six")
    models = {"first": first, "second": second}
    return RoutedChatModel(models=models, policy=lambda _: {"first": 1.0}), first, second


@pytest.fixture
def signal() -> Iterator[threading.Event]:
    """What a slow arm waits for; set in the end, so that no thread outlives its test for long."""
    event = threading.Event()
    yield event
    event.set()


def stamp_of(answer: Any) -> dict[str, Any]:
    """The decision in a message."""
    stamp: dict[str, Any] = answer.response_metadata["pickllm"]
    return stamp


# An arm fails before anything of its answer is to be seen


@every_way
@pytest.mark.parametrize("words_before_error", [0, 1])
def test_the_next_arm_takes_over_before_the_first_word(way: str, words_before_error: int) -> None:
    """The caller gets the second arm's answer, whole; an empty first chunk is not yet an answer."""
    model, _, _ = pool(error=NO_ROUTE, words_before_error=words_before_error)

    answer = MODEL_WAYS[way](model, "Count", {})

    assert "four five six" == answer.text
    assert ("second", "first") == (stamp_of(answer)["arm"], stamp_of(answer)["took_over_from"])
    assert (1, 1) == (model.stats()["fallbacks"], model.stats()["arm_failures"])


def test_feedback_goes_to_the_arm_that_took_over() -> None:
    """The one that failed has earned its own zero, and the score is the other's."""
    models = pool(error=NO_ROUTE)[0].models
    model = RoutedChatModel(
        models=models, policy=epsilon_greedy(epsilon=0.0), weights={"quality": 1.0}, seed=3
    )

    for _ in range(5):
        assert "counted" == model.feedback(model.invoke("Count"), 1.0)
    likeliest, other = model.explain(model.invoke("Count")).arms

    assert ("second", 1.0) == (likeliest.arm, likeliest.value)
    assert other.value in {0.0, None}


@pytest.mark.parametrize("way", ["stream", "astream", "events_v3", "aevents_v3"])
def test_nothing_of_the_failed_arm_is_left_in_a_stream(way: str) -> None:
    """Held-back chunks of the arm that failed never come out."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=1)

    answer = MODEL_WAYS[way](model, "Count", {})
    alone = MODEL_WAYS[way](second, "Count", {})

    assert alone.content == answer.content
    assert alone.usage_metadata == answer.usage_metadata


@every_way
def test_without_fallback_the_arm_s_error_is_the_caller_s(way: str) -> None:
    """``fallback=False``: nobody takes over."""
    model, _, second = pool(error=NO_ROUTE)
    model = RoutedChatModel(models=model.models, policy=lambda _: {"first": 1.0}, fallback=False)

    with pytest.raises(ConnectionError, match="no route") as caught:
        MODEL_WAYS[way](model, "Count", {})

    assert NO_ROUTE is caught.value
    assert 0 == second.calls


def test_a_list_says_who_takes_over_and_in_which_order() -> None:
    """``fallback=["c"]`` asks that arm next, whatever the policy thinks."""
    arms = {
        "a": ScriptedChatModel(error=NO_ROUTE),
        "b": ScriptedChatModel(says="b"),
        "c": ScriptedChatModel(says="c"),
    }
    model = RoutedChatModel(models=arms, policy=lambda _: {"a": 1.0}, fallback=["c", "b"])

    assert ("c", 0) == (model.invoke("Hello").text, arms["b"].calls)


@every_way
def test_when_all_fail_the_first_error_comes_with_notes_of_the_others(way: str) -> None:
    """The type is the chosen arm's own, so that ``except RateLimitError`` still works."""
    first = ScriptedChatModel(error=ConnectionError("no route"))
    second = ScriptedChatModel(error=PermissionError("no key"))
    model = RoutedChatModel(
        models={"first": first, "second": second}, policy=lambda _: {"first": 1.0}
    )

    with pytest.raises(ConnectionError, match="no route") as caught:
        MODEL_WAYS[way](model, "Count", {})

    assert ["arm 'second' failed too: PermissionError"] == caught.value.__notes__


@every_way
def test_an_arm_that_gives_no_message_is_refused(way: str) -> None:
    """A parser behind an arm is a mistake, and the error says so."""
    arm = ScriptedChatModel() | StrOutputParser()
    model = RoutedChatModel(models={"parsed": arm})
    said = "is no chat model" if "v3" in way else "returned str, not an AIMessage.*without output"

    with pytest.raises(ArmRefused, match=f"arm 'parsed' {said}"):
        MODEL_WAYS[way](model, "Hello", {})


@every_way
def test_another_arm_takes_over_from_one_that_gives_no_message(way: str) -> None:
    """What is no answer is a failure like any other."""
    models = {"parsed": ScriptedChatModel() | StrOutputParser(), "chat": ScriptedChatModel()}
    model = RoutedChatModel(models=models, policy=lambda _: {"parsed": 1.0})

    assert "chat" == stamp_of(MODEL_WAYS[way](model, "Hello", {}))["arm"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_without_any_chunk_is_refused(way: str) -> None:
    """An arm that streams nothing has not answered."""

    def nothing(_: object) -> Iterator[AIMessageChunk]:
        yield from ()

    models: dict[str, Runnable[Any, Any]] = {
        "empty": RunnableLambda(nothing),
        "chat": ScriptedChatModel(),
    }
    model = RoutedChatModel(models=models, policy=lambda _: {"empty": 1.0})

    assert "chat" == stamp_of(WAYS[way](model, "Hello", {}))["arm"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_an_answer_without_words_is_an_answer(way: str) -> None:
    """An arm may have nothing to say; nobody takes over, and the stream has its chunks."""
    model, first, second = pool()
    first.says = ""

    answer = WAYS[way](model, "Hello", {})

    assert ("", "first", 0) == (answer.text, stamp_of(answer)["arm"], second.calls)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_what_is_no_failure_of_the_arm_passes_through(way: str, error: BaseException) -> None:
    """Control-C inside an arm ends the call; no arm takes over."""
    model, _, second = pool(error=error)
    recorder = Recorder()

    with pytest.raises(type(error)):
        WAYS[way](model, "Hello", {"callbacks": [recorder]})

    (router,) = recorder.routers()
    assert (0, 0) == (second.calls, model.stats()["fallbacks"])
    assert [type(error).__name__] == router.ends


# An arm fails in the middle of its answer


@pytest.mark.parametrize("words", [2, 3])
def test_after_the_first_word_a_stream_ends_with_the_arm_s_error(words: int) -> None:
    """What was shown is the first arm's beginning; the second arm is never asked."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=words)
    shown = ""

    with pytest.raises(ConnectionError, match="no route"):  # noqa: PT012  # read as users do
        for chunk in model.stream("Count"):
            shown += chunk.text

    assert "one two three"[: len(shown)] == shown != ""
    assert (0, "error") == (second.calls, _last_status(model))


@pytest.mark.parametrize("words", [2, 3])
async def test_after_the_first_word_an_async_stream_ends_with_the_arm_s_error(words: int) -> None:
    """What was shown is the first arm's beginning; the second arm is never asked."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=words)
    shown = ""

    with pytest.raises(ConnectionError, match="no route"):  # noqa: PT012  # read as users do
        async for chunk in model.astream("Count"):
            shown += chunk.text

    assert "one two three"[: len(shown)] == shown != ""
    assert (0, "error") == (second.calls, _last_status(model))


def test_after_the_first_word_a_content_block_stream_ends_with_the_arm_s_error() -> None:
    """The same for ``stream_events(version="v3")``."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=2)
    shown = ""

    with pytest.raises(ConnectionError, match="no route"):  # noqa: PT012  # read as users do
        for word in model.stream_events("Count", version="v3").text:
            shown += word

    assert ("one ", 0, "error") == (shown, second.calls, _last_status(model))


async def test_after_the_first_word_an_async_content_block_stream_ends_with_the_error() -> None:
    """The same for ``astream_events(version="v3")``."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=2)
    stream = await model.astream_events("Count", version="v3")
    shown = ""

    with pytest.raises(ConnectionError, match="no route"):  # noqa: PT012  # read as users do
        async for word in stream.text:
            shown += word

    assert ("one ", 0, "error") == (shown, second.calls, _last_status(model))


def _last_status(model: RoutedChatModel) -> str:
    *_, record = model.router.ledger
    return record.status


def test_a_tool_call_that_has_begun_is_not_taken_over() -> None:
    """Part of a tool call is visible, too: half a call of one arm and one of another make none."""
    model, _, second = pool(error=NO_ROUTE, words_before_error=2)
    tool = {"name": "get_weather", "description": "", "parameters": {}}

    with pytest.raises(ConnectionError, match="no route"):
        list(model.bind_tools([tool]).stream("The weather?"))

    assert 0 == second.calls


# An arm is too slow


@every_way
def test_the_next_arm_takes_over_from_one_that_is_too_slow(
    way: str, signal: threading.Event
) -> None:
    """After ``timeout_s`` without a word the next arm answers."""
    slow = ScriptedChatModel(says="late", waits_for=signal)
    if way in ("stream", "astream", "events_v2", "events_v3", "aevents_v3"):
        slow.says = ""  # a stream waits before its second chunk, which then is the first word's
    models = {"slow": slow, "quick": ScriptedChatModel(says="quick")}
    model = RoutedChatModel(
        models=models, policy=lambda _: {"slow": 1.0}, arms={"slow": Arm(timeout_s=0.02)}
    )

    answer = MODEL_WAYS[way](model, "Hello", {})

    assert "quick" == answer.text


@every_way
def test_a_time_limit_without_another_arm_is_an_error_that_says_so(
    way: str, signal: threading.Event
) -> None:
    """`ArmTimeout` names the arm and its limit."""
    model = RoutedChatModel(models={"slow": ScriptedChatModel(waits_for=signal)}, timeout_s=0.02)

    with pytest.raises(ArmTimeout, match=r"arm 'slow' gave nothing for 0\.02 s"):
        MODEL_WAYS[way](model, "Hello", {})


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_thread_that_waits_for_an_arm_does_not_keep_the_process(way: str) -> None:
    """An arm without async that hangs must not hold up the exit."""
    threads: list[threading.Thread] = []

    class Blocking(ScriptedChatModel):
        if not TYPE_CHECKING:
            _agenerate = BaseChatModel._agenerate
            _astream = BaseChatModel._astream

        def _begin(self, *args: Any) -> bool:
            threads.append(threading.current_thread())
            return super()._begin(*args)

    MODEL_WAYS[way](RoutedChatModel(models={"only": Blocking()}), "Hello", {})

    assert [True] == [thread.daemon for thread in threads]
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_an_arm_in_a_thread_that_stops_its_iteration_has_failed(way: str) -> None:
    """No future can hold a `StopIteration`, and nobody may wait for it forever."""

    class Stopping(ScriptedChatModel):
        if not TYPE_CHECKING:
            _agenerate = BaseChatModel._agenerate
            _astream = BaseChatModel._astream

        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            raise StopIteration

        def stream(self, *args: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:
            raise StopIteration

    models = {"first": Stopping(), "second": ScriptedChatModel(says="four")}
    model = RoutedChatModel(models=models, policy=lambda _: {"first": 1.0})

    assert "four" == MODEL_WAYS[way](model, "Hello", {}).text


@every_way
def test_within_its_time_limit_an_arm_answers_as_ever(way: str) -> None:
    """A limit that is not met changes nothing, in the trace neither."""
    recorder = Recorder()
    model = RoutedChatModel(models={"first": ScriptedChatModel(says="one two")}, timeout_s=5.0)

    answer = MODEL_WAYS[way](model, "Hello", {"callbacks": [recorder]})

    router, arm = recorder
    assert "one two" == answer.text
    assert (router.run_id, ["end"], ["end"]) == (arm.parent_run_id, router.ends, arm.ends)


def test_leaving_a_stream_with_a_time_limit_closes_the_arm_s_stream() -> None:
    """The thread that reads it closes it, and does not read on."""
    model, first, _ = pool()
    model = RoutedChatModel(models={"first": first}, timeout_s=5.0)

    next(iter(model.stream("Count")))
    gc.collect()

    for _ in range(1000):
        if first.counts["closed"]:
            break
        threading.Event().wait(0.005)
    assert 1 == first.counts["closed"]


# A call is cancelled


@pytest.mark.parametrize("way", ["ainvoke", "astream", "aevents_v3"])
async def test_a_cancelled_call_is_nobody_s_failure(way: str, signal: threading.Event) -> None:
    """Nobody takes over, nothing is learnt, and the cancellation reaches the caller."""
    model, first, second = pool(waits_for=signal)

    call = asyncio.create_task(_read(model, way))
    await until(lambda: first.calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: _last_status(model) != "open")

    assert ("cancelled", 0) == (_last_status(model), second.calls)
    assert 0 == model.stats().get("arm_failures", 0)


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_a_caller_s_own_time_limit_is_nobody_s_failure(
    way: str, signal: threading.Event
) -> None:
    """``asyncio.timeout`` around the call: its TimeoutError is not taken for the arm's."""
    model, first, second = pool(waits_for=signal)
    begun = asyncio.Event()

    async def read_on() -> None:
        async for chunk in model.astream("Count"):
            if chunk.text:
                begun.set()

    async def within_a_limit() -> None:
        async with asyncio.timeout(None) as limit:
            call = read_on() if way == "astream" else model.ainvoke("Count")
            reading = asyncio.ensure_future(call)
            await (begun.wait() if way == "astream" else until(lambda: first.calls == 1))
            limit.reschedule(asyncio.get_running_loop().time())
            await reading

    with pytest.raises(TimeoutError):
        await within_a_limit()

    status = "abandoned" if way == "astream" else "cancelled"  # some of it was read
    assert (status, 0) == (_last_status(model), second.calls)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_timeout_error_of_the_arm_s_client_is_the_arm_s_failure(way: str) -> None:
    """A client that raises TimeoutError has failed, and another arm answers."""
    model, _, _ = pool(error=TimeoutError("read timed out"))

    assert "four five six" == WAYS[way](model, "Count", {}).text


async def _read(model: RoutedChatModel, way: str) -> str:
    if way == "ainvoke":
        return (await model.ainvoke("Count")).text
    if way == "astream":
        return "".join([chunk.text async for chunk in model.astream("Count")])
    async with await model.astream_events("Count", version="v3") as stream:
        message: AIMessage = await stream.output
        return message.text


# A stream is left


def test_leaving_a_stream_closes_the_arm_s_stream_at_once() -> None:
    """A consumer's ``break`` frees the arm's connection; what was said is paid for."""
    model, first, second = pool()

    for chunk in model.stream("Count"):
        if chunk.text:
            break

    assert (1, 1, 0) == (first.counts["opened"], first.counts["closed"], second.calls)
    assert "abandoned" == _last_status(model)


def test_a_stream_that_someone_else_holds_is_closed_too() -> None:
    """It is closed, not merely let go of."""
    held: list[Any] = []

    class Holding(ScriptedChatModel):
        def stream(self, *args: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:
            held.append(super().stream(*args, **kwargs))
            chunks: Iterator[AIMessageChunk] = held[-1]
            return chunks

    arm = Holding()
    for _ in RoutedChatModel(models={"only": arm}).stream("Count"):
        break

    assert (1, 1) == (arm.counts["opened"], arm.counts["closed"])


def test_leaving_the_stream_of_a_chain_closes_the_arm_s_stream_at_once() -> None:
    """The same below a chain, whose parser reads the rest first to have it in the trace."""
    model, first, second = pool()

    for text in (model | StrOutputParser()).stream("Count"):
        if text:
            break

    assert (1, 1, 0) == (first.counts["opened"], first.counts["closed"], second.calls)


async def test_leaving_an_async_stream_closes_the_arm_s_stream_at_once() -> None:
    """``aclose`` frees the arm's connection before it returns."""
    model, first, second = pool()

    await _leave(model.astream("Count"))

    assert (1, 1, 0) == (first.counts["opened"], first.counts["closed"], second.calls)
    assert "abandoned" == _last_status(model)


async def test_leaving_the_async_stream_of_a_chain_closes_the_arm_s_stream() -> None:
    """LangChain leaves the steps of a chain to the loop to close, which it then does."""
    model, first, second = pool()

    await _leave((model | StrOutputParser()).astream("Count"))
    await until(lambda: _last_status(model) != "open")

    assert (1, 1, 0) == (first.counts["opened"], first.counts["closed"], second.calls)
    assert "abandoned" == _last_status(model)


async def _leave(chunks: AsyncIterator[Any]) -> None:
    """Read up to the first word, and close."""
    async with contextlib.aclosing(cast("AsyncGenerator[Any, None]", chunks)) as left:
        async for chunk in left:
            if getattr(chunk, "text", chunk):
                return


async def test_leaving_an_async_content_block_stream_closes_the_arm_s_stream_at_once(
    signal: threading.Event,
) -> None:
    """``aclose`` of a v3 stream frees the arm's connection before it returns."""
    model, first, second = pool(waits_for=signal)

    async with await model.astream_events("Count", version="v3") as stream:
        async for _ in stream.text:
            break

    assert (1, 1, 0) == (first.counts["opened"], first.counts["closed"], second.calls)
    assert "abandoned" == _last_status(model)


def test_a_content_block_stream_that_is_dropped_closes_the_arm_s_stream() -> None:
    """A sync v3 stream has no ``close``: letting go of it is how it is left."""
    model, first, _ = pool()

    next(iter(model.stream_events("Count", version="v3").text))
    gc.collect()

    assert (1, 1) == (first.counts["opened"], first.counts["closed"])
    assert "abandoned" == _last_status(model)


def test_who_left_a_stream_may_still_judge_it() -> None:
    """The beginning of an answer is an answer, to its reader."""
    model, _, _ = pool()
    chunks = model.stream("Count")

    first = next(iter(chunks))
    cast("Any", chunks).close()

    assert "counted" == model.feedback(first, 0.0)


def test_a_stream_that_nobody_reads_asks_nobody() -> None:
    """Nothing happens until the first chunk is wanted."""
    model, first, _ = pool()

    chunks = model.stream("Count")
    events = model.stream_events("Count", version="v3")
    del chunks, events

    assert (0, 0) == (first.calls, model.stats().get("decisions", 0))

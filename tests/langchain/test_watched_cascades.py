"""Who watches a cascade: hears what is shown when it is shown, once, and never a rejected draft."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tracers import BaseTracer
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_pickllm import RoutedChatModel
from pickllm import Abstained, Arm
from pickllm.cascading import ThresholdCascade
from pickllm.scoring import scorer_of
from tests.langchain.clients import clients
from tests.langchain.recording import MODEL_WAYS, Recorder, until
from tests.langchain.scripted import ScriptedChatModel, get_weather
from tests.langchain.test_cascade import QUESTION, climbing
from tests.langchain.test_recited import Strict
from tests.serving import Served, serving

See: TypeAlias = Callable[[Any], object]
"""What is done with each chunk that someone sees."""
Watcher: TypeAlias = Callable[[RoutedChatModel, See], object]

ASKED = {"messages": [HumanMessage(QUESTION)]}
BROKEN = ConnectionError("no route")


def by_invoke(model: Runnable[Any, Any]) -> Any:
    """A step of a graph that asks for a whole answer."""
    return RunnableLambda(
        lambda state: model.invoke(state["messages"]),
        lambda state: model.ainvoke(state["messages"]),
    )


def by_stream(model: Runnable[Any, Any]) -> Any:
    """One that reads a stream to its end."""

    def ask(state: Any) -> Any:
        first, *others = model.stream(state["messages"])
        return first + others if others else first

    async def ask_later(state: Any) -> Any:
        first, *others = [chunk async for chunk in model.astream(state["messages"])]
        return first + others if others else first

    return RunnableLambda(ask, ask_later)


def graph(step: Any) -> Any:
    """The step as a graph of its own."""
    built = StateGraph(MessagesState)
    built.add_node("ask", step | RunnableLambda(lambda message: {"messages": [message]}))
    built.add_edge(START, "ask")
    built.add_edge("ask", END)
    return built.compile()


def _in_graph(ask: Callable[..., Any], model: RoutedChatModel, see: See) -> None:
    for chunk, _ in graph(ask(model)).stream(ASKED, stream_mode="messages"):
        see(chunk)


def _in_async_graph(ask: Callable[..., Any], model: RoutedChatModel, see: See) -> None:
    async def read() -> None:
        async for chunk, _ in graph(ask(model)).astream(ASKED, stream_mode="messages"):
            see(chunk)

    asyncio.run(read())


def _in_events(ask: Callable[..., Any], model: RoutedChatModel, see: See) -> None:
    async def read() -> None:
        async for event in ask(model).astream_events(ASKED, version="v2"):
            if event["event"] == "on_chat_model_stream":
                see(event["data"]["chunk"])

    asyncio.run(read())


WATCHERS: Mapping[str, Watcher] = {
    f"{where.__name__.strip('_')} {ask.__name__}": partial(where, ask)
    for where in (_in_graph, _in_async_graph, _in_events)
    for ask in (by_invoke, by_stream)
}
every_watcher = pytest.mark.parametrize("watcher", WATCHERS)


def words(watcher: str, model: RoutedChatModel) -> list[str]:
    """What the watcher sees, without what shows nothing."""
    seen: list[str] = []
    WATCHERS[watcher](model, lambda chunk: seen.append(chunk.text))
    return [word for word in seen if word]


@every_watcher
@pytest.mark.parametrize(
    ("small", "large", "shown"),
    [
        ("one two three", "four five six", ["one ", "two ", "three"]),
        ("no idea", "four five six", ["four ", "five ", "six"]),
        ("no idea", "no, sorry", ["no, ", "sorry"]),
    ],
)
def test_watchers_see_the_answer_shown_word_by_word(
    watcher: str, small: str, large: str, shown: list[str]
) -> None:
    """Each word once and in its order, of whichever arm it is; nothing of the other one."""
    assert shown == words(watcher, climbing(small, large))


@every_watcher
def test_an_earlier_draft_that_is_shown_after_all_is_seen(watcher: str) -> None:
    """The second arm is worse than the first, which had not been good enough."""
    scorer = scorer_of(lambda _, answer: 0.4 if answer.startswith("so") else 0.1)
    model = climbing("so so", "no, sorry", scorer=scorer)

    assert ["so ", "so"] == words(watcher, model)


@every_watcher
@pytest.mark.parametrize("window", [4, 400])
def test_a_good_beginning_is_seen_with_all_that_follows(watcher: str, window: int) -> None:
    """Whether the draft was read to its end, or only as far as it takes to score it."""
    model = climbing("yes " * 9, hold_back_chars=window)

    assert ["yes "] * 9 == words(watcher, model)
    assert 0 == _arm(model, "large").calls


@every_watcher
@pytest.mark.parametrize("accepted", [True, False])
def test_what_is_shown_is_seen_as_it_comes(watcher: str, accepted: bool) -> None:
    """The arm ends its answer only when somebody has seen how it begins."""
    model = climbing(("yes " if accepted else "no ") * 9, hold_back_chars=1)
    seen = threading.Event()
    _arm(model, "small" if accepted else "large").waits_for = seen
    WATCHERS[watcher](model, lambda chunk: seen.set() if chunk.text else None)

    assert seen.is_set()
    assert 1 == model.stats()["outcome_ok"]


@every_watcher
def test_an_arm_that_fails_before_it_is_shown_is_not_seen(watcher: str) -> None:
    """Neither its words nor its end: another one answers."""
    model = climbing("yes yes yes")
    small = _arm(model, "small")
    small.error, small.words_before_error = BROKEN, 3

    assert ["four ", "five ", "six"] == words(watcher, model)


@every_watcher
def test_an_arm_that_fails_while_it_is_seen_is_not_replaced(watcher: str) -> None:
    """Two answers would be spliced."""
    model = climbing("yes " * 9, hold_back_chars=4)
    small = _arm(model, "small")
    small.error, small.words_before_error = BROKEN, 4
    seen: list[str] = []
    with pytest.raises(ConnectionError, match="no route"):
        WATCHERS[watcher](model, lambda chunk: seen.append(chunk.text))

    assert ["yes "] * 3 == [word for word in seen if word]
    assert 0 == _arm(model, "large").calls


@every_watcher
def test_where_no_answer_will_do_none_is_seen(watcher: str) -> None:
    """Abstaining shows no draft to anyone."""
    seen: list[Any] = []
    with pytest.raises(Abstained):
        WATCHERS[watcher](climbing(large="no, sorry", abstain_below=0.5), seen.append)

    assert [] == seen


@pytest.mark.parametrize("ask", [by_invoke, by_stream])
def test_a_kept_answer_is_seen_once(ask: Callable[..., Any]) -> None:
    """No arm is asked for it, so it comes with the step that it belongs to."""
    model = climbing(answers=Strict())
    model.invoke(QUESTION)
    for where in (_in_graph, _in_async_graph):
        seen: list[Any] = []
        where(ask, model, seen.append)
        assert ["four five six"] == [chunk.text for chunk in seen]
    assert 2 == model.stats()["answers_recited"]


@pytest.mark.parametrize("small", ["one two three", "no idea"])
@pytest.mark.parametrize("ask", [by_invoke, by_stream])
def test_the_words_add_up_to_the_message_in_the_state(ask: Callable[..., Any], small: str) -> None:
    """By the same id, so that nothing is shown twice, and with the usage of the answer shown."""
    chunks: list[Any] = []
    for mode, told in graph(ask(climbing(small))).stream(ASKED, stream_mode=["messages", "values"]):
        if mode == "messages":
            chunks.append(told[0])
        else:
            *_, last = told["messages"]
    whole = sum(chunks[1:], chunks[0])

    assert isinstance(last, AIMessage)
    assert {last.id} == {chunk.id for chunk in chunks}
    assert (last.text, last.usage_metadata) == (whole.text, whole.usage_metadata)
    assert {"arm", "decision_id"} <= last.response_metadata["pickllm"].keys()


def test_an_agent_shows_its_turns_word_by_word() -> None:
    """A tool call that fits is accepted, in parts; the answer after it is the next turn."""
    model = climbing("It is sunny")
    agent: Any = create_agent(model, [get_weather])
    asked = {"messages": [HumanMessage("Weather in Oslo?")]}
    seen = [chunk for chunk, _ in agent.stream(asked, stream_mode="messages")]

    assert 3 == sum(bool(getattr(chunk, "tool_call_chunks", ())) for chunk in seen)
    said = [chunk.text for chunk in seen if isinstance(chunk, AIMessageChunk) and chunk.text]
    assert ["It ", "is ", "sunny"] == said


WRAPPERS: Mapping[str, Callable[[Any], Runnable[Any, Any]]] = {
    "sequence": lambda arm: RunnableLambda(lambda messages: messages) | arm,
    "retry": lambda arm: arm.with_retry(),
    "function": lambda arm: RunnableLambda(arm.invoke, arm.ainvoke),
    "bound": lambda arm: arm.bind(stop=["never"]),
}


@every_watcher
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_stands_around_an_arm_changes_nothing(watcher: str, wrapper: str) -> None:
    """Runs of chains inside an arm are kept back with the model's."""
    climbed = climbing()
    models = {name: WRAPPERS[wrapper](arm) for name, arm in climbed.models.items()}
    model = RoutedChatModel(models=models, cascade=climbed.router.cascade)

    assert ["four ", "five ", "six"] == words(watcher, model)


# Handlers


class Listening(BaseCallbackHandler):
    """Writes down what it is told of models' runs."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("start")

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.told += [token] if token else []

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("end")

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.told.append(type(error).__name__)


class AsyncListening(AsyncCallbackHandler):
    """The same on a loop."""

    def __init__(self) -> None:
        self.listening = Listening()

    @property
    def told(self) -> list[str]:
        """What it is told of models' runs."""
        return self.listening.told

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.listening.on_chat_model_start()

    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.listening.on_llm_new_token(token)

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.listening.on_llm_end()

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.listening.on_llm_error(error)


def _streamed(model: RoutedChatModel, handler: BaseCallbackHandler) -> str:
    return "".join(chunk.text for chunk in model.stream(QUESTION, {"callbacks": [handler]}))


def _astreamed(model: RoutedChatModel, handler: BaseCallbackHandler) -> str:
    async def read() -> list[str]:
        return [chunk.text async for chunk in model.astream(QUESTION, {"callbacks": [handler]})]

    return "".join(asyncio.run(read()))


both_streams = pytest.mark.parametrize("read", [_streamed, _astreamed])
both_handlers = pytest.mark.parametrize("kind", [Listening, AsyncListening])


@both_streams
@both_handlers
def test_handlers_hear_the_words_that_are_shown(
    read: Any, kind: type[Listening | AsyncListening]
) -> None:
    """Of a rejected draft its beginning and its end, for it was paid for; of the other one all."""
    handler = kind()

    assert "four five six" == read(climbing(), handler)
    assert ["start", "start", "end", "four ", "five ", "six", "end"] == handler.told


@both_streams
@both_handlers
def test_handlers_hear_of_an_accepted_draft_in_its_order(
    read: Any, kind: type[Listening | AsyncListening]
) -> None:
    """No word after the end of its run."""
    handler = kind()

    assert "one two three" == read(climbing("one two three"), handler)
    assert ["start", "one ", "two ", "three", "end"] == handler.told


@both_streams
@both_handlers
def test_handlers_hear_how_drafts_ended_where_none_is_shown(
    read: Any, kind: type[Listening | AsyncListening]
) -> None:
    """Their runs were begun, and are closed."""
    handler = kind()
    with pytest.raises(Abstained):
        read(climbing(large="no, sorry", abstain_below=0.5), handler)

    assert ["start", "start", "end", "end"] == handler.told


@both_streams
def test_handlers_hear_of_a_failure_and_not_of_its_words(read: Any) -> None:
    """Somebody else has answered."""
    model, handler = climbing("yes yes"), Listening()
    small = _arm(model, "small")
    small.error, small.words_before_error = BROKEN, 2
    read(model, handler)

    shown = ["four ", "five ", "six", "end"]
    assert ["start", "start", "ConnectionError", *shown] == handler.told


@both_streams
def test_a_handler_that_may_stop_an_answer_stops_it_before_it_is_shown(read: Any) -> None:
    """Its error reaches the caller, and the arm that was stopped is booked."""

    class Guard(Listening):
        """Lets nothing pass."""

        raise_error = True

        def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            if token:
                raise PermissionError(token)

    model = climbing("one two three")
    with pytest.raises(PermissionError, match="one"):
        read(model, Guard())

    assert 1 == model.stats()["outcome_error"]


def test_a_handler_of_the_router_and_of_an_arm_hears_once() -> None:
    """And of the draft no word, as the router's; one that is the arm's alone hears that arm."""
    model, shared, own = climbing(), Listening(), Listening()
    _arm(model, "small").callbacks = [shared, own]
    _streamed(model, shared)

    assert ["start", "start", "end", "four ", "five ", "six", "end"] == shared.told
    assert ["start", "no ", "idea", "end"] == own.told


def test_handlers_that_hear_no_words_are_told_at_once() -> None:
    """They count, for example: usage is counted when a draft has ended."""
    counted: list[int] = []
    with get_usage_metadata_callback() as usage:

        def score(_: str, answer: str) -> float:
            counted.append(len(usage.usage_metadata))
            return float(not answer.startswith("no"))

        list(climbing(scorer=scorer_of(score)).stream(QUESTION))

    assert [1, 2] == counted
    assert {"small", "large"} == usage.usage_metadata.keys()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_handlers_do_not_make_a_stream_of_a_whole_answer(way: str) -> None:
    """Only those do that LangChain streams for; the others hear of runs without words."""
    model, handler = climbing(), Listening()
    MODEL_WAYS[way](model, QUESTION, {"callbacks": [handler]})

    assert {way: 1} == dict(_arm(model, "small").counts) == dict(_arm(model, "large").counts)
    assert ["start", "end", "start", "end"] == handler.told


def test_tracers_see_a_draft_for_what_it_was() -> None:
    """With all its tokens, at their time."""

    class Tracing(BaseTracer):
        """Keeps what it is given: the outermost runs, once they have ended."""

        routed: Any = None

        def _persist_run(self, run: Any) -> None:
            self.routed = run

    tracer = Tracing()
    _streamed(climbing(), tracer)
    small, large = tracer.routed.child_runs

    heard = [event["kwargs"]["token"] for event in small.events if event["name"] == "new_token"]
    assert "no idea" == "".join(heard)
    assert "four five six" == large.outputs["generations"][0][0]["text"]


def test_who_is_cancelled_while_a_draft_is_scored_hears_how_it_ended() -> None:
    """Nothing of it is shown, and no run stays open."""
    scoring, handler = threading.Event(), AsyncListening()

    def score(_: str, __: str) -> float:
        scoring.set()
        return 1.0

    async def leave() -> None:
        model = climbing(scorer=scorer_of(score), hold_back_chars=2)
        task = asyncio.ensure_future(_read(model.astream(QUESTION, {"callbacks": [handler]})))
        await until(scoring.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert ["start", "GeneratorExit"] == handler.told


def test_who_is_cancelled_while_words_are_told_hears_how_the_run_ended() -> None:
    """A handler may be slow; what it has not heard by then are words, and its run is closed."""

    class Slow(AsyncListening):
        """Never done with its second word."""

        async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            await super().on_llm_new_token(token)
            if token == "two ":
                await asyncio.Event().wait()

    async def leave() -> list[str]:
        handler = Slow()
        chunks = climbing("one two three").astream(QUESTION, {"callbacks": [handler]})
        task = asyncio.ensure_future(_read(chunks))
        await until(lambda: "two " in handler.told)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return handler.told

    assert ["start", "one ", "two ", "end"] == asyncio.run(leave())


def test_arms_in_threads_of_their_own_are_heard_in_order() -> None:
    """An arm with a time limit may be ahead of what is shown; nothing of it is lost."""
    arms = {name: Arm(timeout_s=30.0) for name in ("small", "large")}
    for _ in range(20):
        handler = Listening()
        told = "".join(f"{number} " for number in range(40))
        model = climbing(told, hold_back_chars=30)
        limited = RoutedChatModel(models=model.models, arms=arms, cascade=model.router.cascade)

        assert told == _streamed(limited, handler)
        assert ["start", *(f"{number} " for number in range(40)), "end"] == handler.told


def test_cascades_below_cascades_show_what_both_show() -> None:
    """Nothing of what the inner one rejects, nor of what the outer one does."""
    inner = {"small": climbing("no idea", "no, sorry"), "large": climbing("no idea", "four five")}
    scorer = scorer_of(lambda _, answer: float(not answer.startswith("no")))
    cascade = ThresholdCascade(order=("small", "large"), thresholds=(0.5,), scorer=scorer)
    for watcher in WATCHERS:
        outer = RoutedChatModel(models=inner, cascade=cascade)
        assert ["four ", "five"] == words(watcher, outer)

    handler = Recorder()
    _streamed(RoutedChatModel(models=inner, cascade=cascade), handler)
    heard = ["".join(run.tokens) for run in handler.of_kind("llm")]
    assert ["", "", "", "four five"] == heard
    assert {("end",)} == {tuple(run.ends) for run in handler}


# Content-block streams


def _events(model: RoutedChatModel) -> Iterator[Any]:
    yield from model.stream_events(QUESTION, version="v3")


async def _aevents(model: RoutedChatModel) -> AsyncIterator[Any]:
    async with await model.astream_events(QUESTION, version="v3") as events:
        async for event in events:
            yield event


def _text(event: Mapping[str, Any]) -> str:
    return str((event.get("delta") or {}).get("text", ""))


@pytest.mark.parametrize("accepted", [True, False])
def test_content_blocks_are_shown_as_they_come(accepted: bool) -> None:
    """On a loop, where a draft that is left can be closed: with its beginning, then to its end."""
    model = climbing(("yes " if accepted else "no ") * 9, hold_back_chars=1)
    seen = threading.Event()
    _arm(model, "small" if accepted else "large").waits_for = seen

    async def read() -> str:
        text = ""
        async for event in _aevents(model):
            text += _text(event)
            if text:
                seen.set()
        return text

    assert ("yes " * 9 if accepted else "four five six") == asyncio.run(read())
    assert 1 == _arm(model, "small").counts["closed"]


def test_content_blocks_without_a_loop_wait_for_the_whole_draft() -> None:
    """Such a stream cannot be closed, so none is left open."""
    model = climbing("no " * 9, hold_back_chars=1)

    assert ["four ", "five ", "six"] == [text for e in _events(model) if (text := _text(e))]
    assert 1 == _arm(model, "small").counts["closed"]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("small", ["four five six", "no idea"])
def test_graphs_that_stream_content_blocks_see_the_answer_shown(small: str) -> None:
    """In its pieces, once it is accepted."""
    run = graph(by_invoke(climbing(small))).stream_events(ASKED, version="v3")
    assert [["four ", "five ", "six"]] == [list(message.text) for message in run.messages]

    async def read() -> list[list[str]]:
        running = await graph(by_invoke(climbing(small))).astream_events(ASKED, version="v3")
        return [[word async for word in message.text] async for message in running.messages]

    assert [["four ", "five ", "six"]] == asyncio.run(read())


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("accepted", [True, False])
def test_graphs_that_stream_content_blocks_on_a_loop_see_them_come(accepted: bool) -> None:
    """The arm ends its answer only when somebody has seen how it begins."""
    model = climbing(("yes " if accepted else "no ") * 9, hold_back_chars=1)
    seen = threading.Event()
    _arm(model, "small" if accepted else "large").waits_for = seen

    async def read() -> str:
        running = await graph(by_invoke(model)).astream_events(ASKED, version="v3")
        text = ""
        async for message in running.messages:
            async for word in message.text:
                text += word
                seen.set()
        return text

    assert ("yes " * 9 if accepted else "four five six") == asyncio.run(read())
    assert 1 == model.stats()["outcome_ok"]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_graphs_that_stream_content_blocks_take_every_arm(wrapper: str) -> None:
    """Those that have no such streams are asked for whole answers."""
    climbed = climbing()
    models = {name: WRAPPERS[wrapper](arm) for name, arm in climbed.models.items()}
    model = RoutedChatModel(models=models, cascade=climbed.router.cascade)

    async def read() -> list[str]:
        running = await graph(by_invoke(model)).astream_events(ASKED, version="v3")
        return [word async for message in running.messages async for word in message.text]

    assert ["four ", "five ", "six"] == asyncio.run(read())


# Real clients


@every_watcher
def test_real_clients_are_seen_as_they_answer(watcher: str) -> None:
    """Over real connections: the rejected one's is closed, the other one's is read as it comes."""
    seen, signal = [], threading.Event()
    with serving() as server, clients(server) as client:
        server.models = {
            "small": Served(says="no " * 50),
            "large": Served(says="four five six", waits_for=signal),
        }
        climbed = climbing(hold_back_chars=9)
        models = {name: client(name) for name in ("small", "large")}
        model = RoutedChatModel(models=models, cascade=climbed.router.cascade)

        def see(chunk: Any) -> None:
            seen.append(chunk)
            if chunk.text:
                signal.set()

        WATCHERS[watcher](model, see)

    assert "four five six" == "".join(chunk.text for chunk in seen)
    assert 1 == len({chunk.id for chunk in seen})
    assert 1 == sum(chunk.usage_metadata is not None for chunk in seen)


def _arm(model: RoutedChatModel, name: str) -> ScriptedChatModel:
    arm = model.models[name]
    assert isinstance(arm, ScriptedChatModel)
    return arm


async def _read(chunks: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in chunks]

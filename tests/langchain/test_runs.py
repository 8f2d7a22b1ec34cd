"""What LangChain's tracing sees of a routed model: which runs, under which, and how they end."""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any, cast

import pytest
from langchain_core.callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.schema import StreamEvent
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.context import register_configure_hook
from langchain_core.tracers.schemas import Run

from langchain_pickllm import RoutedChatModel
from tests.langchain.recording import MODEL_WAYS, WAYS, Recorder, Span, until
from tests.langchain.scripted import ScriptedChatModel

SAYS = "Two and two make four"

GLOBAL: ContextVar[BaseCallbackHandler | None] = ContextVar("GLOBAL", default=None)
"""What stands here LangChain adds to every run, as it does with tracers."""

register_configure_hook(GLOBAL, inheritable=True)

every_way = pytest.mark.parametrize("way", WAYS)
every_model_way = pytest.mark.parametrize("way", MODEL_WAYS)


def pool(**settings: Any) -> RoutedChatModel:
    """Two arms; the first is always asked first."""
    models = {
        "small": ScriptedChatModel(model_name="scripted-small", says=SAYS, **settings),
        "large": ScriptedChatModel(model_name="scripted-large", says=SAYS),
    }
    return RoutedChatModel(models=models, policy=lambda _: {"small": 1.0})


def chain_of(model: RoutedChatModel) -> Runnable[Any, str]:
    """A chain as users write it."""
    return ChatPromptTemplate.from_template("{question}") | model | StrOutputParser()


class Persisting(BaseTracer):
    """Keeps the run trees that LangChain would send to LangSmith."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)


class Failing(BaseCallbackHandler):
    """Fails at everything it is told."""

    run_inline = True

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the handler is broken")

    on_chain_end = on_chain_error = on_chat_model_start = on_llm_end = on_llm_error = on_chain_start


def arm_run(recorder: Recorder) -> Span:
    """The one run of an arm."""
    (span,) = recorder.of_kind("llm")
    return span


def router_run(recorder: Recorder) -> Span:
    """The one run of a routed model."""
    (span,) = recorder.routers()
    return span


# The tree


@every_way
def test_in_a_chain_the_router_hangs_below_the_chain_and_the_arm_below_the_router(
    way: str,
) -> None:
    """The tree is chain, router (a chain run), arm (a chat model's run)."""
    recorder = Recorder()

    answer = WAYS[way](chain_of(pool()), {"question": "2 + 2?"}, {"callbacks": [recorder]})

    router = router_run(recorder)
    arm = arm_run(recorder)
    root = recorder.parent(router)
    assert SAYS == answer
    assert root is not None
    assert (None, "RunnableSequence") == (root.parent_run_id, root.name)
    assert ("chain", router.run_id) == (router.kind, arm.parent_run_id)


@every_model_way
def test_alone_the_router_is_the_root_and_the_arm_hangs_below_it(way: str) -> None:
    """Without a chain there are two runs, and the router's is the root."""
    recorder = Recorder()

    answer = MODEL_WAYS[way](pool(), "2 + 2?", {"callbacks": [recorder]})

    assert SAYS == answer.text
    assert [("chain", None), ("llm", router_run(recorder).run_id)] == [
        (span.kind, span.parent_run_id) for span in recorder
    ]


@every_model_way
def test_every_run_ends_exactly_once(way: str) -> None:
    """No run is left open or closed twice."""
    recorder = Recorder()

    MODEL_WAYS[way](pool(), "2 + 2?", {"callbacks": [recorder]})

    assert [["end"], ["end"]] == [span.ends for span in recorder]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
def test_tracers_keep_one_tree_with_the_chat_model_at_its_leaf(way: str) -> None:
    """A tracer such as LangSmith's gets one root, typed and nested right, with the arm's usage."""
    tracer = Persisting()

    WAYS[way](chain_of(pool()), {"question": "2 + 2?"}, {"callbacks": [tracer]})

    (root,) = tracer.roots
    (router,) = [run for run in root.child_runs if run.name == "RoutedChatModel"]
    (arm,) = router.child_runs
    assert ("chain", "llm") == (router.run_type, arm.run_type)
    assert ("scripted-small", "chat") == (
        arm.extra["metadata"]["ls_model_name"],
        arm.extra["metadata"]["ls_model_type"],
    )
    assert root.trace_id == arm.trace_id
    assert arm.outputs is not None


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v3", "generate"])
def test_the_router_s_run_has_the_id_and_the_name_that_the_caller_gave(way: str) -> None:
    """``run_id`` and ``run_name`` of the config are the router's, not the arm's."""
    recorder = Recorder()
    run_id = uuid.uuid4()
    config = RunnableConfig(callbacks=[recorder], run_id=run_id, run_name="answerer")

    MODEL_WAYS[way](pool(), "2 + 2?", config)

    router, arm = recorder
    assert (run_id, "answerer") == (router.run_id, router.name)
    assert run_id == arm.parent_run_id
    assert "answerer" != arm.name


@every_way
def test_the_decision_has_the_id_of_the_router_s_run(way: str) -> None:
    """A run that is found in a trace leads to its decision without a look at its metadata."""
    recorder = Recorder()
    model = pool()

    WAYS[way](chain_of(model), {"question": "2 + 2?"}, {"callbacks": [recorder]})

    (record,) = model.router.ledger
    assert str(router_run(recorder).run_id) == record.decision.id


def test_an_id_that_the_caller_chose_for_the_run_finds_the_decision() -> None:
    """An application that keeps run ids can give feedback by them."""
    run_id = uuid.uuid4()
    model = pool()

    model.invoke("2 + 2?", {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)


def test_generate_routes_each_list_by_itself_and_names_their_runs() -> None:
    """``generate`` returns an answer and a run for each list of messages, in their order."""
    recorder = Recorder()

    result = pool().generate(
        [[HumanMessage("one")], [HumanMessage("two")]], callbacks=[recorder], tags=["t"]
    )

    routers = recorder.routers()
    assert 2 == len(result.generations)
    assert result.run is not None
    assert [run.run_id for run in result.run] == [span.run_id for span in routers]
    assert [["t"], ["t"]] == [span.tags for span in routers]


async def test_agenerate_names_runs_in_the_order_of_its_lists() -> None:
    """Answers and runs keep the order of the lists, whichever is done first."""
    recorder = Recorder()

    result = await pool().agenerate(
        [[HumanMessage("one")], [HumanMessage("two")]], callbacks=[recorder]
    )

    given = {span.run_id: span.metadata["pickllm_decision_id"] for span in recorder.routers()}
    assert result.run is not None
    messages = [cast("ChatGeneration", first).message for (first,) in result.generations]
    assert [given[run.run_id] for run in result.run] == [
        message.response_metadata["pickllm"]["decision_id"] for message in messages
    ]


async def test_agenerate_waits_for_all_before_it_tells_of_a_failure() -> None:
    """No call goes on behind the back of a caller who got the error of another."""
    signal = threading.Event()

    class Uneven(ScriptedChatModel):
        async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
            if messages[0].text == "one":
                raise ValueError("down")
            return await super()._agenerate(messages, *args, **kwargs)

    arm = Uneven(waits_for=signal)
    recorder = Recorder()
    asked: list[list[BaseMessage]] = [[HumanMessage("one")], [HumanMessage("two")]]

    call = asyncio.create_task(
        RoutedChatModel(models={"small": arm}).agenerate(asked, callbacks=[recorder])
    )
    await until(lambda: arm.calls == 1 and any(span.ends for span in recorder.routers()))
    signal.set()
    with pytest.raises(ValueError, match="down"):
        await call

    assert [["ValueError"], ["end"]] == [span.ends for span in recorder.routers()]


# Usage and tokens


@every_model_way
def test_usage_is_counted_once_under_the_arm_s_name(way: str) -> None:
    """LangChain's usage callback has the chosen arm's tokens, and nothing else."""
    with get_usage_metadata_callback() as usage:
        answer = MODEL_WAYS[way](pool(), "What is two and two?", {})

    counted = usage.usage_metadata
    assert {"scripted-small"} == set(counted)
    assert answer.usage_metadata == counted["scripted-small"]
    assert (5, 5) == (
        counted["scripted-small"]["input_tokens"],
        counted["scripted-small"]["output_tokens"],
    )


async def tokens_of(events: AsyncIterator[StreamEvent]) -> list[str]:
    """The texts of the chat models' chunks among a chain's events."""
    return [
        event["data"]["chunk"].text
        async for event in events
        if event["event"] == "on_chat_model_stream"
    ]


async def test_each_token_appears_once_in_a_chain_s_events() -> None:
    """``astream_events`` shows the arm's tokens as they come, and nobody else's."""
    events = chain_of(pool()).astream_events({"question": "2 + 2?"}, version="v2")

    streamed = await tokens_of(events)

    assert SAYS == "".join(streamed)
    assert SAYS.split() == [token.strip() for token in streamed if token]


async def test_each_token_appears_once_in_the_router_s_own_events() -> None:
    """The same for events of the routed model itself."""
    events = pool().astream_events("2 + 2?", version="v2")

    streamed = await tokens_of(events)

    assert SAYS == "".join(streamed)


@pytest.mark.parametrize("way", ["stream", "astream", "events_v2"])
def test_handlers_are_told_of_each_token_once(way: str) -> None:
    """``on_llm_new_token`` comes once for each word, on the arm's run."""
    recorder = Recorder()

    WAYS[way](chain_of(pool()), {"question": "2 + 2?"}, {"callbacks": [recorder]})

    assert SAYS.split() == [token.strip() for token in arm_run(recorder).tokens if token]


# Callbacks, tags and metadata


@every_model_way
def test_what_the_config_says_reaches_the_arm_s_run(way: str) -> None:
    """Tags and metadata of the config stand on both runs."""
    recorder = Recorder()
    config = RunnableConfig(callbacks=[recorder], tags=["mine"], metadata={"customer": "7"})

    MODEL_WAYS[way](pool(), "2 + 2?", config)

    assert [["mine"], ["mine"]] == [span.tags for span in recorder]
    assert ["7", "7"] == [span.metadata["customer"] for span in recorder]


@every_model_way
def test_what_the_constructor_says_reaches_the_arm_s_run(way: str) -> None:
    """Callbacks, tags and metadata given to the routed model hold for the arm below it."""
    recorder = Recorder()
    arm = ScriptedChatModel(says=SAYS)
    model = RoutedChatModel(
        models={"small": arm}, callbacks=[recorder], tags=["mine"], metadata={"customer": "7"}
    )

    MODEL_WAYS[way](model, "2 + 2?", {})

    assert ["chain", "llm"] == [span.kind for span in recorder]
    assert [["mine"], ["mine"]] == [span.tags for span in recorder]
    assert ["7", "7"] == [span.metadata["customer"] for span in recorder]


def test_a_callback_manager_is_accepted_as_callbacks() -> None:
    """A manager in place of a list works too."""
    recorder = Recorder()
    model = RoutedChatModel(
        models={"small": ScriptedChatModel()}, callbacks=CallbackManager([recorder])
    )

    model.invoke("2 + 2?")

    assert ["chain", "llm"] == [span.kind for span in recorder]


def test_a_handler_given_twice_is_told_once() -> None:
    """The same handler in the constructor and in the config hears of each run once."""
    recorder = Recorder()
    model = RoutedChatModel(models={"small": ScriptedChatModel()}, callbacks=[recorder])

    model.invoke("2 + 2?", {"callbacks": [recorder]})

    assert [["end"], ["end"]] == [span.ends for span in recorder]


def test_the_arm_s_own_callbacks_tags_and_metadata_stay_its_own() -> None:
    """What is set on an arm is heard on the arm's run, and there alone."""
    recorder, outer = Recorder(), Recorder()
    arm = ScriptedChatModel(callbacks=[recorder], tags=["of the arm"], metadata={"region": "eu"})

    RoutedChatModel(models={"small": arm}).invoke("2 + 2?", {"callbacks": [outer]})

    router, below = outer
    assert ["llm"] == [span.kind for span in recorder]
    assert ([], ["of the arm"]) == (router.tags, below.tags)
    assert (None, "eu") == (router.metadata.get("region"), below.metadata["region"])


@every_model_way
def test_the_arm_s_run_says_arm_and_decision(way: str) -> None:
    """A trace can be filtered by arm, and a run leads to its decision."""
    recorder = Recorder()

    answer = MODEL_WAYS[way](pool(), "2 + 2?", {"callbacks": [recorder]})

    stamp = answer.response_metadata["pickllm"]
    metadata = arm_run(recorder).metadata
    assert ("small", stamp["decision_id"]) == (
        metadata["pickllm_arm"],
        metadata["pickllm_decision_id"],
    )
    assert stamp["decision_id"] == router_run(recorder).metadata["pickllm_decision_id"]


@every_model_way
def test_the_router_s_run_ends_with_the_message_that_the_caller_gets(way: str) -> None:
    """The output in the trace is the answer, decision and all."""
    recorder = Recorder()

    answer = MODEL_WAYS[way](pool(), "2 + 2?", {"callbacks": [recorder]})

    output: BaseMessage = router_run(recorder).output
    assert (answer.text, answer.response_metadata["pickllm"]) == (
        output.text,
        output.response_metadata["pickllm"],
    )


# Runs inside arms


def test_runs_inside_an_arm_hang_below_the_router() -> None:
    """An arm that is a chain, or another router, is one tree with the router that asks it."""
    recorder = Recorder()
    inner = pool()
    outer = RoutedChatModel(models={"inner": inner})

    outer.invoke("2 + 2?", {"callbacks": [recorder]})

    first, second = recorder.routers()
    assert [None, first.run_id, second.run_id] == [span.parent_run_id for span in recorder]
    assert first.metadata["pickllm_decision_id"] != second.metadata["pickllm_decision_id"]
    assert (
        second.metadata["pickllm_decision_id"] == arm_run(recorder).metadata["pickllm_decision_id"]
    )


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_model_called_inside_a_function_arm_is_traced_below_the_router(way: str) -> None:
    """Nothing need be handed on by hand: the context does it."""
    recorder = Recorder()
    within = ScriptedChatModel(says=SAYS)

    def ask(messages: list[BaseMessage]) -> AIMessage:
        return within.invoke(messages)

    model = RoutedChatModel(models={"function": RunnableLambda(ask)})

    WAYS[way](model, "2 + 2?", {"callbacks": [recorder]})

    router = router_run(recorder)
    below = recorder.parent(arm_run(recorder))
    assert below is not None
    assert router.run_id == below.parent_run_id


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_model_that_forgets_its_config_is_traced_below_the_router(way: str) -> None:
    """An arm that asks another model and hands no config on is found by the context as well."""
    recorder = Recorder()
    within = ScriptedChatModel(says=SAYS)

    class Forgetful(ScriptedChatModel):
        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return within.invoke(args[0])

        async def ainvoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return await within.ainvoke(args[0])

        def stream(self, *args: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:
            yield AIMessageChunk(content="")
            yield from within.stream(args[0])

        async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[AIMessageChunk]:
            yield AIMessageChunk(content="")
            async for chunk in within.astream(args[0]):
                yield chunk

    model = RoutedChatModel(models={"forgetful": Forgetful()})

    answer = WAYS[way](model, "2 + 2?", {"callbacks": [recorder]})

    assert SAYS == answer.text
    assert router_run(recorder).run_id == arm_run(recorder).parent_run_id


@pytest.mark.parametrize("way", ["stream", "astream", "events_v3", "aevents_v3"])
@pytest.mark.parametrize("in_chain", [True, False])
def test_what_an_arm_asks_in_the_middle_of_its_stream_is_traced_below_the_router(
    way: str, *, in_chain: bool
) -> None:
    """Each step of a stream has the arm's context, not the first one alone."""
    recorder = Recorder()
    within = ScriptedChatModel(says=SAYS)

    class Asking(ScriptedChatModel):
        def _stream(self, messages: Any, *_: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            yield from super()._stream(messages)
            within.invoke(messages)

        async def _astream(
            self, messages: Any, *_: Any, **kwargs: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            async for chunk in super()._astream(messages):
                yield chunk
            await within.ainvoke(messages)

    model = RoutedChatModel(models={"asking": Asking(says=SAYS)})
    config = RunnableConfig(callbacks=[recorder])
    if in_chain:
        chain: Runnable[str, Any] = RunnableLambda(lambda said: MODEL_WAYS[way](model, said, {}))
        chain.invoke("2 + 2?", config)
    else:
        MODEL_WAYS[way](model, "2 + 2?", config)

    below = recorder.of_kind("llm")
    assert 2 == len(below)
    assert {router_run(recorder).run_id} == {span.parent_run_id for span in below}


def test_what_is_asked_of_the_router_inside_a_function_is_traced_below_it() -> None:
    """A routed model called in a `RunnableLambda` finds its parent by itself."""
    recorder = Recorder()
    model = pool()
    chain: Runnable[str, str] = RunnableLambda(lambda question: model.invoke(question).text)

    chain.invoke("2 + 2?", {"callbacks": [recorder]})

    root = recorder.parent(router_run(recorder))
    assert root is not None
    assert "RunnableLambda" == root.name


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v3"])
def test_the_context_after_a_call_is_as_before(way: str) -> None:
    """The next call on the same thread is no child of the last one."""
    recorder = Recorder()
    model = pool()

    MODEL_WAYS[way](model, "one", {"callbacks": [recorder]})
    MODEL_WAYS[way](model, "two", {"callbacks": [recorder]})

    assert [None, None] == [span.parent_run_id for span in recorder.routers()]


# Errors


@every_model_way
def test_an_arm_s_error_closes_both_runs_with_its_own_type(way: str) -> None:
    """When the only arm fails, its run and the router's end with the error it raised."""
    recorder = Recorder()
    arm = ScriptedChatModel(error=ConnectionError("no route"))
    model = RoutedChatModel(models={"small": arm})

    with pytest.raises(ConnectionError, match="no route"):
        MODEL_WAYS[way](model, "2 + 2?", {"callbacks": [recorder]})

    assert [["ConnectionError"], ["ConnectionError"]] == [span.ends for span in recorder]


@every_model_way
def test_a_fallback_shows_as_a_second_arm_below_the_same_router(way: str) -> None:
    """The arm that failed and the one that took over are siblings, and the router ends well."""
    recorder = Recorder()

    answer = MODEL_WAYS[way](
        pool(error=ConnectionError("no route")), "2 + 2?", {"callbacks": [recorder]}
    )

    router, first, second = recorder
    assert SAYS == answer.text
    assert ([["end"]], ["ConnectionError"], ["end"]) == ([router.ends], first.ends, second.ends)
    assert {router.run_id} == {first.parent_run_id, second.parent_run_id}
    assert ["small", "large"] == [span.metadata["pickllm_arm"] for span in (first, second)]


@every_model_way
def test_a_question_that_no_arm_can_answer_closes_the_router_s_run(way: str) -> None:
    """An error before any arm is asked is the router's own."""
    recorder = Recorder()
    model = RoutedChatModel(models={"small": ScriptedChatModel(profile={"max_input_tokens": 3})})

    with pytest.raises(Exception, match="window of 3"):
        MODEL_WAYS[way](model, "2 + 2? " * 50, {"callbacks": [recorder]})

    assert [["NoEligibleArm"]] == [span.ends for span in recorder]


async def test_cancelling_a_call_closes_the_router_s_run() -> None:
    """A cancelled ``ainvoke`` leaves no open router run behind."""
    recorder = Recorder()
    model = pool(waits_for=threading.Event())

    call = asyncio.create_task(model.ainvoke("2 + 2?", {"callbacks": [recorder]}))
    await until(lambda: model.models["small"].calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert ["CancelledError"] == router_run(recorder).ends


async def test_cancelling_a_stream_closes_both_runs() -> None:
    """A cancelled ``astream`` ends the arm's run and the router's."""
    recorder = Recorder()
    model = pool(waits_for=threading.Event())

    async def read() -> list[str]:
        return [chunk.text async for chunk in model.astream("2 + 2?", {"callbacks": [recorder]})]

    call = asyncio.create_task(read())
    await until(lambda: model.models["small"].calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert [["CancelledError"], ["CancelledError"]] == [span.ends for span in recorder]


def test_leaving_a_stream_closes_both_runs() -> None:
    """A consumer's ``break`` ends the arm's run and the router's at once."""
    recorder = Recorder()

    for chunk in pool().stream("2 + 2?", {"callbacks": [recorder]}):
        if chunk.text:
            break

    assert [["GeneratorExit"], ["GeneratorExit"]] == [span.ends for span in recorder]


async def test_leaving_an_async_stream_closes_both_runs() -> None:
    """``aclose`` ends the arm's run and the router's at once."""
    recorder = Recorder()

    chunks = pool().astream("2 + 2?", {"callbacks": [recorder]})
    async with contextlib.aclosing(cast("AsyncGenerator[AIMessageChunk, None]", chunks)) as left:
        async for chunk in left:
            if chunk.text:
                break

    assert [["GeneratorExit"], ["GeneratorExit"]] == [span.ends for span in recorder]


async def test_leaving_an_async_content_block_stream_closes_both_runs() -> None:
    """``aclose`` of a v3 stream ends the arm's run and the router's."""
    recorder = Recorder()
    model = pool(waits_for=threading.Event())

    stream = await model.astream_events("2 + 2?", {"callbacks": [recorder]}, version="v3")
    async with stream:
        async for _ in stream.text:
            break

    assert [["CancelledError"], ["CancelledError"]] == [span.ends for span in recorder]


# Broken handlers


@every_model_way
@pytest.mark.parametrize("error", [None, ConnectionError("no route")])
def test_a_broken_handler_does_not_take_the_answer_away(way: str, error: Exception | None) -> None:
    """A handler that raises is logged by LangChain; the answer comes all the same."""
    answer = MODEL_WAYS[way](pool(error=error), "2 + 2?", {"callbacks": [Failing()]})

    assert SAYS == answer.text


@pytest.fixture
def broken_everywhere() -> Iterator[None]:
    """A broken handler for all runs."""
    reset = GLOBAL.set(Failing())
    yield
    GLOBAL.reset(reset)


@pytest.mark.usefixtures("broken_everywhere")
@every_way
def test_a_broken_global_handler_does_not_take_the_answer_away(way: str) -> None:
    """The same for a handler that is added to every run."""
    assert SAYS == WAYS[way](chain_of(pool()), {"question": "2 + 2?"}, {})

"""Real clients over real connections: what breaks in a network, and who hears of it."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_pickllm import RoutedChatModel
from pickllm import Arm, ArmTimeout
from tests.langchain.clients import KEY, Client, clients
from tests.langchain.recording import MODEL_WAYS, WAYS, Recorder
from tests.serving import Served, Server, serving
from tests.tiny import soon

every_way = pytest.mark.parametrize("way", MODEL_WAYS)
whole = pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch", "generate"])
streamed = pytest.mark.parametrize("way", ["stream", "astream", "events_v3", "aevents_v3"])

CUT = (openai.APIConnectionError, httpx.RemoteProtocolError)
"""What the client says of a stream that breaks: the one or the other, by its version."""
STRANGER = Served(says="four five six")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for all tests here."""
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server, which has seen nothing yet."""
    running.models = {"first": Served(says="one two three"), "second": STRANGER}
    running.requests.clear()
    running.keys.clear()
    running.left.clear()
    return running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Makes clients of this server."""
    with clients(server) as make:
        yield make


@pytest.fixture
def model(client: Client) -> RoutedChatModel:
    """Two arms, of which the first is asked first."""
    return routed(client("first"), client("second"))


@pytest.fixture
def signal() -> Iterator[threading.Event]:
    """What a slow server waits for; set in the end."""
    event = threading.Event()
    yield event
    event.set()


def routed(first: ChatOpenAI, second: ChatOpenAI, **settings: Any) -> RoutedChatModel:
    """Two arms, of which the first is asked first."""
    priced = Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
    return RoutedChatModel(
        models={"first": first, "second": second},
        **{
            "policy": lambda _: {"first": 1.0},
            "arms": {"first": priced, "second": priced},
            **settings,
        },
    )


def told(answer: AIMessage) -> dict[str, Any]:
    """What a caller reads in a message, but for the decision."""
    metadata = {key: value for key, value in answer.response_metadata.items() if key != "pickllm"}
    return {
        "content": answer.content,
        "usage": answer.usage_metadata,
        "tool_calls": answer.tool_calls,
        "metadata": metadata,
        "kwargs": answer.additional_kwargs,
    }


def statuses(model: RoutedChatModel) -> list[tuple[str, str, str]]:
    """Arm, end and error of each attempt."""
    return [
        (attempt.arm, attempt.status, attempt.error)
        for record in model.router.ledger
        if record.outcome
        for attempt in record.outcome.attempts
    ]


# Answers


@whole
@pytest.mark.parametrize(("own", "streamed"), [({}, True), ({"streaming": False}, False)])
def test_streaming_set_on_the_router_makes_its_arms_stream(
    way: str, own: dict[str, Any], client: Client, server: Server, *, streamed: bool
) -> None:
    """In an invoke, too, for handlers to hear; what an arm says of itself counts more."""
    model = RoutedChatModel(models={"only": client("first", **own)}, streaming=True)
    heard = Recorder()

    answer = MODEL_WAYS[way](model, "Count", {"callbacks": [heard]})

    (run,) = heard.of_kind("llm")
    assert ("one two three", streamed) == (answer.text, bool(run.tokens))
    assert streamed is bool(server.requests[0].get("stream"))


@every_way
def test_an_answer_is_the_client_s_own(way: str, model: RoutedChatModel, client: Client) -> None:
    """Text, usage, finish reason and all other metadata are those of the bare client."""
    answer = MODEL_WAYS[way](model, "Count", {})

    assert "one two three" == answer.text
    assert told(MODEL_WAYS[way](client("first"), "Count", {})) == told(answer)


@every_way
def test_tokens_are_counted_once_and_paid_for(way: str, model: RoutedChatModel) -> None:
    """Under the model's own name, in streams too; the cost is that of the tokens."""
    with get_usage_metadata_callback() as counted:
        MODEL_WAYS[way](model, "Count", {})

    (record,) = model.router.ledger
    assert record.answer is not None
    assert [("first", 7, 3)] == [
        (name, usage["input_tokens"], usage["output_tokens"])
        for name, usage in counted.usage_metadata.items()
    ]
    assert pytest.approx((7 * 1.0 + 3 * 2.0) / 1e6) == record.answer.cost_usd


@pytest.mark.parametrize("way", WAYS)
def test_tool_calls_come_whole_and_in_fragments(
    way: str, model: RoutedChatModel, client: Client, server: Server
) -> None:
    """Arguments that are streamed in pieces add up, as the bare client's do."""
    server.models["first"].calls = True

    answer = WAYS[way](model.bind_tools([add]), "Add 2 and 3", {})
    alone = WAYS[way](client("first").bind_tools([add]), "Add 2 and 3", {})

    assert [{"name": "add", "args": {"a": 2, "b": 3}, "id": "call_1", "type": "tool_call"}] == (
        answer.tool_calls
    )
    assert told(alone) == told(answer)
    sent, sent_alone = server.requests
    assert sent_alone["tools"] == sent["tools"]


def test_an_agent_runs_over_http(model: RoutedChatModel, server: Server) -> None:
    """Two requests, one choice."""
    server.models["first"].calls = True
    agent: Any = create_agent(model=model, tools=[add])

    messages = agent.invoke({"messages": [HumanMessage("Add 2 and 3")]})["messages"]

    assert ["human", "ai", "tool", "ai"] == [message.type for message in messages]
    assert ("5", "one two three") == (messages[2].text, messages[3].text)
    assert (2, 0) == (server.asked("first"), server.asked("second"))


# Servers that refuse


@pytest.mark.parametrize(
    ("way", "status"),
    [*((way, 429) for way in MODEL_WAYS), *(("stream", status) for status in (401, 404, 500, 503))],
)
def test_another_arm_takes_over_from_a_server_that_refuses(
    way: str, status: int, model: RoutedChatModel, server: Server
) -> None:
    """At once: how long to wait before trying again is the client's own business."""
    server.models["first"] = Served(status=status, headers={"retry-after": "30"})

    answer = MODEL_WAYS[way](model, "Count", {})

    assert "four five six" == answer.text
    assert (1, 1) == (server.asked("first"), server.asked("second"))
    assert ["error", "ok"] == [status for _, status, _ in statuses(model)]


def test_a_client_s_own_retries_are_its_own(client: Client, server: Server) -> None:
    """A server that recovers in time is no failure, and the wait is in the latency."""
    headers = {"retry-after-ms": "20"}
    server.models["first"] = Served(status=429, headers=headers, heals_after=1)
    model = routed(client("first", max_retries=2), client("second"))

    answer = model.invoke("Count")

    (record,) = model.router.ledger
    assert "first" == answer.response_metadata["pickllm"]["arm"]
    assert (2, 0) == (server.asked("first"), server.asked("second"))
    assert [("first", "ok", "")] == statuses(model)
    assert record.answer is not None
    assert record.answer.latency_s >= 0.02


@every_way
def test_when_all_refuse_the_error_is_the_client_s(
    way: str, model: RoutedChatModel, server: Server
) -> None:
    """With the response on it, so that a caller can read how long to wait."""
    server.models["first"] = Served(status=429, headers={"retry-after": "30"})
    server.models["second"] = Served(status=500)

    with pytest.raises(openai.RateLimitError) as caught:
        MODEL_WAYS[way](model, "Count", {})

    assert "30" == caught.value.response.headers["retry-after"]
    (note,) = caught.value.__notes__
    assert note.startswith("arm 'second' failed too: ")


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_server_that_is_not_there_is_replaced(way: str, client: Client) -> None:
    """Nobody listens at the first arm's address."""
    model = routed(client("first", base_url="http://127.0.0.1:9/v1"), client("second"))

    assert "four five six" == MODEL_WAYS[way](model, "Count", {}).text
    arm, status, error = statuses(model)[0]
    assert ("first", "error", True) == (arm, status, error.endswith("ConnectionError"))


# Slow servers


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
def test_another_arm_takes_over_from_a_slow_server(
    way: str, client: Client, server: Server, signal: threading.Event
) -> None:
    """The arm's time limit counts, whatever the client's own is."""
    server.models["first"].waits_for = signal
    model = routed(client("first"), client("second"), arms={"first": Arm(timeout_s=0.2)})

    assert "four five six" == MODEL_WAYS[way](model, "Count", {}).text
    assert ("first", "error", "ArmTimeout") == statuses(model)[0]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_stalls_after_its_first_word_is_an_error(
    way: str, client: Client, server: Server, signal: threading.Event
) -> None:
    """The limit holds for each piece; what was shown cannot be taken back."""
    server.models["first"].waits_for = signal
    model = routed(client("first"), client("second"), arms={"first": Arm(timeout_s=0.2)})

    with pytest.raises(ArmTimeout, match=r"arm 'first' gave nothing for 0\.2 s"):
        MODEL_WAYS[way](model, "Count", {})

    assert 0 == server.asked("second")


# Connections that break


@streamed
@pytest.mark.parametrize("cut_after", [0, 1])
def test_a_connection_cut_before_the_first_word_is_replaced(
    way: str, cut_after: int, model: RoutedChatModel, server: Server
) -> None:
    """Nothing was to be seen yet, so nobody sees anything of it."""
    server.models["first"].cut_after = cut_after

    answer = MODEL_WAYS[way](model, "Count", {})

    assert "four five six" == answer.text
    assert (1, 1) == (server.asked("first"), server.asked("second"))


@pytest.mark.parametrize("cut_after", [2, 3, 4])
def test_a_connection_cut_after_the_first_word_is_an_error(
    cut_after: int, model: RoutedChatModel, server: Server
) -> None:
    """The words that came, then the client's own error, and no second arm."""
    server.models["first"].cut_after = cut_after
    shown: list[str] = []

    with pytest.raises(CUT):
        shown.extend(chunk.text for chunk in model.stream("Count"))

    assert "one two three"[: len("".join(shown))] == "".join(shown)
    assert cut_after - 1 == len("".join(shown).split())
    assert (0, "error") == (server.asked("second"), statuses(model)[0][1])


@pytest.mark.parametrize("cut_after", [2, 3, 4])
async def test_an_async_connection_cut_after_the_first_word_is_an_error(
    cut_after: int, model: RoutedChatModel, server: Server
) -> None:
    """The same on a loop."""
    server.models["first"].cut_after = cut_after
    shown: list[str] = []

    async def read() -> None:
        async for chunk in model.astream("Count"):
            shown.append(chunk.text)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(CUT):
        await read()

    assert cut_after - 1 == len("".join(shown).split())
    assert (0, "error") == (server.asked("second"), statuses(model)[0][1])


@streamed
def test_a_stream_that_just_ends_is_what_the_client_makes_of_it(
    way: str, model: RoutedChatModel, client: Client, server: Server
) -> None:
    """Without its last event a stream is no error for the client, but has no finish reason."""
    server.models["first"].ends_after = 3

    answer = MODEL_WAYS[way](model, "Count", {})
    alone = MODEL_WAYS[way](client("first"), "Count", {})

    assert ("one two", told(alone)) == (answer.text, told(answer))
    assert None is answer.response_metadata.get("finish_reason")


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_fragment_of_a_tool_call_is_something_shown(
    way: str, model: RoutedChatModel, server: Server
) -> None:
    """A call that has begun is not taken over by another arm."""
    server.models["first"] = Served(calls=True, cut_after=3)

    with pytest.raises(CUT):
        WAYS[way](model.bind_tools([add]), "Add 2 and 3", {})

    assert 0 == server.asked("second")


# Callers who leave


async def test_cancelling_a_call_hangs_up(
    model: RoutedChatModel, server: Server, signal: threading.Event
) -> None:
    """The server sees at once that nobody waits, and no other arm is asked."""
    server.models["first"].waits_for = signal
    task = asyncio.create_task(model.ainvoke("Count"))
    await asyncio.to_thread(soon, lambda: server.asked("first") == 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(soon, lambda: server.left["first"] == 1)
    assert (0, [("first", "cancelled", "")]) == (server.asked("second"), statuses(model))


async def test_cancelling_a_stream_hangs_up(
    model: RoutedChatModel, server: Server, signal: threading.Event
) -> None:
    """The same in the middle of an answer; who has read its beginning may judge it."""
    server.models["first"].waits_for = signal
    shown: list[AIMessageChunk] = []

    async def read() -> None:
        async for chunk in model.astream("Count"):
            shown.append(chunk)  # noqa: PERF401  # what came before the end counts

    task = asyncio.create_task(read())
    await asyncio.to_thread(soon, lambda: any(chunk.text for chunk in shown))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(soon, lambda: server.left["first"] == 1)
    assert [("first", "abandoned", "")] == statuses(model)
    assert "counted" == model.feedback(shown[0], 1.0)


def test_leaving_a_stream_hangs_up(
    model: RoutedChatModel, server: Server, signal: threading.Event
) -> None:
    """``break`` closes the connection, not some later collection of garbage."""
    server.models["first"].waits_for = signal
    stream = model.stream("Count")

    for chunk in stream:
        if chunk.text:
            break
    stream.close()  # type: ignore[attr-defined]  # declared as an iterator

    assert soon(lambda: server.left["first"] == 1)
    assert [("first", "abandoned", "")] == statuses(model)


async def test_leaving_an_async_stream_hangs_up(
    model: RoutedChatModel, server: Server, signal: threading.Event
) -> None:
    """The same on a loop."""
    server.models["first"].waits_for = signal
    stream: Any = model.astream("Count")

    async with contextlib.aclosing(stream):
        async for chunk in stream:
            if chunk.text:
                break

    assert await asyncio.to_thread(soon, lambda: server.left["first"] == 1)
    assert [("first", "abandoned", "")] == statuses(model)


# Many at once


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_50_requests_at_once_lose_and_double_nothing(
    way: str, client: Client, server: Server
) -> None:
    """Each gets its own answer from its own arm, whatever the others do."""
    model = routed(client("first"), client("second"), policy="random", seed=2)
    prompts: list[Any] = [f"Count {n}" for n in range(50)]

    answers = model.batch(prompts) if way == "batch" else asyncio.run(model.abatch(prompts))

    arms = [answer.response_metadata["pickllm"]["arm"] for answer in answers]
    said = {"first": "one two three", "second": "four five six"}
    assert [said[arm] for arm in arms] == [answer.text for answer in answers]
    assert sorted(prompts) == sorted(r["messages"][-1]["content"] for r in server.requests)
    assert (arms.count("first"), 50) == (server.asked("first"), model.stats()["outcome_ok"])


def test_event_loops_may_come_and_go(model: RoutedChatModel) -> None:
    """The router keeps nothing of a loop; a client that keeps no connection works on."""
    ways = ("ainvoke", "astream", "abatch", "aevents_v3", "agenerate")
    assert {"one two three"} == {MODEL_WAYS[way](model, "Count", {}).text for way in ways * 2}


# Secrets


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_no_key_is_ever_to_be_seen(
    way: str, status: int, model: RoutedChatModel, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in what is printed, traced, booked, explained or raised."""
    server.models = {name: Served(status=status) for name in ("first", "second")}
    recorder, error = Recorder(), ""
    caplog.set_level("DEBUG", logger="pickllm")

    try:
        MODEL_WAYS[way](model, "Count", {"callbacks": [recorder]})
    except openai.AuthenticationError as refused:
        error = f"{refused!r} {refused.__notes__}"

    router = model.router
    seen = [
        *(f"{span.metadata} {span.tags} {span.output!r}" for span in recorder),
        *(f"{record!r} {router.explain(record.decision.id)}" for record in router.ledger),
        f"{model!r} {model} {model.bind_tools([add])!r} {model.model_dump()}",
        f"{model._identifying_params} {model._get_llm_string()} {router.stats()}",
        error,
        caplog.text,
    ]
    assert {f"Bearer {KEY}"} == set(server.keys)
    assert [] == [text for text in seen if KEY in text]

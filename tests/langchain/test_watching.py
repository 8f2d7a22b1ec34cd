"""An arm that is asked for a whole answer while someone watches its tokens come."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_pickllm import RoutedChatModel
from tests.langchain.scripted import ScriptedChatModel

Ask: TypeAlias = Callable[[Any], Any]
Watcher: TypeAlias = Callable[[Runnable[Any, Any]], list[str]]

NO_ROUTE = ConnectionError("no route")
QUESTION = [HumanMessage("Please add 2 and 3")]


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def pool(words_before_error: int) -> RoutedChatModel:
    """Of two arms, the one asked first fails after so many chunks; the first of these is empty."""
    models = {
        "first": ScriptedChatModel(
            says="one two three", error=NO_ROUTE, words_before_error=words_before_error
        ),
        "second": ScriptedChatModel(says="four five six"),
    }
    return RoutedChatModel(models=models, policy=lambda _: {"first": 1.0})


def node(model: Runnable[Any, Any]) -> Ask:
    """A step that asks for a whole answer, now or on a loop."""

    def ask(messages: Any) -> Any:
        return model.invoke(messages)

    async def ask_later(messages: Any) -> Any:
        return await model.ainvoke(messages)

    return RunnableLambda(ask, ask_later)  # type: ignore[return-value]  # Runnables are steps


def graph(model: Runnable[Any, Any]) -> Any:
    """The step in a graph."""
    built = StateGraph(MessagesState)
    step: Any = node(model)
    built.add_node("ask", RunnableLambda(lambda s: s["messages"]) | step | _state)
    built.add_edge(START, "ask")
    built.add_edge("ask", END)
    return built.compile()


def _state(message: Any) -> dict[str, Any]:
    return {"messages": [message]}


def by_events(model: Runnable[Any, Any]) -> list[str]:
    """Tokens as ``astream_events`` shows them."""
    chain: Any = RunnableLambda(lambda messages: messages) | node(model)

    async def read() -> list[str]:
        return [
            event["data"]["chunk"].text
            async for event in chain.astream_events(QUESTION, version="v2")
            if event["event"] == "on_chat_model_stream" and event["data"]["chunk"].text
        ]

    return asyncio.run(read())


def by_graph(model: Runnable[Any, Any]) -> list[str]:
    """Tokens as LangGraph's ``stream_mode="messages"`` shows them."""
    streamed = graph(model).stream({"messages": QUESTION}, stream_mode="messages")
    return [chunk.text for chunk, _ in streamed if chunk.text]


def by_async_graph(model: Runnable[Any, Any]) -> list[str]:
    """The same on a loop."""

    async def read() -> list[str]:
        streamed = graph(model).astream({"messages": QUESTION}, stream_mode="messages")
        return [chunk.text async for chunk, _ in streamed if chunk.text]

    return asyncio.run(read())


WATCHERS: Mapping[str, Watcher] = {
    "events": by_events,
    "graph": by_graph,
    "async graph": by_async_graph,
}
every_watcher = pytest.mark.parametrize("watcher", WATCHERS)


@every_watcher
@pytest.mark.parametrize("words_before_error", [2, 3])
def test_what_was_watched_is_not_spliced(watcher: str, words_before_error: int) -> None:
    """An arm that fails after its first token was seen is not replaced."""
    model = pool(words_before_error)

    with pytest.raises(ConnectionError, match="no route"):
        WATCHERS[watcher](model)

    assert 0 == model.models["second"].calls


@every_watcher
def test_a_watched_part_of_a_tool_call_is_not_spliced(watcher: str) -> None:
    """It has no text, but whoever watches has seen it."""
    model = pool(2)

    with pytest.raises(ConnectionError, match="no route"):
        WATCHERS[watcher](model.bind_tools([add]))

    assert 0 == model.models["second"].calls


@every_watcher
@pytest.mark.parametrize("words_before_error", [0, 1])
def test_before_the_first_token_another_arm_takes_over(
    watcher: str, words_before_error: int
) -> None:
    """An empty chunk shows nothing, so watchers see the second arm's answer alone."""
    shown = WATCHERS[watcher](pool(words_before_error))

    assert ["four ", "five ", "six"] == shown


def test_unwatched_another_arm_takes_over_at_any_time() -> None:
    """Without watchers an answer is whole or not there."""
    model = pool(2)

    assert "four five six" == model.invoke(QUESTION).text
    assert "four five six" == asyncio.run(model.ainvoke(QUESTION)).text
    assert "four five six" == graph(model).invoke({"messages": QUESTION})["messages"][-1].text


@every_watcher
def test_watching_changes_nothing_of_a_sound_answer(watcher: str) -> None:
    """Each token once."""
    model = RoutedChatModel(models={"only": ScriptedChatModel(says="one two three")})

    assert ["one ", "two ", "three"] == WATCHERS[watcher](model)
    assert 1 == model.stats()["outcome_ok"]

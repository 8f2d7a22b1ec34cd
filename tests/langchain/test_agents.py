"""A routed model where agents and graphs expect a chat model."""

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_pickllm import FinishedRun, RewardCallbackHandler, RoutedChatModel
from tests.langchain.recording import Recorder
from tests.langchain.scripted import NoToolsChatModel, ScriptedChatModel

SAYS = "Two and two make four"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """The result."""

    number: int


class State(TypedDict):
    """What the graph passes on."""

    messages: Annotated[list[BaseMessage], add_messages]
    steps: Annotated[int, operator.add]


def mixed() -> RoutedChatModel:
    """An arm with tools and one without."""
    models = {"plain": NoToolsChatModel(says=SAYS), "able": ScriptedChatModel(says=SAYS)}
    return RoutedChatModel(models=models, policy="random", seed=1)


def graph_of(ask: Any, checkpointer: Any = None) -> Any:
    """A graph with one node."""
    graph = StateGraph(State)
    graph.add_node("model", ask)
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile(checkpointer=checkpointer)


def whole(model: RoutedChatModel) -> Callable[[State], Any]:
    """A node that asks for the answer as a whole."""
    return lambda state: {"messages": [model.invoke(state["messages"])], "steps": 1}


def streamed(model: RoutedChatModel) -> Callable[[State], Any]:
    """A node that reads the answer piece by piece."""

    def ask(state: State) -> dict[str, Any]:
        first, *others = model.stream(state["messages"])
        return {"messages": [sum(others, first)], "steps": 1}

    return ask


def later(model: RoutedChatModel) -> Callable[[State], Any]:
    """A node that waits for the answer on the loop."""

    async def ask(state: State) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])], "steps": 1}

    return ask


QUESTION: dict[str, Any] = {"messages": [HumanMessage("Please add 2 and 3")]}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_agent_runs_its_tools(way: str) -> None:
    """Question, tool call, tool result, answer; only the arm with tools is asked."""
    model = mixed()
    agent: Any = create_agent(model=model, tools=[add])

    if way == "invoke":
        messages = agent.invoke(QUESTION)["messages"]
    else:
        messages = asyncio.run(agent.ainvoke(QUESTION))["messages"]

    assert ["human", "ai", "tool", "ai"] == [message.type for message in messages]
    assert ("5", SAYS) == (messages[2].text, messages[3].text)
    assert (0, 2) == (model.models["plain"].calls, model.models["able"].calls)
    assert {"able"} == {m.response_metadata["pickllm"]["arm"] for m in messages[1::2]}


def test_an_agent_s_run_settles_all_its_decisions() -> None:
    """A handler on the agent scores the whole loop, and books that with the call that began it."""
    model = mixed()
    runs: list[FinishedRun] = []

    def score(run: FinishedRun) -> float:
        runs.append(run)
        return 1.0

    handler = RewardCallbackHandler(model, score=score)
    agent: Any = create_agent(model=model, tools=[add])

    agent.invoke(QUESTION, {"callbacks": [handler]})

    (run,) = runs
    assert (2, {"counted": 1}) == (len(run.decision_ids), handler.counts)


def test_a_graph_that_asks_a_human_is_scored_when_it_is_done() -> None:
    """A pause is no result, though LangGraph ends its run as if it were one."""
    model = mixed()
    runs: list[FinishedRun] = []

    def score(run: FinishedRun) -> float:
        runs.append(run)
        return 1.0

    def ask(state: State) -> dict[str, Any]:
        answer = model.invoke(state["messages"])
        return {"messages": [answer] if interrupt("Is this right?") else [], "steps": 1}

    handler = RewardCallbackHandler(model, score=score)
    graph = graph_of(ask, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [handler]}

    graph.invoke(QUESTION, config)
    paused = len(runs)
    graph.invoke(Command(resume=True), config)

    before, after = model.router.ledger
    assert (0, 1) == (paused, len(runs))
    assert ([], ["chain"]) == (list(before.source_to_feedback), list(after.source_to_feedback))
    assert {"interrupted": 1, "counted": 1} == handler.counts


def test_an_agent_answers_in_a_structure() -> None:
    """``response_format`` as a tool goes to an arm that has tools."""
    agent: Any = create_agent(model=mixed(), tools=[], response_format=ToolStrategy(Sum))

    result = agent.invoke({"messages": [HumanMessage("The sum is 5")]})

    assert Sum(number=5) == result["structured_response"]


def test_an_agent_streams_each_token_once() -> None:
    """``stream_mode="messages"`` shows the answer's tokens, each of them once."""
    agent: Any = create_agent(model=mixed(), tools=[add])

    streamed = list(agent.stream(QUESTION, stream_mode="messages"))

    said = [
        message.text for message, _ in streamed if isinstance(message, AIMessage) and message.text
    ]
    assert SAYS == "".join(said)
    assert 1 == sum(isinstance(message, ToolMessage) for message, _ in streamed)


@pytest.mark.parametrize("node", [whole, streamed])
def test_a_graph_streams_each_token_once(node: Callable[[RoutedChatModel], Any]) -> None:
    """The node's name is "model", which must not make its messages come twice."""
    graph = graph_of(node(mixed()))

    chunks = [
        message.text
        for message, metadata in graph.stream(QUESTION, stream_mode="messages")
        if metadata["langgraph_node"] == "model" and message.text
    ]

    assert SAYS == "".join(chunks)
    assert SAYS.split() == [chunk.strip() for chunk in chunks]


async def test_a_graph_streams_each_token_once_under_async() -> None:
    """The same for ``astream``."""
    graph = graph_of(later(mixed()))

    chunks = [
        message.text
        async for message, _ in graph.astream(QUESTION, stream_mode="messages")
        if message.text
    ]

    assert SAYS == "".join(chunks)
    assert SAYS.split() == [chunk.strip() for chunk in chunks]


def test_a_graph_s_trace_has_the_router_below_the_node() -> None:
    """Graph, node, router, arm."""
    recorder = Recorder()

    graph_of(whole(mixed())).invoke(QUESTION, {"callbacks": [recorder]})

    (arm,) = recorder.of_kind("llm")
    router = recorder.parent(arm)
    assert router is not None
    node = recorder.parent(router)
    assert node is not None
    assert ["LangGraph", "model", "RoutedChatModel"] == [
        span.name for span in recorder if span.kind == "chain"
    ]
    assert ("RoutedChatModel", "model") == (router.name, node.name)
    assert "model" == arm.metadata["langgraph_node"]


def test_a_decision_survives_a_checkpoint() -> None:
    """Messages of a stored thread still lead to the decision that began their loop."""
    model = mixed()
    agent: Any = create_agent(model=model, tools=[add], checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    agent.invoke(QUESTION, thread)

    stored = agent.get_state(thread).values["messages"]

    assert ["counted", "repeated"] == [model.feedback(message, 1.0) for message in stored[1::2]]

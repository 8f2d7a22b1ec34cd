"""RoutingMiddleware: an agent whose model someone else sets, routed all the same."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.middleware import RoutingMiddleware
from pickllm import ConfigError
from tests.langchain.scripted import ScriptedChatModel

SAYS = "Two and two make four"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def question() -> dict[str, Any]:
    """A new one each time, for graphs give messages ids."""
    return {"messages": [HumanMessage("Please add 2 and 3")]}


def invoke(agent: Any) -> dict[str, Any]:
    """The agent's last state."""
    state: dict[str, Any] = agent.invoke(question())
    return state


def ainvoke(agent: Any) -> dict[str, Any]:
    """The same on a loop."""
    state: dict[str, Any] = asyncio.run(agent.ainvoke(question()))
    return state


def stream(agent: Any) -> dict[str, Any]:
    """The last of the states that are streamed."""
    state: dict[str, Any] = list(agent.stream(question(), stream_mode="values"))[-1]
    return state


def astream(agent: Any) -> dict[str, Any]:
    """The same on a loop."""

    async def read() -> list[dict[str, Any]]:
        return [state async for state in agent.astream(question(), stream_mode="values")]

    return asyncio.run(read())[-1]


every_way = pytest.mark.parametrize("run", [invoke, ainvoke, stream, astream])


def two(**settings: Any) -> RoutedChatModel:
    """Two arms, drawn at random."""
    models = {name: ScriptedChatModel(says=SAYS, model_name=name) for name in ("small", "large")}
    return RoutedChatModel(models=models, **{"policy": "random", "seed": 1, **settings})


def agent_of(model: RoutedChatModel, *others: Any, **settings: Any) -> tuple[Any, Any]:
    """An agent with a model of its own, that model, and the middleware."""
    own = ScriptedChatModel(says="the agent's own model")
    middleware = [RoutingMiddleware(model), *others]
    agent: Any = create_agent(model=own, tools=[add], middleware=middleware, **settings)
    return agent, own


@every_way
def test_the_routed_model_answers_in_the_place_of_the_agent_s_own(
    run: Callable[[Any], dict[str, Any]],
) -> None:
    """Tools and all; the agent's own model is never asked."""
    model = two()
    agent, own = agent_of(model)

    messages = run(agent)["messages"]

    assert ["human", "ai", "tool", "ai"] == [message.type for message in messages]
    assert ("5", SAYS, 0) == (messages[2].text, messages[3].text, own.calls)


@every_way
def test_a_run_is_one_decision_and_its_route_is_noted(
    run: Callable[[Any], dict[str, Any]],
) -> None:
    """Arm, decision, probabilities and confidence stand in the state, as plain JSON."""
    model = two()

    state = run(agent_of(model)[0])

    begun, held = model.router.ledger
    arm = begun.decision.arm
    assert {
        "arm": arm,
        "decision_id": begun.decision.id,
        "probabilities": {"small": 0.5, "large": 0.5},
        "confidence": 0.5,
    } == json.loads(json.dumps(state["model_route"]))
    assert held.decision.held is not None
    assert (arm, "tool loop") == (held.decision.arm, held.decision.held.reason)
    assert "counted" == model.feedback(state["model_route"]["decision_id"], 1.0)


def test_each_run_of_a_thread_has_a_route_of_its_own() -> None:
    """The state holds that of the last."""
    model = two(policy=iter_policy())
    agent, _ = agent_of(model, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}

    routes = [agent.invoke(question(), thread)["model_route"] for _ in range(2)]

    begun = [r.decision.id for r in model.router.ledger if not r.decision.held]
    assert (["small", "large"], begun) == (
        [route["arm"] for route in routes],
        [route["decision_id"] for route in routes],
    )


def test_a_sticky_thread_notes_each_run_s_own_decision() -> None:
    """The arm stays, and the route says so with certainty."""
    model = two(policy=iter_policy(), sticky=True)
    agent, _ = agent_of(model, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}

    first, second = (agent.invoke(question(), thread)["model_route"] for _ in range(2))

    assert (first["arm"], 1.0) == (second["arm"], second["confidence"])
    assert first["decision_id"] != second["decision_id"]


class Sum(BaseModel):
    """A sum."""

    total: int


def test_a_run_that_ends_with_structured_output_by_a_tool_has_its_own_route() -> None:
    """The result of that tool is the last message, in each run of a thread."""
    model = two(policy=iter_policy())
    agent: Any = create_agent(
        model=ScriptedChatModel(),
        response_format=ToolStrategy(Sum),
        middleware=[RoutingMiddleware(model)],
        checkpointer=InMemorySaver(),
    )
    thread: Any = {"configurable": {"thread_id": "1"}}

    states = [agent.invoke(question(), thread) for _ in range(2)]

    assert [Sum(total=2)] * 2 == [state["structured_response"] for state in states]
    assert ["small", "large"] == [state["model_route"]["arm"] for state in states]


def iter_policy() -> Callable[[Any], str]:
    """Takes turns."""
    names = iter(["small", "large"] * 5)
    return lambda _: next(names)


def test_the_arm_that_took_over_is_the_route_s() -> None:
    """Who answered, not who was asked first."""
    model = two(policy=lambda _: {"small": 1.0})
    model.models["small"].error = ConnectionError("no route")

    state = invoke(agent_of(model)[0])

    assert "large" == state["model_route"]["arm"]


class Instead(AgentMiddleware[Any, Any, Any]):
    """Another middleware that has the last word about the model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model=self.model))


@pytest.mark.parametrize("routed", [True, False])
def test_an_answer_of_another_model_has_no_route_here(*, routed: bool) -> None:
    """A middleware inside has put its own model in; that is no error."""
    other = two() if routed else ScriptedChatModel(says=SAYS)
    agent, _ = agent_of(two(), Instead(other))

    state = invoke(agent)

    assert (SAYS, None) == (state["messages"][-1].text, state.get("model_route"))


def test_the_last_message_may_be_no_answer_at_all() -> None:
    """Where nothing was asked, nothing is noted."""
    middleware: Any = RoutingMiddleware(two())

    assert None is middleware.after_model({"messages": [HumanMessage("Hello")]}, None)
    assert None is middleware.after_model({"messages": [AIMessage("Hello")]}, None)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What LangChain's own router is given: a model, and what it is said to be good for."""

    model: Any
    criteria: str


def test_choices_make_a_routed_model() -> None:
    """As models or in LangChain's own form; settings are the routed model's."""
    small, large = ScriptedChatModel(says="small"), ScriptedChatModel(says="large")
    middleware = RoutingMiddleware(
        choices={"small": small, "large": Choice(large, "hard tasks")},
        policy=lambda _: {"large": 1.0},
    )
    agent: Any = create_agent(ScriptedChatModel(), tools=[], middleware=[middleware])

    state = agent.invoke(question())

    assert ("large", "large") == (state["messages"][-1].text, state["model_route"]["arm"])


@pytest.mark.parametrize("given", [{}, {"model": True, "choices": {}}, {"model": True, "seed": 1}])
def test_a_routed_model_or_choices_not_both(given: dict[str, Any]) -> None:
    """A model has its settings already."""
    settings = {**given, "model": two()} if given.get("model") else given

    with pytest.raises(ConfigError, match="give a RoutedChatModel, or choices"):
        RoutingMiddleware(**settings)


@pytest.mark.parametrize("model", ["openai:gpt-4o", ScriptedChatModel()])
def test_a_model_that_is_not_routed_is_refused(model: Any) -> None:
    """It has no route to note."""
    with pytest.raises(ConfigError, match="give a RoutedChatModel, or choices"):
        RoutingMiddleware(model)

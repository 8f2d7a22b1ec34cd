"""Tools as an arm's own ``bind_tools`` formats them: nothing of what they are is lost."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, custom_tool
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.middleware import RoutingMiddleware
from tests.langchain.clients import Client, clients
from tests.langchain.scripted import ScriptedChatModel
from tests.serving import Served, Server, serving

CALLS = Served(says="", calls=True)


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(extras={"defer_loading": True})
def look_up(word: str) -> str:
    """Look a word up."""
    return word


@custom_tool
def run_code(code: str) -> str:
    """Run code."""
    return code


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for all tests here."""
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """It has seen nothing yet, calls the tools it is given, and then gives what is asked for."""
    says = json.dumps({"a": 2, "b": 3})
    running.models = {"first": Served(says=says, calls=True), "second": Served(says=says)}
    running.requests.clear()
    return running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Makes clients of this server."""
    with clients(server) as make:
        yield make


def over(arm: Any) -> RoutedChatModel:
    """A pool of one."""
    return RoutedChatModel(models={"only": arm})


WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda model: model.invoke("add 2 and 3"),
    "stream": lambda model: list(model.stream("add 2 and 3")),
}
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own, in streams
@every_way
@pytest.mark.parametrize("tools", [[add], []], ids=["tools", "none"])
def test_a_response_format_beside_tools_is_sent_as_the_bare_client_sends_it(
    way: str, tools: list[Any], client: Client, server: Server
) -> None:
    """The tools are made strict, for the client refuses others."""
    model = over(client("second")).bind_tools(tools, response_format=Sum)

    WAYS[way](model)

    WAYS[way](client("second").bind_tools(tools, response_format=Sum))
    routed, bare = server.requests
    assert bare == routed
    assert [True for _ in tools] == [each["function"]["strict"] for each in routed["tools"]]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("asked", [Sum, ProviderStrategy(Sum)], ids=["schema", "provider"])
def test_an_agent_with_tools_gives_what_its_response_format_says(
    asked: Any, client: Client
) -> None:
    """The profile of the pool lets LangChain leave it to the provider."""
    able = client("first", profile={"tool_calling": True, "structured_output": True})
    agent: Any = create_agent(model=over(able), tools=[add], response_format=asked)

    answer = agent.invoke({"messages": [("user", "add 2 and 3")]})

    assert Sum(a=2, b=3) == answer["structured_response"]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_so_does_one_that_is_routed_by_its_middleware(client: Client) -> None:
    """Whatever the model is that it was made with."""
    agent: Any = create_agent(
        model=client("second"),
        tools=[add],
        response_format=ProviderStrategy(Sum),
        middleware=[RoutingMiddleware(over(client("first")))],
    )

    answer = agent.invoke({"messages": [("user", "add 2 and 3")]})

    assert Sum(a=2, b=3) == answer["structured_response"]


def wrapped(model: ChatOpenAI) -> Any:
    """A client with another to fall back on."""
    return model.with_fallbacks([model])


@pytest.mark.parametrize("around", [lambda m: m, wrapped, over, lambda m: m.with_retry()])
@pytest.mark.parametrize("given", [look_up, run_code], ids=["extras", "custom"])
def test_a_tool_is_sent_as_the_bare_client_sends_it(
    given: Any, around: Callable[[Any], Any], client: Client, server: Server
) -> None:
    """With what only its maker and the client know of."""
    server.models["first"] = Served()
    bare_client = client("first", use_responses_api=False)

    over(around(bare_client)).bind_tools([given]).invoke("go")

    bare_client.bind_tools([given]).invoke("go")
    routed, bare = server.requests
    assert bare == routed


def test_what_is_bound_shows_its_tools_as_dicts() -> None:
    """Agents read them there."""
    bound: Any = over(ScriptedChatModel()).bind_tools([add])

    assert ["add"] == [each["function"]["name"] for each in bound.kwargs["tools"]]


def test_tools_given_later_take_the_place_of_those_bound() -> None:
    """Of all that is known of them."""
    arm = ScriptedChatModel()
    bound = over(arm).bind_tools([add])

    later = {"type": "function", "function": {"name": "later", "description": "", "parameters": {}}}
    bound.invoke("go", tools=[later])

    assert ["later"] == [each["function"]["name"] for each in arm.seen[0].kwargs["tools"]]

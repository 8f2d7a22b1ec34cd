"""Structured output over mixed pools: each arm is asked its own way, natively where it can."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from pickllm import Arm, ConfigError, NoEligibleArm
from tests.langchain.clients import KEY, Client, clients
from tests.langchain.scripted import NoToolsChatModel, ScriptedChatModel
from tests.serving import Served, Server, serving

SUM = {"a": 2, "b": 3}


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for all tests here."""
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """It has seen nothing yet; one of its models writes what a JSON schema asks for."""
    running.models = {"native": Served(says=json.dumps(SUM)), "broken": Served(status=500)}
    running.requests.clear()
    return running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Makes clients of this server."""
    with clients(server) as make:
        yield make


def mixed(native: ChatOpenAI, first: str, **settings: Any) -> RoutedChatModel:
    """An arm that knows JSON schemas and one that is forced to call a tool."""
    return RoutedChatModel(
        models={"native": native, "forced": ScriptedChatModel()},
        policy=lambda _: {first: 1.0},
        **settings,
    )


async def _last_of(chain: Any) -> Any:
    return [piece async for piece in chain.astream("add 2 and 3")][-1]


WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda chain: chain.invoke("add 2 and 3"),
    "ainvoke": lambda chain: asyncio.run(chain.ainvoke("add 2 and 3")),
    "stream": lambda chain: list(chain.stream("add 2 and 3"))[-1],
    "astream": lambda chain: asyncio.run(_last_of(chain)),
}
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own, in streams
@every_way
def test_an_arm_that_knows_json_schemas_is_sent_one(
    way: str, client: Client, server: Server
) -> None:
    """As the client alone would send it, and the answer is read as the client alone would."""
    chain = mixed(client("native"), "native").with_structured_output(Sum, strict=True)

    answer = WAYS[way](chain)

    assert Sum(a=2, b=3) == answer
    assert "tools" not in server.requests[-1]
    assert server.requests[-1]["response_format"]["json_schema"]["strict"] is True


@every_way
def test_an_arm_that_does_not_is_made_to_call_a_tool(
    way: str, client: Client, server: Server
) -> None:
    """The same chain, another arm."""
    model = mixed(client("native"), "forced")

    answer = WAYS[way](model.with_structured_output(Sum))

    assert isinstance(answer, Sum)
    assert [] == server.requests
    asked: Any = model.models["forced"]
    assert "any" == asked.seen[-1].kwargs["tool_choice"]


@every_way
def test_the_parser_is_that_of_the_arm_that_took_over(way: str, client: Client) -> None:
    """A JSON schema was sent in vain; the answer came as a tool call."""
    model = mixed(client("broken"), "native")

    answer = WAYS[way](model.with_structured_output(Sum, include_raw=True))

    (record,) = model.router.ledger
    assert record.answer is not None
    assert ("forced", {"parse": 1.0}) == (
        record.answer.arm,
        {source: given.value for source, given in record.source_to_feedback.items()},
    )
    if way in ("invoke", "ainvoke"):
        assert isinstance(answer["parsed"], Sum)


def test_the_method_reaches_the_arms(client: Client, server: Server) -> None:
    """JSON mode is asked for by a format, and no schema is sent."""
    model = mixed(client("native"), "native")

    answer = model.with_structured_output(Sum, method="json_mode").invoke("add 2 and 3, as JSON")

    assert Sum(a=2, b=3) == answer
    assert {"type": "json_object"} == server.requests[-1]["response_format"]


def test_an_arm_without_any_way_is_not_asked_and_the_reason_is_told() -> None:
    """It has no tools; the other one has."""
    model = RoutedChatModel(models={"plain": NoToolsChatModel(), "forced": ScriptedChatModel()})

    for _ in range(5):
        model.with_structured_output(Sum).invoke("add 2 and 3")

    for record in model.router.ledger:
        assert {"plain": "cannot do structured output"} == record.decision.ineligible


def test_an_arm_declared_unable_is_not_asked() -> None:
    """Whatever its class says."""
    model = RoutedChatModel(
        models={"first": ScriptedChatModel(), "second": ScriptedChatModel()},
        arms={"first": Arm(can={"tools": False})},
    )

    model.with_structured_output(Sum).invoke("add 2 and 3")

    (record,) = model.router.ledger
    assert {"first": "cannot do tools"} == record.decision.ineligible


def test_a_pool_without_any_way_says_so_at_once() -> None:
    """When the chain is made, not when it runs."""
    model = RoutedChatModel(
        models={"plain": NoToolsChatModel(), "odd": RunnableLambda(lambda _: AIMessage("hm"))}
    )

    with pytest.raises(ConfigError, match="no arm of the pool can give structured output"):
        model.with_structured_output(Sum)


def test_an_arm_pinned_that_cannot_is_an_error_that_says_why() -> None:
    """Nothing else was allowed."""
    model = RoutedChatModel(models={"plain": NoToolsChatModel(), "forced": ScriptedChatModel()})

    with pytest.raises(NoEligibleArm, match="plain: cannot do structured output"):
        model.with_structured_output(Sum).bind(model="plain").invoke("add 2 and 3")


def test_a_router_inside_a_router_is_asked_like_any_arm() -> None:
    """It chooses among its own arms, and both hear how the answer parsed."""
    inner = RoutedChatModel(models={"a": ScriptedChatModel(), "b": ScriptedChatModel()})
    outer = RoutedChatModel(models={"inner": inner})

    answer = outer.with_structured_output(Sum).invoke("add 2 and 3")

    assert isinstance(answer, Sum)
    for model in (outer, inner):
        (record,) = model.router.ledger
        assert ["parse"] == list(record.source_to_feedback)


@every_way
@pytest.mark.parametrize("method", ["json_mode", "json_schema"])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own, in streams
def test_a_router_inside_hands_on_what_it_is_told(
    method: Any, way: str, client: Client, server: Server
) -> None:
    """Each of its arms is asked as it would be alone, however deep it stands."""
    inner = RoutedChatModel(models={"native": client("native")})
    outer = RoutedChatModel(models={"router": RoutedChatModel(models={"inner": inner})})

    answer = WAYS[way](outer.with_structured_output(Sum, method=method))

    assert Sum(a=2, b=3) == answer
    WAYS[way](client("native").with_structured_output(Sum, method=method))
    routed, bare = server.requests
    assert bare == routed


def test_a_router_inside_without_any_way_is_not_asked() -> None:
    """None of its arms can."""
    inner = RoutedChatModel(models={"plain": NoToolsChatModel()})
    outer = RoutedChatModel(models={"inner": inner, "forced": ScriptedChatModel()})

    outer.with_structured_output(Sum).invoke("add 2 and 3")

    (record,) = outer.router.ledger
    assert {"inner": "cannot do structured output"} == record.decision.ineligible


# Arms of which it is only known in the call which model answers


def falling_back(client: Client) -> Any:
    """A model that is down, and one that is not."""
    return client("broken").with_fallbacks([client("forced")])


def with_fields(client: Client) -> Any:
    """A model of which the name is given with the call."""
    return client("broken").configurable_fields(model_name=ConfigurableField(id="model"))


def with_alternatives(client: Client) -> Any:
    """A model, or another where the call says so."""
    return client("broken").configurable_alternatives(
        ConfigurableField(id="model"), forced=client("forced")
    )


def configured_around(client: Client) -> Any:
    """The same, where the one who made it has said so."""
    return with_alternatives(client).with_config(configurable={"model": "forced"}).with_retry()


def opened_by_name(client: Client) -> Any:
    """As `init_chat_model` opens a model that the call may change."""
    broken = client("broken")
    return init_chat_model(
        "broken",
        model_provider="openai",
        configurable_fields="any",
        base_url=broken.openai_api_base,
        api_key=KEY,
        http_client=broken.http_client,
        http_async_client=broken.http_async_client,
    )


DEFERRED = (falling_back, with_fields, with_alternatives, configured_around, opened_by_name)
deferred = pytest.mark.parametrize("make", DEFERRED)
CHOSEN: Any = {"configurable": {"model": "forced"}}


@every_way
@deferred
@pytest.mark.parametrize("schema", [Sum, convert_to_openai_tool(Sum)], ids=["class", "dict"])
def test_a_model_that_the_call_decides_is_made_to_call_a_tool(
    schema: Any, make: Callable[[Client], Any], way: str, client: Client, server: Server
) -> None:
    """Its parser reads any model's tool call."""
    server.models["forced"] = Served(calls=True)
    model = RoutedChatModel(models={"deferred": make(client)})

    answer = WAYS[way](model.with_structured_output(schema).with_config(CHOSEN))

    assert (Sum(a=2, b=3) if schema is Sum else SUM) == answer
    assert ("forced", "required") == (
        server.requests[-1]["model"],
        server.requests[-1]["tool_choice"],
    )


@deferred
def test_tools_reach_a_model_that_the_call_decides(
    make: Callable[[Client], Any], client: Client, server: Server
) -> None:
    """And the model stays the one that the call chose."""
    server.models["forced"] = Served(calls=True)
    model = RoutedChatModel(models={"deferred": make(client)})

    answer = model.bind_tools([Sum]).invoke("add 2 and 3", CHOSEN)

    assert [SUM] == [call["args"] for call in answer.tool_calls]


@deferred
def test_a_model_that_the_call_decides_knows_no_other_method(
    make: Callable[[Client], Any], client: Client
) -> None:
    """Which of them could do it is not known; the reason says what was asked."""
    model = RoutedChatModel(models={"deferred": make(client), "native": client("native")})

    model.with_structured_output(Sum, method="json_mode").invoke("add 2 and 3, as JSON")

    (record,) = model.router.ledger
    assert {"deferred": "cannot do structured output by json_mode"} == record.decision.ineligible


def test_fallbacks_that_cannot_call_tools_are_not_asked() -> None:
    """One of them is enough: it might be the one that answers."""
    able: Any = ScriptedChatModel()
    model = RoutedChatModel(
        models={"half": able.with_fallbacks([NoToolsChatModel()]), "forced": ScriptedChatModel()}
    )

    model.with_structured_output(Sum).invoke("add 2 and 3")

    (record,) = model.router.ledger
    assert {"half": "cannot do structured output"} == record.decision.ineligible

"""A local model with tools in LangChain: bound, called, answered, routed to."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call
from langchain_core.tools import tool
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.local import ChatLocal
from langchain_pickllm.local_turns import request_of
from pickllm import ConfigError
from pickllm.local import LocalModel
from pickllm.policies import Fixed
from tests.langchain.tiny_suite import OverATinyModel
from tests.tiny import tiny_folder
from tests.tiny_tools import ADD, tool_folder


@tool("add")
def add_tool(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class add(BaseModel):  # noqa: N801  # the name of the tool
    """Add two numbers."""

    a: int
    b: int


CALL = {"name": "add", "args": {"a": 1, "b": 2}}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The model, loaded once."""
    return LocalModel.load(tool_folder(tmp_path_factory))


@pytest.fixture
def chat(local: LocalModel) -> ChatLocal:
    """The model for a chain."""
    return ChatLocal(model=local)


@pytest.fixture
def plain(tmp_path_factory: pytest.TempPathFactory) -> ChatLocal:
    """A model whose chat template knows no tools."""
    return ChatLocal(model=LocalModel.load(tiny_folder(tmp_path_factory)))


def called(message: BaseMessage) -> list[dict[str, Any]]:
    """The calls of a message without their ids."""
    assert isinstance(message, AIMessage)
    return [{"name": call["name"], "args": call["args"]} for call in message.tool_calls]


def added(chunks: Any) -> AIMessageChunk:
    """The chunks as one."""
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    assert isinstance(first, AIMessageChunk)
    return first


# Calls


async def test_a_bound_tool_is_called(chat: ChatLocal) -> None:
    """In every way a model may be asked, with an id of its own each time."""
    bound = chat.bind_tools([add_tool])

    answers: list[BaseMessage] = [
        bound.invoke("1+2"),
        added(bound.stream("1+2")),
        await bound.ainvoke("1+2"),
        added([chunk async for chunk in bound.astream("1+2")]),
    ]

    assert [[CALL]] * 4 == [called(answer) for answer in answers]
    assert [""] * 4 == [answer.content for answer in answers]
    ids = {call["id"] for answer in answers for call in getattr(answer, "tool_calls", ())}
    assert 4 == len(ids)
    assert {9} == {len(str(each)) for each in ids}


def test_tools_are_counted(chat: ChatLocal) -> None:
    """As part of the prompt, where the template shows them."""
    answer = chat.bind_tools([add_tool]).invoke("1+2")

    tokens = chat.get_num_tokens_from_messages([HumanMessage("1+2")], tools=[add_tool])
    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata is not None
    assert tokens == answer.usage_metadata["input_tokens"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_is_cut_off_is_an_invalid_one(chat: ChatLocal, streamed: bool) -> None:
    """It is not mended, whole or streamed."""
    bound = chat.bind_tools([add_tool], max_tokens=4)

    answer = added(bound.stream("1+2")) if streamed else bound.invoke("1+2")

    assert isinstance(answer, AIMessage)
    assert [] == answer.tool_calls
    (bad,) = answer.invalid_tool_calls
    assert 'malformed: {"name": "add", "arguments": {"a": 1, "b":' == bad["args"]


def test_without_tools_it_answers(chat: ChatLocal) -> None:
    """A choice of none hides them."""
    assert "No" == chat.invoke("1+2").content
    assert "No" == chat.bind_tools([add_tool], tool_choice="none").invoke("1+2").content


def test_structured_output_comes_of_a_call(chat: ChatLocal) -> None:
    """The schema is a tool that the model is asked to call."""
    assert add(a=1, b=2) == chat.with_structured_output(add).invoke("1+2")


# Requests


@pytest.mark.parametrize("choice", ["add", {"type": "function", "function": {"name": "add"}}])
def test_a_choice_leaves_one_tool_and_says_so(choice: Any) -> None:
    """In words, in the system's turn, for nothing forces a model of this process."""
    other = {"type": "function", "function": {"name": "other"}}

    asked = request_of(
        [SystemMessage("Be brief."), HumanMessage("1+2")],
        {"tools": [other, ADD], "tool_choice": choice},
        knows_tools=True,
    )

    assert [ADD] == asked.tools
    assert [
        {
            "role": "system",
            "content": "Be brief.\n\nAnswer with a call of add, and with nothing else.",
        },
        {"role": "user", "content": "1+2"},
    ] == asked.turns


@pytest.mark.parametrize("choice", ["any", "required", True])
def test_any_call_may_be_wished_for(choice: Any) -> None:
    """Then all the tools are shown, and named in the wish."""
    other = {"type": "function", "function": {"name": "other"}}

    asked = request_of(
        [HumanMessage("1+2")], {"tools": [other, ADD], "tool_choice": choice}, knows_tools=True
    )

    assert [other, ADD] == asked.tools
    wish = "Answer with a call of other or add, and with nothing else."
    assert {"role": "system", "content": wish} == asked.turns[0]


def test_a_choice_of_no_tool_is_refused(chat: ChatLocal) -> None:
    """When tools are bound, not when the model is asked."""
    with pytest.raises(ConfigError, match=r"'multiply', but the tools are \['add'\]"):
        chat.bind_tools([add_tool], tool_choice="multiply")


def test_calls_and_results_are_turns() -> None:
    """In the form of chat templates; ids that some of them refuse become ones that none does."""
    answer = AIMessage(
        [{"type": "text", "text": "Well."}, {"type": "tool_use", "id": "call_a", "name": "add"}],
        tool_calls=[{**CALL, "id": "call_a"}, {**CALL, "id": "abcdef123"}],
    )

    turns = request_of(
        [
            answer,
            ToolMessage("3", tool_call_id="call_a"),
            ToolMessage("3", tool_call_id="abcdef123"),
        ],
        {},
        knows_tools=True,
    ).turns

    first, second = (call["id"] for call in turns[0]["tool_calls"])
    function = {"name": "add", "arguments": {"a": 1, "b": 2}}
    assert (9, "abcdef123") == (len(first), second)
    assert {
        "role": "assistant",
        "content": "Well.",
        "tool_calls": [
            {"type": "function", "id": first, "function": function},
            {"type": "function", "id": second, "function": function},
        ],
    } == turns[0]
    assert [
        {"role": "tool", "name": "add", "tool_call_id": first, "content": "3"},
        {"role": "tool", "name": "add", "tool_call_id": second, "content": "3"},
    ] == turns[1:]


def test_the_model_sees_what_it_wrote_wrongly() -> None:
    """So it may do better."""
    bad = AIMessage(
        "Hm.", invalid_tool_calls=[invalid_tool_call(args="malformed: {oops", error="no JSON")]
    )

    (turn,) = request_of([bad], {}, knows_tools=True).turns

    assert {"role": "assistant", "content": "Hm.\nmalformed: {oops"} == turn


# Models that know no tools


def test_a_model_without_tools_says_so(plain: ChatLocal, chat: ChatLocal) -> None:
    """In its profile, when tools are bound, and when a schema is asked of it."""
    assert [False, True] == [(model.profile or {}).get("tool_calling") for model in (plain, chat)]
    with pytest.raises(ConfigError, match="shows no tools to the model: take a model that was"):
        plain.bind_tools([add_tool])
    with pytest.raises(ConfigError, match="shows no tools to the model"):
        plain.with_structured_output(add)


# In agents and pools


def test_an_agent_works_on_it(chat: ChatLocal) -> None:
    """It calls the tool, reads the result, and answers."""
    agent: Any = create_agent(chat, [add_tool])

    *_, call, result, answer = agent.invoke({"messages": [HumanMessage("1+2")]})["messages"]

    assert [CALL] == called(call)
    assert ("3", "The sum is 3") == (result.content, answer.content)


def test_a_router_asks_for_calls_where_they_can_be_made(chat: ChatLocal, plain: ChatLocal) -> None:
    """An agent over a pool gets its calls from the model that knows tools."""
    model = RoutedChatModel(models={"plain": plain, "able": chat}, policy=Fixed(arm="plain"))
    agent: Any = create_agent(model, [add_tool])

    answer = agent.invoke({"messages": [HumanMessage("1+2")]})["messages"][-1]

    assert "The sum is 3" == answer.content
    decisions = [record.decision for record in model.router.ledger]
    assert [["plain"]] * len(decisions) == [list(each.ineligible) for each in decisions]


class TestUnit(OverATinyModel, ChatModelUnitTests):
    """LangChain's own suite, on a model that calls tools."""

    knows_tools = True

"""Tools, structures, agents: prepared, called and read by one arm; the loop stays with it."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.instrumentation.span import active_span_id
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import CustomQueryEngine, RouterQueryEngine
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from pickllm import Fixed, NoEligibleArm
from tests.llamaindex.scripted import ScriptedLLM, ScriptedTextLLM, user
from tests.llamaindex.ways import last


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOL = FunctionTool.from_defaults(add)


class Song(BaseModel):
    """What is asked for."""

    title: str


PROMPT = PromptTemplate("A song about {topic}.")
ARGUMENTS = {"a": 2, "b": 3}


def mixed(**settings: Any) -> RoutedLLM:
    """One arm that reads text only, two that call tools, each in its own way."""
    able = {
        name: ScriptedLLM(model=name, arguments=ARGUMENTS, says=name) for name in ("one", "two")
    }
    return RoutedLLM(llms={"text": ScriptedTextLLM(), **able}, **{"seed": 1, **settings})


def tool_result(call_id: str) -> ChatMessage:
    """What a tool gave."""
    told = {"tool_call_id": call_id}
    return ChatMessage(role=MessageRole.TOOL, content="5", additional_kwargs=told)


@contextmanager
def below(span_id: str) -> Iterator[None]:
    """As in a span of somebody's."""
    token = active_span_id.set(span_id)
    try:
        yield
    finally:
        active_span_id.reset(token)


async def _alast(awaited: Any) -> Any:
    return [frame async for frame in await awaited][-1]


async def _awaited(value: Any) -> Any:
    return await value


CALLS: dict[str, Callable[[RoutedLLM], ChatResponse]] = {
    "chat": lambda llm: llm.chat_with_tools([TOOL], user_msg="2 + 3?"),
    "achat": lambda llm: asyncio.run(_awaited(llm.achat_with_tools([TOOL], user_msg="2 + 3?"))),
    "stream_chat": lambda llm: last(llm.stream_chat_with_tools([TOOL], user_msg="2 + 3?")),
    "astream_chat": lambda llm: asyncio.run(
        _alast(llm.astream_chat_with_tools([TOOL], user_msg="2 + 3?"))
    ),
}


@pytest.mark.parametrize("way", CALLS)
def test_tools_go_to_an_arm_that_calls_them(way: str) -> None:
    """It formats them its own way, and its calls are read by itself."""
    llm = mixed()
    response = CALLS[way](llm)
    (call,) = llm.get_tool_calls_from_response(response)
    arm = stamp_on(response)["arm"]

    assert arm in ("one", "two")
    assert ("add", ARGUMENTS) == (call.tool_name, call.tool_kwargs)
    assert [f"{arm}:add"] == llm.llms[arm].seen[0].kwargs["tools"]


def test_the_callers_history_is_not_changed() -> None:
    """Arms append the message of the user to the list that they are given."""
    history = user("Hello")
    llm = mixed()
    llm.chat_with_tools([TOOL], user_msg="2 + 3?", chat_history=history)
    llm.predict_and_call([TOOL], user_msg="2 + 3?", chat_history=history)

    assert 1 == len(history)


def test_a_pool_without_tools_says_so() -> None:
    """It takes no tools, but calls them where words will do."""
    llm = RoutedLLM(
        llms={
            "text": ScriptedTextLLM(
                says='Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 3}'
            )
        }
    )

    assert not llm.metadata.is_function_calling_model
    with pytest.raises(NoEligibleArm, match="cannot do tools"):
        llm.chat_with_tools([TOOL], user_msg="2 + 3?")
    assert "5" == llm.predict_and_call([TOOL], user_msg="2 + 3?", tool_required=True).response


@pytest.mark.parametrize("is_async", [False, True])
def test_predict_and_call_is_the_arms_own(is_async: bool) -> None:
    """The tool is called, once."""
    llm = mixed()
    if is_async:
        response = asyncio.run(_awaited(llm.apredict_and_call([TOOL], user_msg="2 + 3?")))
    else:
        response = llm.predict_and_call([TOOL], user_msg="2 + 3?")

    assert "5" == response.response
    assert 1 == llm.stats()["decisions"]


async def test_a_tool_loop_stays_with_the_arm_that_began_it() -> None:
    """And its turns belong to the first decision."""
    llm = mixed(policy="random")
    for _ in range(8):
        before = llm.stats().get("decisions", 0)
        await FunctionAgent(tools=[TOOL], llm=llm).run("2 + 3?")
        latest = llm.router.last_decision
        assert latest is not None
        assert latest.held is not None
        assert (latest.arm, "tool loop") == (latest.held.arm, latest.held.reason)
        assert 2 == llm.stats()["decisions"] - before


class Numbering(ScriptedLLM):
    """Numbers its tool calls, as small servers do."""

    def _message(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatMessage:
        message = super()._message(messages, kwargs)
        for block in message.blocks:
            if isinstance(block, ToolCallBlock):
                block.tool_call_id = "call_1"
        return message.model_copy(update={"additional_kwargs": {}})


@pytest.mark.parametrize("kind", ["tag", "span"])
def test_runs_that_ask_the_same_at_once_keep_their_arms(kind: str) -> None:
    """Though the ids of their tool calls are the same, too."""
    able = {name: Numbering(model=name, arguments=ARGUMENTS) for name in ("one", "two")}
    llm = RoutedLLM(llms=able, policy="random", seed=1)

    def within(run: str) -> AbstractContextManager[Any]:
        return instrument_tags({"llamaindex.run_id": run}) if kind == "tag" else below(run)

    begun = {}
    for arm in able:
        with within(f"run of {arm}"):
            response = llm.chat_with_tools([TOOL], user_msg="2 + 3?", model=arm)
            begun[arm] = [*user("2 + 3?"), response.message, tool_result("call_1")]
    went_on = {}
    for arm, history in begun.items():
        with within(f"run of {arm}"):
            went_on[arm] = stamp_on(llm.chat_with_tools([TOOL], chat_history=history))["arm"]

    assert {"one": "one", "two": "two"} == went_on


TOOLLESS: dict[str, Callable[[RoutedLLM], ChatResponse]] = {
    "chat": lambda llm: llm.chat_with_tools([], user_msg="Blue?", tool_required=False),
    "achat": lambda llm: asyncio.run(_awaited(llm.achat_with_tools([], user_msg="Blue?"))),
    "stream_chat": lambda llm: last(llm.stream_chat_with_tools([], user_msg="Blue?")),
    "astream_chat": lambda llm: asyncio.run(
        _alast(llm.astream_chat_with_tools([], user_msg="Blue?"))
    ),
}


@pytest.mark.parametrize("way", TOOLLESS)
def test_without_tools_an_arm_that_calls_none_answers_as_in_a_chat(way: str) -> None:
    """It is asked once, and calls no tool."""
    llm = mixed(policy=Fixed(arm="text"))
    response = TOOLLESS[way](llm)

    assert "text" == stamp_on(response)["arm"]
    assert "Hello there, friend" == response.message.content
    assert [] == llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    with pytest.raises(ValueError, match="no tool was called"):
        llm.get_tool_calls_from_response(response)


async def test_an_agent_without_tools_may_be_answered_by_any_arm() -> None:
    """Also by one that calls none."""
    llm = mixed(policy=Fixed(arm="text"))
    output = await FunctionAgent(tools=[], llm=llm).run("Blue?")

    assert "Hello there, friend" == str(output)
    assert 0 == llm.stats()["fallbacks"]


def test_another_arm_can_read_what_the_first_one_called() -> None:
    """Where the first one fails in mid-loop; calls in its own form are made plain."""
    llm = mixed(policy=Fixed(arm="one"))
    response = llm.chat_with_tools([TOOL], user_msg="2 + 3?")
    called = response.message.model_copy(
        update={
            "blocks": [],
            "additional_kwargs": {
                "tool_calls": [
                    {
                        "id": llm.get_tool_calls_from_response(response)[0].tool_id,
                        "function": {"name": "add", "arguments": json.dumps(ARGUMENTS)},
                    }
                ]
            },
        }
    )
    result = ChatMessage(role=MessageRole.TOOL, content="5")
    llm.llms["one"].error = OSError("gone")
    second = llm.chat_with_tools([TOOL], chat_history=[*user("2 + 3?"), called, result])
    seen = llm.llms["two"].seen[-1].messages[1]

    assert "one" == llm.explain(second).decision.arm
    assert "two" == stamp_on(second)["arm"]
    assert {} == seen.additional_kwargs
    assert [("add", ARGUMENTS)] == [
        (block.tool_name, block.tool_kwargs)
        for block in seen.blocks
        if isinstance(block, ToolCallBlock)
    ]
    assert called in llm.llms["one"].seen[-1].messages


def test_thoughts_stay_with_their_author() -> None:
    """Only it can read its signatures."""
    llm = mixed(policy="random")
    author = llm.llms["two"]
    thought = ChatMessage(
        role=MessageRole.ASSISTANT, blocks=[ThinkingBlock(content="Hm."), *user("Yes")[0].blocks]
    )
    author_says = author.__class__._message
    object.__setattr__(author, "_message", lambda *_: thought)
    answer = llm.chat(user("Is it?"), model="two")
    asked = [*user("Is it?"), answer.message, *user("Really?")]

    assert {"two"} == {stamp_on(llm.chat(asked))["arm"] for _ in range(5)}
    assert author_says is type(author)._message


def test_a_sticky_conversation_stays_with_its_arm() -> None:
    """The arm that spoke last speaks again; another conversation is free."""
    llm = mixed(policy="random", sticky=True)
    for number in range(5):
        first = llm.chat(user(f"Hello {number}"))
        asked = [*user(f"Hello {number}"), first.message, *user("And then?")]
        assert stamp_on(first)["arm"] == stamp_on(llm.chat(asked))["arm"]
        held = llm.explain(llm.chat(asked)).decision.held
        assert held is not None
        assert "thread" == held.reason


def structured(says: str = '{"title": "Rain"}') -> RoutedLLM:
    """A text arm that writes JSON, and two that call a tool."""
    able = {name: ScriptedLLM(model=name, arguments={"title": "Rain"}) for name in ("one", "two")}
    return RoutedLLM(llms={"text": ScriptedTextLLM(says=says), **able}, seed=1)


STRUCTURES: dict[str, Callable[[Any], Any]] = {
    "plain": lambda llm: llm.structured_predict(Song, PROMPT, topic="rain"),
    "async": lambda llm: asyncio.run(_awaited(llm.astructured_predict(Song, PROMPT, topic="rain"))),
    "streamed": lambda llm: last(llm.stream_structured_predict(Song, PROMPT, topic="rain")),
    "async streamed": lambda llm: asyncio.run(
        _alast(llm.astream_structured_predict(Song, PROMPT, topic="rain"))
    ),
    "as_structured_llm": lambda llm: llm.as_structured_llm(Song).complete("A song.").raw,
    "as_structured_llm, async": lambda llm: (
        asyncio.run(_awaited(llm.as_structured_llm(Song).achat(user("A song.")))).raw
    ),
}


@pytest.mark.parametrize("way", STRUCTURES)
@pytest.mark.parametrize("arm", ["one", "text"])
def test_structures_are_got_the_arms_own_way(way: str, arm: str) -> None:
    """By a tool, or by reading JSON out of text."""
    llm = structured()
    only = RoutedLLM(llms={arm: llm.llms[arm]})
    given = STRUCTURES[way](only)

    assert "Rain" == given.title
    assert 1 == only.stats()["decisions"]


@pytest.mark.parametrize("way", ["plain", "async"])
def test_an_answer_that_does_not_parse_is_a_failure_and_another_takes_over(way: str) -> None:
    """A random local model says anything; who parsed is told as feedback."""
    llms = structured(says="no JSON at all").llms
    llm = RoutedLLM(llms=llms, policy=Fixed(arm="text"))

    assert "Rain" == STRUCTURES[way](llm).title
    assert 1 == llm.stats()["fallbacks"]
    latest = llm.router.last_decision
    assert latest is not None
    assert {"parse": 1.0} == llm.explain(latest.id).source_to_score


def test_a_program_works_and_a_pin_goes_through_its_settings() -> None:
    """`FunctionCallingProgram`, and ``llm_kwargs={"model": ...}``."""
    llm = structured()
    program = FunctionCallingProgram.from_defaults(
        output_cls=Song, prompt_template_str="A song about {topic}.", llm=llm
    )

    assert Song(title="Rain") == program(topic="rain")
    llm.structured_predict(Song, PROMPT, llm_kwargs={"model": "two"}, topic="rain")
    assert llm.llms["two"].calls


class Says(CustomQueryEngine):
    """A query engine that says its name."""

    name: str

    def custom_query(self, query_str: str) -> str:
        return self.name


@pytest.mark.parametrize("selector", ["llm", "pydantic"])
def test_it_selects_query_engines(selector: str) -> None:
    """By text, and by a tool's arguments."""
    choice = {"index": 2, "reason": "it fits"}
    arm = ScriptedLLM(
        says='[{"choice": 2, "reason": "it fits"}]',
        arguments=choice if selector == "pydantic" else {},
    )
    llm = RoutedLLM(llms={"only": arm})
    kind: Any = LLMSingleSelector if selector == "llm" else PydanticSingleSelector
    engine = RouterQueryEngine(
        selector=kind.from_defaults(llm=llm),
        query_engine_tools=[
            QueryEngineTool.from_defaults(Says(name=name), name=name, description=name)
            for name in ("first", "second")
        ],
        llm=llm,
    )

    assert "second" == str(engine.query("Which?"))


def test_prompts_of_the_router_and_of_its_arms() -> None:
    """The router's own system prompt and parser are applied to all; else each arm's own are."""
    arm = ScriptedLLM(says='{"title": "Rain"}', system_prompt="I am the arm.")
    bare = RoutedLLM(llms={"only": arm})
    bare.predict(PROMPT, topic="rain")
    own = RoutedLLM(
        llms={"only": arm},
        system_prompt="I am the router.",
        output_parser=PydanticOutputParser(Song),
    )
    parsed = own.predict(PROMPT, topic="rain")
    first, second = arm.seen

    assert "I am the arm." == first.messages[0].content
    assert "I am the router." == (second.messages[0].content or "")[:16]
    assert 2 == len(second.messages)
    assert "Rain" in parsed
    assert "Here's a JSON schema" in (second.messages[1].content or "")


def test_preparing_tools_without_an_arm_is_refused() -> None:
    """With what to call in place of it."""
    with pytest.raises(ValueError, match="call chat_with_tools"):
        mixed()._prepare_chat_with_tools([TOOL])
    with pytest.raises(ValueError, match="calls tools"):
        RoutedLLM(llms={"text": ScriptedTextLLM()}).get_tool_calls_from_response(
            ChatResponse(message=ChatMessage(content="x"))
        )

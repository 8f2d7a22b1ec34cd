"""Real, very small Llamas in this process: through our own adapter, and through LlamaIndex's."""

import asyncio
import copy
import threading
from functools import partial
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, ToolCallBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.huggingface import HuggingFaceLLM
from pydantic import BaseModel

from llamaindex_pickllm import LocalLLM, RoutedLLM
from llamaindex_pickllm.local_turns import request_of
from llamaindex_pickllm.stamp import stamp_on
from pickllm import Arm, ConfigError, Fixed, NoEligibleArm
from pickllm.errors import ArmTimeout
from pickllm.local import LocalModel
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import ANSWERS, STREAMS, WAYS, answer
from tests.tiny import ANSWER, QUESTION, before_tokens, generating, rambling, soon, tiny_folder
from tests.tiny_tools import tool_folder

pytestmark = pytest.mark.xdist_group("local models")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOL = FunctionTool.from_defaults(add)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The model, loaded once."""
    return LocalModel.load(tiny_folder(tmp_path_factory))


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> LocalLLM:
    """A model that calls a tool."""
    return LocalLLM(model=LocalModel.load(tool_folder(tmp_path_factory)))


@pytest.fixture
def llm(local: LocalModel) -> LocalLLM:
    """The model as an LLM."""
    return LocalLLM(model=local)


@pytest.fixture(scope="module")
def hugging(local: LocalModel) -> HuggingFaceLLM:
    """The same model as users of LlamaIndex wrap it."""
    return HuggingFaceLLM(
        model=local.pipeline.model,
        tokenizer=local.pipeline.tokenizer,
        context_window=64,
        max_new_tokens=8,
    )


def _waited(signal: threading.Event) -> None:
    assert signal.wait(10)


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_it_answers_whichever_way_it_is_asked(way: str, routed: bool, llm: LocalLLM) -> None:
    """Alone and as an arm."""
    asked = RoutedLLM(llms={"local": llm}) if routed else llm

    assert ANSWER == answer(WAYS[way](asked, QUESTION))


@pytest.mark.parametrize("way", ANSWERS)
def test_usage_is_counted_by_its_own_tokenizer(way: str, llm: LocalLLM) -> None:
    """In every way, streams among them."""
    routed = RoutedLLM(llms={"local": llm})
    (attempt,) = routed.explain(ANSWERS[way](routed, QUESTION)).attempts
    expected = llm.model.count_tokens([{"role": "user", "content": QUESTION}])

    assert attempt.usage is not None
    assert (expected, False) == (attempt.usage.tokens_in, attempt.usage.estimated)


def test_it_says_what_it_can(llm: LocalLLM, caller: LocalLLM) -> None:
    """Window and tools as the model has them."""
    assert llm.model.window == llm.metadata.context_window
    assert (False, True) == (
        llm.metadata.is_function_calling_model,
        caller.metadata.is_function_calling_model,
    )
    assert "pipeline" not in repr(llm)


def test_settings_of_a_call_are_heeded(llm: LocalLLM) -> None:
    """Those of the constructor, too; a wrong one is told."""
    assert ANSWER[:1] == answer(llm.chat(user(QUESTION), max_tokens=1)).strip()
    assert answer(llm.chat(user(QUESTION), stop=[ANSWER[1]])) == ANSWER[:1]
    short = LocalLLM(model=llm.model, max_tokens=1, temperature=0)
    assert ANSWER[:1] == answer(short.complete(QUESTION)).strip()
    with pytest.raises(ConfigError, match="max_tokens is 0"):
        llm.complete(QUESTION, max_tokens=0)
    with pytest.raises(ConfigError, match="temperature is -1"):
        llm.complete(QUESTION, temperature=-1)
    with pytest.raises(ConfigError, match="LocalLLM knows no"):
        LocalLLM.load("nowhere", chat={"top_p": 1})


def test_a_copy_shares_the_weights(llm: LocalLLM) -> None:
    """They may be many gigabytes."""
    assert copy.deepcopy(llm).model.pipeline is llm.model.pipeline


def test_what_it_cannot_read_is_refused(llm: LocalLLM) -> None:
    """No image is dropped silently, and nothing is not asked."""
    picture = ChatMessage(role="user", blocks=[ImageBlock(url="http://localhost/a.png")])
    with pytest.raises(ConfigError, match="reads text only"):
        llm.chat([picture])
    with pytest.raises(NoEligibleArm, match="cannot do images"):
        RoutedLLM(llms={"local": llm}).chat([picture])
    with pytest.raises(ConfigError, match="no messages"):
        llm.chat([])
    with pytest.raises(ConfigError, match="of role 'tool'"):
        llm.chat([ChatMessage(role=MessageRole.TOOL, content="5")])


async def test_a_call_that_is_cancelled_stops_the_model(llm: LocalLLM) -> None:
    """At its next token."""
    started = threading.Event()
    routed = RoutedLLM(llms={"local": llm})
    tokens: list[None] = []

    def run() -> None:
        tokens.append(None)
        started.set()

    with before_tokens(llm.model, run):
        settings = rambling(llm.model, 5_000)
        task = asyncio.create_task(routed.achat(user("abc"), **{**settings, "max_new_tokens": 50}))
        assert await asyncio.to_thread(started.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert 1 == routed.stats()["outcome_cancelled"]


def test_leaving_a_stream_stops_the_model(llm: LocalLLM) -> None:
    """At its next token, not at the end of its answer."""
    frames = RoutedLLM(llms={"local": llm}).stream_chat(user("abc"), **rambling(llm.model))
    next(frames)
    frames.close()

    assert soon(lambda: not generating())


def test_a_hang_ends_in_a_timeout(llm: LocalLLM) -> None:
    """Whole and streamed; or another arm answers."""
    go_on = threading.Event()
    with before_tokens(llm.model, partial(_waited, go_on)):
        routed = RoutedLLM(llms={"local": llm}, timeout_s=0.1)
        for way in ("chat", "stream_chat", "achat", "astream_chat"):
            with pytest.raises(ArmTimeout):
                ANSWERS[way](routed, QUESTION)
        pair = RoutedLLM(
            llms={"local": llm, "other": ScriptedLLM(says="fine")},
            policy=Fixed(arm="local"),
            arms={"local": Arm(timeout_s=0.1)},
        )
        assert "fine" == answer(pair.chat(user(QUESTION)))
        go_on.set()
    assert soon(lambda: not generating())


async def test_the_loop_stays_free(llm: LocalLLM, hugging: HuggingFaceLLM) -> None:
    """With our adapter, and with LlamaIndex's, which blocks it."""
    for arm in (llm, hugging):
        routed = RoutedLLM(llms={"local": arm})
        ticked = threading.Event()
        with before_tokens(llm.model, partial(_waited, ticked)):
            task = asyncio.create_task(routed.achat(user(QUESTION)))
            await asyncio.sleep(0.01)
            ticked.set()  # from the loop: the model waits for it
            assert answer(await task)


# Tools


def test_a_local_model_calls_tools(caller: LocalLLM) -> None:
    """And reads what they return."""
    routed = RoutedLLM(llms={"local": caller})
    response = routed.chat_with_tools([TOOL], user_msg="1+2")
    (call,) = routed.get_tool_calls_from_response(response)

    assert ("add", {"a": 1, "b": 2}) == (call.tool_name, call.tool_kwargs)
    with pytest.raises(ValueError, match="called no tool"):
        caller.get_tool_calls_from_response(caller.chat(user("1+2")))


async def test_an_agent_runs_on_a_local_model(caller: LocalLLM) -> None:
    """The whole loop, in a pool."""
    routed = RoutedLLM(llms={"local": caller})
    output = await FunctionAgent(tools=[TOOL], llm=routed).run("1+2")

    assert "The sum is 3" == str(output)
    assert 2 == routed.stats()["decisions"]


class Sum(BaseModel):
    """Add two numbers."""

    a: int
    b: int


def test_turns_are_those_of_chat_templates() -> None:
    """Calls and results among them, with ids that every template takes."""
    call = ToolCallBlock(tool_call_id="call_123456", tool_name="add", tool_kwargs='{"a": 1}')
    messages = [
        ChatMessage(role=MessageRole.DEVELOPER, content="Be brief."),
        ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]),
        ChatMessage(
            role=MessageRole.TOOL, content="1", additional_kwargs={"tool_call_id": "call_123456"}
        ),
    ]
    system, called, result = request_of(messages, {}, knows_tools=True).turns

    assert {"role": "system", "content": "Be brief."} == system
    assert {"name": "add", "arguments": {"a": 1}} == called["tool_calls"][0]["function"]
    assert ("add", called["tool_calls"][0]["id"]) == (result["name"], result["tool_call_id"])
    assert 9 == len(result["tool_call_id"])
    assert Sum(a=1, b=2).a == 1


# LlamaIndex's own adapter


@pytest.mark.parametrize("way", WAYS)
def test_the_frameworks_own_adapter_is_an_arm(way: str, hugging: HuggingFaceLLM) -> None:
    """Whatever it says, it says through the router."""
    routed = RoutedLLM(llms={"hugging": hugging})
    given = WAYS[way](routed, QUESTION)

    assert isinstance(answer(given), str)
    assert 1 == routed.stats()["outcome_ok"]


@pytest.mark.parametrize("way", STREAMS)
def test_a_model_that_fails_in_its_thread_ends_in_a_timeout(
    way: str, hugging: HuggingFaceLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams would wait forever."""
    streamers: list[Any] = []

    def broken(*, streamer: Any, **_: Any) -> None:
        """Ends at once, as a thread that failed: nothing will ever come."""
        streamers.append(streamer)

    monkeypatch.setattr(hugging._model, "generate", broken)
    llms = {"hugging": hugging, "other": ScriptedLLM(says="fine")}
    routed = RoutedLLM(llms=llms, policy=Fixed(arm="hugging"), arms={"hugging": Arm(timeout_s=0.3)})
    given = ANSWERS[way](routed, QUESTION)
    for streamer in streamers:
        streamer.end()  # else a thread of this test would wait for it until the process ends

    assert "fine" == answer(given)
    assert "hugging" == stamp_on(given)["took_over_from"]

"""Real OpenAI clients against a real server in this process."""

import asyncio
import threading
from typing import Any

import httpx
import openai
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from llamaindex_pickllm import RoutedLLM
from pickllm import Arm, Fixed
from tests.llamaindex.scripted import user
from tests.llamaindex.ways import ANSWERS, WAYS, answer
from tests.serving import Served, Server

# A client that nobody closes keeps a connection to the server until it is collected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def like(server: Server, model: str, **settings: Any) -> OpenAILike:
    """A client that knows the server by its address."""
    given = {"is_chat_model": True, "is_function_calling_model": True, "max_retries": 0}
    return OpenAILike(
        model=model,
        api_base=server.url,
        api_key=f"key-of-{model}",
        context_window=10_000,
        **{**given, **settings},
    )


@pytest.mark.parametrize("way", WAYS)
def test_every_way_over_http(way: str, server: Server) -> None:
    """Text as the server says it, one request, the arm's own key."""
    server.models["m"] = Served(says="Hello there friend")
    llm = RoutedLLM(llms={"m": like(server, "m")})

    assert "Hello there friend" == answer(WAYS[way](llm, "Hi"))
    assert 1 == server.asked("m")
    assert ["Bearer key-of-m"] == server.keys
    assert "pickllm" not in str(server.requests)


@pytest.mark.parametrize("way", WAYS)
def test_an_overloaded_server_is_passed_over(way: str, server: Server) -> None:
    """Before the first frame, with every way."""
    server.models.update(bad=Served(status=503), good=Served(says="fine"))
    llms = {name: like(server, name) for name in ("bad", "good")}
    llm = RoutedLLM(llms=llms, policy=Fixed(arm="bad"))

    assert "fine" == answer(WAYS[way](llm, "Hi"))
    assert [1, 1] == [server.asked(name) for name in llms]


@pytest.mark.parametrize("way", ["chat", "astream_chat"])
def test_errors_keep_their_type(way: str, server: Server) -> None:
    """As the client raises them."""
    server.models["bad"] = Served(status=429)
    llm = RoutedLLM(llms={"bad": like(server, "bad")})

    with pytest.raises(openai.RateLimitError):
        ANSWERS[way](llm, "Hi")


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat"])
def test_a_connection_that_breaks_in_sight_is_an_error(way: str, server: Server) -> None:
    """And no other answer is spliced on."""
    server.models.update(bad=Served(cut_after=2), good=Served())
    llms = {name: like(server, name) for name in ("bad", "good")}
    llm = RoutedLLM(llms=llms, policy=Fixed(arm="bad"))

    with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
        ANSWERS[way](llm, "Hi")
    assert 0 == server.asked("good")
    assert 1 == llm.stats()["outcome_error"]


def test_what_it_cost_is_what_the_server_said(server: Server) -> None:
    """Cached tokens among them."""
    server.models["m"] = Served(says="one two three")
    prices = {"m": Arm(usd_per_mtok_in=1e6, usd_per_mtok_out=1e6)}
    llm = RoutedLLM(llms={"m": like(server, "m")}, arms=prices)
    for ask in (ANSWERS["chat"], ANSWERS["achat"]):
        (attempt,) = llm.explain(ask(llm, "Hi")).attempts
        assert attempt.usage is not None
        counted = (attempt.usage.tokens_in, attempt.usage.tokens_out, attempt.usage.estimated)
        assert (7, 3, False) == counted
        assert 2 == attempt.usage.tokens_in_cached
    streamed = like(server, "m", additional_kwargs={"stream_options": {"include_usage": True}})
    last = ANSWERS["stream_chat"](RoutedLLM(llms={"m": streamed}, router=llm.router), "Hi")
    (attempt,) = llm.explain(last).attempts
    assert attempt.usage is not None
    assert not attempt.usage.estimated


async def test_an_agent_over_http_stays_with_its_arm(server: Server) -> None:
    """Each turn of the loop, though the policy draws at random."""
    names = ("one", "two", "three")
    server.models.update({name: Served(says=f"5, says {name}", calls=True) for name in names})
    llms = {name: like(server, name) for name in names}
    llm = RoutedLLM(llms=llms, policy="random", seed=2)

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    tool = FunctionTool.from_defaults(add)
    for _ in range(5):
        before = len(server.requests)
        output = await FunctionAgent(tools=[tool], llm=llm).run("2 + 3?")
        (arm,) = {request["model"] for request in server.requests[before:]}
        assert f"5, says {arm}" == str(output)
        assert 2 == len(server.requests) - before


class Sum(BaseModel):
    """What is asked for."""

    a: int
    b: int


def test_structured_output_is_the_arms_own(server: Server) -> None:
    """OpenAI's class makes the model call the tool that stands for the structure."""
    server.models["m"] = Served(calls=True)
    llm = RoutedLLM(llms={"m": like(server, "m")})
    given = llm.structured_predict(Sum, PromptTemplate("A sum with {number}."), number=2)

    assert Sum(a=2, b=3) == given
    assert "required" == server.requests[0]["tool_choice"]


async def test_a_stream_that_is_left_is_abandoned(server: Server) -> None:
    """At once, though the server has more to say."""
    server.models["m"] = Served(says="a b c d", waits_for=threading.Event())
    llm = RoutedLLM(llms={"m": like(server, "m")})
    frames = await llm.astream_chat(user("Hi"))
    await anext(frames)
    await frames.aclose()

    assert 1 == llm.stats()["outcome_abandoned"]


async def test_a_server_that_hangs_is_timed_out(server: Server) -> None:
    """And another one answers."""
    never = threading.Event()
    server.models.update(hangs=Served(waits_for=never), good=Served(says="fine"))
    llms = {name: like(server, name) for name in ("hangs", "good")}
    llm = RoutedLLM(llms=llms, policy=Fixed(arm="hangs"), arms={"hangs": Arm(timeout_s=0.2)})

    assert "fine" == answer(await llm.achat(user("Hi")))
    assert "fine" == answer(await asyncio.to_thread(llm.chat, user("Hi")))
    never.set()

"""Under async nothing stops the loop: no file, no socket, no lock, no sleep of ours."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError, blockbuster_ctx
from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.output_parsers import StrOutputParser
from pydantic import BaseModel

from langchain_pickllm import RewardCallbackHandler, RoutedChatModel
from pickllm.policies import q_learning
from tests.langchain.scripted import ScriptedChatModel, get_weather

NO_ROUTE = ConnectionError("no route")


class Answer(BaseModel):
    """The answer."""

    place: str


class SlowEmbeddings(Embeddings):
    """Waits a little, as a network does."""

    def embed_query(self, text: str) -> list[float]:
        time.sleep(0.001)
        return [float(len(text)), 1.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def slow_score(prompt: str, answer: str) -> float:
    """Waits a little as well."""
    time.sleep(0.001)
    return float(answer == "large" and bool(prompt))


@pytest.fixture
def model(tmp_path: Path) -> RoutedChatModel:
    """All that may block is attached: embeddings, a scorer and a database."""
    return RoutedChatModel(
        models={name: ScriptedChatModel(says=name) for name in ("small", "large")},
        policy=q_learning(),
        weights={"quality": 1.0},
        featurizer=SlowEmbeddings(),
        scorer=slow_score,
        store=f"sqlite:///{tmp_path / 'routes.db'}",
        seed=1,
    )


@pytest.fixture
def guarded(model: RoutedChatModel) -> Iterator[None]:
    """What stops the loop is an error from now on; the pool has been opened before."""
    assert model.models
    with blockbuster_ctx():
        yield


async def _ainvoke(model: RoutedChatModel) -> Any:
    return await model.ainvoke("Hello")


async def _astream(model: RoutedChatModel) -> Any:
    return [chunk async for chunk in model.astream("Hello")]


async def _abatch(model: RoutedChatModel) -> Any:
    return await model.abatch(["one", "two", "three"])


async def _agenerate(model: RoutedChatModel) -> Any:
    return await model.agenerate([[HumanMessage("one")], [HumanMessage("two")]])


async def _events_v2(model: RoutedChatModel) -> Any:
    return [event async for event in model.astream_events("Hello", version="v2")]


async def _events_v3(model: RoutedChatModel) -> Any:
    return await (await model.astream_events("Hello", version="v3")).output


async def _structured(model: RoutedChatModel) -> Any:
    return await model.with_structured_output(Answer).ainvoke("Where?")


async def _agent(model: RoutedChatModel) -> Any:
    agent: Any = create_agent(model=model, tools=[get_weather])
    return await agent.ainvoke({"messages": [("human", "Get the weather, please")]})


async def _scored_chain(model: RoutedChatModel) -> Any:
    handler = RewardCallbackHandler(model, score=lambda _: 1.0)
    return await (model | StrOutputParser()).ainvoke("Hello", {"callbacks": [handler]})


async def _feedback(model: RoutedChatModel) -> Any:
    answer = await model.ainvoke("Hello")
    return model.feedback(answer, 1.0), model.feedback(answer, 0.0, correction=True)


async def _failed_tool(model: RoutedChatModel) -> Any:
    first = await model.ainvoke("Hello")
    call = tool_call(name="get_weather", args={}, id="1")
    called = first.model_copy(update={"tool_calls": [call]})
    return await model.ainvoke(
        [HumanMessage("1"), called, ToolMessage("no", tool_call_id="1", status="error")]
    )


async def _fallback(model: RoutedChatModel) -> Any:
    for name in ("small", "large"):
        model.models[name].error, model.models[name].heals_after = NO_ROUTE, 1
        await model.ainvoke("Hello", model=["small", "large"])
    return True


async def _left(model: RoutedChatModel) -> Any:
    async for chunk in model.astream("Hello"):
        if chunk.text:
            break
    return True


DOINGS: Mapping[str, Callable[[RoutedChatModel], Awaitable[Any]]] = {
    "ainvoke": _ainvoke,
    "astream": _astream,
    "abatch": _abatch,
    "agenerate": _agenerate,
    "events_v2": _events_v2,
    "events_v3": _events_v3,
    "structured": _structured,
    "agent": _agent,
    "scored chain": _scored_chain,
    "feedback": _feedback,
    "failed tool": _failed_tool,
    "fallback": _fallback,
    "left": _left,
}


async def test_the_guard_sees_what_blocks(tmp_path: Path) -> None:
    """It knows databases and sleeping, the two that are attached below."""
    connection = sqlite3.connect(tmp_path / "file.db")
    with blockbuster_ctx():
        with pytest.raises(BlockingError):
            connection.execute("SELECT 1")
        with pytest.raises(BlockingError):
            slow_score("", "")
    connection.close()


@pytest.mark.parametrize("doing", DOINGS)
@pytest.mark.usefixtures("guarded")
async def test_nothing_stops_the_loop(doing: str, model: RoutedChatModel) -> None:
    """Embeddings, scorer and store included; and all of them have done their work."""
    assert await DOINGS[doing](model)

    stats = model.stats()
    assert (0, 0, 0) == tuple(
        stats.get(f"{what}_failures", 0) for what in ("featurizer", "scorer", "store")
    )


@pytest.mark.parametrize("doing", ["ainvoke", "astream", "abatch", "agent"])
async def test_what_was_learnt_is_kept_when_the_answer_is_there(
    doing: str, model: RoutedChatModel, tmp_path: Path
) -> None:
    """Though the disk is waited for in a thread, the answer comes after it."""
    await DOINGS[doing](model)

    assert model.router.state == _stored(tmp_path).router.state


@pytest.mark.parametrize("doing", ["feedback", "structured", "scored chain", "failed tool"])
def test_feedback_given_on_a_loop_is_kept_when_the_loop_ends(
    doing: str, model: RoutedChatModel, tmp_path: Path
) -> None:
    """Whoever gives it there does not wait for the disk; whoever runs the loop does."""

    async def do() -> None:
        await DOINGS[doing](model)

    asyncio.run(do())

    assert model.router.state == _stored(tmp_path).router.state


def test_feedback_given_without_a_loop_is_kept_at_once(
    model: RoutedChatModel, tmp_path: Path
) -> None:
    """There is nobody to be held up but its giver."""
    model.feedback(model.invoke("Hello"), 1.0)

    assert model.router.state == _stored(tmp_path).router.state


def _stored(folder: Path) -> RoutedChatModel:
    """A model after a restart."""
    return RoutedChatModel(
        models={name: ScriptedChatModel() for name in ("small", "large")},
        policy=q_learning(),
        store=f"sqlite:///{folder / 'routes.db'}",
    )

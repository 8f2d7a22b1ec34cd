"""A hard cap under LlamaIndex's own ways to ask, and to leave."""

import asyncio
import threading
from typing import Any

import pytest

from llamaindex_pickllm import RoutedLLM
from pickllm import Arm, Budget, BudgetExceeded, ConfigError
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import until

ARM = Arm(usd_per_mtok_in=0.0, usd_per_mtok_out=1_000.0, max_tokens_out=10)
"""A call may cost a cent."""


def capped(usd: float = 0.1, **settings: Any) -> RoutedLLM:
    """One arm under a cap."""
    return RoutedLLM(
        llms={"only": ScriptedLLM(**settings)},
        arms={"only": ARM},
        budget=Budget(usd=usd, window_s=1e9),
    )


def left(llm: RoutedLLM) -> float:
    """What is left, in cents."""
    usd = llm.router.budget_left_usd()
    assert usd is not None
    return round(usd * 100, 6)


def test_an_answer_is_settled_on_what_it_cost() -> None:
    """And the next is refused where it might cost too much."""
    llm = capped(0.01)
    llm.chat(user("Hello"))
    assert 0.0 <= left(llm) < 1.0
    with pytest.raises(BudgetExceeded, match="no arm fits into what is left of the budget"):
        llm.chat(user("Hello"))


def test_a_stream_that_is_left_gives_back_what_it_did_not_use() -> None:
    """A cent is set aside while it runs, and what it had said is booked when it is closed."""
    llm = capped()
    frames = llm.stream_chat(user("Hello"))
    next(frames)
    assert 9.0 == left(llm)
    frames.close()

    assert 9.0 <= left(llm) < 10.0
    assert not llm.router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


async def test_an_async_stream_that_is_cancelled_midway_is_settled() -> None:
    """The task is cancelled while the arm waits."""
    arm = ScriptedLLM(waits_for=threading.Event())
    llm = RoutedLLM(llms={"only": arm}, arms={"only": ARM}, budget=Budget(usd=0.1, window_s=1e9))
    task = asyncio.create_task(llm.astream_chat(user("Hello")))
    await until(lambda: bool(arm.counts["opened"]))
    assert 9.0 == left(llm)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert 9.0 <= left(llm) < 10.0
    assert not llm.router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


def test_a_router_brings_its_own_budget() -> None:
    """Another beside it would have no effect."""
    llm = capped()
    with pytest.raises(ConfigError, match="a router brings its own budget"):
        RoutedLLM(llms=llm.llms, router=llm.router, budget=Budget(usd=1.0))


@pytest.mark.parametrize("limit", [None, 300])
def test_longest_answer_is_the_one_that_the_llm_is_set_to(limit: int | None) -> None:
    """Set aside is what the arm may answer at most; where nobody set it, the budget says."""

    class Limited(ScriptedLLM):
        max_tokens: int | None = limit

    routed = RoutedLLM(llms={"only": Limited(), "told": Limited()}, arms={"told": ARM})
    pool = routed.router.pool
    assert (limit, 10) == (pool["only"].max_tokens_out, pool["told"].max_tokens_out)

"""A hard cap under LangChain's own ways to ask, and to leave."""

import asyncio
import threading
from typing import Any, cast

import pytest

from langchain_pickllm import RoutedChatModel
from pickllm import Arm, Budget, BudgetExceeded, ConfigError
from tests.langchain.scripted import ScriptedChatModel

ARM = Arm(usd_per_mtok_in=0.0, usd_per_mtok_out=1_000.0, max_tokens_out=10)
"""A call may cost a cent."""


def capped(usd: float = 0.1, **settings: Any) -> RoutedChatModel:
    """One arm under a cap."""
    return RoutedChatModel(
        models={"only": ScriptedChatModel(**settings)},
        arms={"only": ARM},
        budget=Budget(usd=usd, window_s=1e9),
    )


def left(model: RoutedChatModel) -> float:
    """What is left, in cents."""
    usd = model.router.budget_left_usd()
    assert usd is not None
    return round(usd * 100, 6)


def test_an_answer_is_settled_on_what_it_cost() -> None:
    """And the next is refused where it might cost too much."""
    model = capped(0.01)
    model.invoke("Hello")
    assert 0.0 <= left(model) < 1.0
    with pytest.raises(BudgetExceeded, match="no arm fits into what is left of the budget"):
        model.invoke("Hello")


def test_a_stream_that_is_left_gives_back_what_it_did_not_use() -> None:
    """A cent is set aside while it runs, and what it had said is booked when it is closed."""
    model = capped()
    chunks = model.stream("Hello")
    next(iter(chunks))
    assert 9.0 == left(model)
    cast("Any", chunks).close()

    assert 9.0 <= left(model) < 10.0
    assert not model.router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


async def test_an_async_stream_that_is_cancelled_midway_is_settled() -> None:
    """The task is cancelled while the arm waits."""
    model = capped(waits_for=threading.Event())
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in model.astream("Hello"):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    assert 9.0 == left(model)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert 9.0 <= left(model) < 10.0
    assert not model.router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


def test_a_router_brings_its_own_budget() -> None:
    """Another beside it would have no effect."""
    model = capped()
    with pytest.raises(ConfigError, match="a router brings its own budget"):
        RoutedChatModel(models=model.models, router=model.router, budget=Budget(usd=1.0))


def test_tenants_have_a_budget_each() -> None:
    """Said with the call, or in the metadata of the chain; and it does not reach the arm."""
    model = capped(0.01)
    model.invoke("Hello", tenant="ada")
    with pytest.raises(BudgetExceeded, match="ada"):
        model.invoke("Hello", {"metadata": {"tenant": "ada"}})
    model.invoke("Hello", {"metadata": {"tenant": "bob"}})
    model.invoke("Hello")

    assert ["ada", "bob", ""] == [record.decision.tenant for record in model.router.ledger]
    arm: Any = model.models["only"]
    assert all("tenant" not in asked.kwargs for asked in arm.seen)

"""Laws of budgets: whatever the order, no cap is exceeded, and nothing set aside is lost."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pickllm import Arm, Budget, BudgetExceeded, Decision, Outcome, Request, Router
from pickllm.stores import MemoryStore
from pickllm.types import Attempt, Status
from tests.unit.doubles import FakeClock

CAP, WINDOW_S = 100, 10.0
ARMS = [Arm(name="a", reserve_usd=7.0), Arm(name="b", reserve_usd=30.0)]
MOST = {"a": 7, "b": 30}
STATUSES: tuple[Status, ...] = ("ok", "error", "cancelled", "abandoned")
shares = st.one_of(st.none(), st.integers(min_value=0, max_value=7))
steps = st.lists(
    st.tuples(
        st.sampled_from(("decide", "decide", "decide", "end", "end", "drop", "wait")),
        st.integers(min_value=0, max_value=2),
        st.integers(min_value=0, max_value=20),
        shares,
        st.sampled_from(STATUSES),
    ),
    max_size=50,
)


def workers(store: MemoryStore | None, clock: FakeClock, count: int) -> list[Router]:
    """Routers under one cap."""
    return [
        Router(
            arms=ARMS, policy="random", weights={"quality": 1.0}, store=store, seed=number,
            budget=Budget(usd=float(CAP), window_s=WINDOW_S), clock=clock,
        )
        for number in range(count)
    ]  # fmt: skip


def walk(routers: list[Router], clock: FakeClock, moves: list[Any]) -> None:
    """Follow the moves, with books of our own beside; then settle what is open."""
    spent: dict[int, int] = {}
    waiting: list[tuple[Router, Decision, int]] = []
    for kind, worker, number, share, status in moves:
        window = int(clock() // WINDOW_S)
        if kind == "wait":
            clock.now_s += 4.0
        elif kind == "decide":
            router = routers[worker % len(routers)]
            try:
                decision = router.decide(Request(text=""))
            except BudgetExceeded:
                assert CAP < spent.get(window, 0) + min(MOST.values())
                continue
            spent[window] = spent.get(window, 0) + MOST[decision.arm]
            assert CAP >= spent[window]
            waiting.append((router, decision, window))
        elif waiting:
            router, decision, began = waiting.pop(number % len(waiting))
            cost = 0 if kind == "drop" else share
            attempt = Attempt(arm=decision.arm, status=status, latency_s=1.0, cost_usd=cost)
            attempts = () if kind == "drop" else (attempt,)
            router.settle(Outcome(decision_id=decision.id, attempts=attempts))
            spent[began] -= 0 if cost is None else MOST[decision.arm] - cost
    for router, decision, began in waiting:
        router.settle(Outcome(decision_id=decision.id, attempts=()))
        spent[began] -= MOST[decision.arm]
    for router in routers:
        assert CAP - spent.get(int(clock() // WINDOW_S), 0) == router.budget_left_usd()


@given(moves=steps)
def test_no_order_exceeds_a_cap_or_loses_money(moves: list[Any]) -> None:
    """To the last unit: what is left is the cap less what was spent."""
    clock = FakeClock()
    walk(workers(None, clock, 1), clock, moves)


@given(moves=steps)
def test_nor_do_workers_of_one_store(moves: list[Any]) -> None:
    """Three are held to one cap, and all see the same left."""
    clock = FakeClock()
    walk(workers(MemoryStore(), clock, 3), clock, moves)

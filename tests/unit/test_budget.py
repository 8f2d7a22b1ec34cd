"""A cap that holds: set aside before the call, settled on what it cost, and never leaked."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pickllm import (
    Arm,
    ArmError,
    Budget,
    BudgetExceeded,
    ConfigError,
    Fixed,
    NoEligibleArm,
    Outcome,
    Request,
    Router,
    Usage,
    drive,
)
from pickllm.budget import in_usd, most
from pickllm.errors import Interrupted
from pickllm.protocols import Entry
from pickllm.steps import Call, Work
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Decision, Hold
from tests.unit.doubles import DRIVERS, Driver, FakeClock, mistyped

CHEAP = Arm(name="cheap", usd_per_mtok_in=0.0, usd_per_mtok_out=1.0, max_tokens_out=1_000)
DEAR = Arm(name="dear", usd_per_mtok_in=0.0, usd_per_mtok_out=10.0, max_tokens_out=1_000)
"""A call may cost $0.001 and $0.01."""
USED = Usage(tokens_in=10, tokens_out=100)


def make_router(*arms: Arm, usd: float = 0.02, **settings: Any) -> Router:
    """A router with a budget, on a clock that stands."""
    defaults: dict[str, Any] = {
        "budget": Budget(usd=usd, window_s=3_600.0),
        "clock": FakeClock(),
        "policy": "random",
        "weights": {"quality": 1.0},
        "seed": 1,
    }
    return Router(arms=arms or (CHEAP, DEAR), **{**defaults, **settings})


def end(router: Router, decision: Decision, cost_usd: float | None = 0.0005) -> None:
    """The arm chosen has answered, at this cost."""
    attempt = Attempt(arm=decision.arm, status="ok", latency_s=1.0, cost_usd=cost_usd)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))


def left(router: Router, tenant: str = "") -> float:
    """What is left, in thousandths of a dollar."""
    usd = router.budget_left_usd(tenant)
    assert usd is not None
    return round(usd * 1_000, 6)


@pytest.mark.parametrize(
    ("arm", "request_", "usd"),
    [
        (CHEAP, Request(text=""), 0.001),
        (Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=0.0), Request(text="", tokens=500), 0.001),
        (Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=0.0), Request(text="é" * 50), 0.0001),
        (Arm(usd_per_mtok_in=0.0, usd_per_mtok_out=1.0), Request(text=""), 0.0005),
        (Arm(usd_per_hour=36.0, timeout_s=2.0), Request(text=""), 0.02),
        (Arm(usd_per_hour=36.0), Request(text=""), 0.6),
        (Arm(reserve_usd=0.3, usd_per_hour=36.0), Request(text=""), 0.3),
        (Arm(reserve_usd=0.3), Request(text=""), 0.3),
        (Arm(), Request(text=""), None),
        (
            Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=1.0, context_tokens=100),
            Request(text="", tokens=90),
            0.0002,
        ),
    ],
)
def test_the_most_that_a_call_can_cost(arm: Arm, request_: Request, usd: float | None) -> None:
    """Tokens, seconds, or what is stated."""
    amount = most(arm, request_, Budget(usd=1.0, max_tokens_out=500))
    assert usd == (None if amount is None else in_usd(amount))


def test_the_price_table_is_asked_for_the_whole_call() -> None:
    """A model that the table knows has a bound, and a longer prompt a higher one."""
    arm = Arm(provider="openai", model="gpt-4o-mini")
    short, long = (most(arm, Request(text="", tokens=n), Budget(usd=1.0)) for n in (10, 10_000))
    assert short is not None
    assert long is not None
    assert 0 < short < long


def test_what_is_set_aside_is_settled_on_what_it_cost() -> None:
    """All of it until the end, and then no more than the cost."""
    router = make_router(CHEAP)
    decision = router.decide(Request(text=""))
    assert 19.0 == left(router)
    end(router, decision, 0.0004)
    assert 19.6 == left(router)


@pytest.mark.parametrize(("cost_usd", "rest"), [(None, 19.0), (0.0, 20.0), (0.003, 17.0)])
def test_an_unknown_cost_is_all_that_was_set_aside(cost_usd: float | None, rest: float) -> None:
    """What is known counts as it is, also where it is more."""
    router = make_router(CHEAP)
    end(router, router.decide(Request(text="")), cost_usd)
    assert rest == left(router)
    assert int(cost_usd == 0.003) == router.stats().get("budget_overruns", 0)


def test_an_arm_that_fits_no_more_is_not_eligible() -> None:
    """`explain` says why, and the policy is not offered it."""
    router = make_router(usd=0.0105)
    end(router, router.decide(Request(text="", only=("cheap",), tenant="me")), 0.001)

    decision = router.decide(Request(text="", tenant="me"))

    assert ("cheap",) == decision.arms
    told = "budget of tenant 'me' is spent until 1970-01-01T01:00:00+00:00"
    assert told in decision.ineligible["dear"]
    assert told in str(router.explain(decision.id))


def test_when_no_arm_fits_the_error_says_when_one_will() -> None:
    """And then one does."""
    clock = FakeClock(now_s=100.0)
    router = make_router(CHEAP, usd=0.001, clock=clock)
    end(router, router.decide(Request(text="")), 0.001)

    with pytest.raises(BudgetExceeded, match="begins anew at 1970-01-01T01:00:00") as caught:
        router.decide(Request(text=""))
    assert ("", 3_600.0) == (caught.value.tenant, caught.value.until_s)
    assert 1 == router.stats()["budget_exceeded"]

    clock.now_s = caught.value.until_s
    assert "cheap" == router.decide(Request(text="")).arm


def test_a_call_dearer_than_the_whole_budget_is_told_apart() -> None:
    """Waiting would not help."""
    with pytest.raises(BudgetExceeded, match=r"more than the whole budget: lower its max_tokens"):
        make_router(DEAR, usd=0.005).decide(Request(text=""))


def test_a_request_that_nobody_can_answer_is_no_matter_of_money() -> None:
    """That error comes first."""
    with pytest.raises(NoEligibleArm, match="not among the arms"):
        make_router(CHEAP, usd=0.0001).decide(Request(text="", only=("other",)))


@pytest.mark.parametrize(("per", "rest"), [("tenant", 20.0), ("all", 19.0)])
def test_tenants_have_caps_of_their_own_or_share_one(per: Any, rest: float) -> None:
    """As the budget says."""
    router = make_router(CHEAP, budget=Budget(usd=0.02, per=per))
    router.decide(Request(text="", tenant="a"))
    assert 19.0 == left(router, "a")
    assert rest == left(router, "b")


def test_free_arms_are_never_refused() -> None:
    """What costs nothing fits into nothing."""
    free = Arm(name="free", usd_per_mtok_in=0.0, usd_per_mtok_out=0.0)
    router = make_router(CHEAP, free, usd=0.001)
    end(router, router.decide(Request(text="", only=("cheap",))), 0.005)
    assert {"free"} == {router.decide(Request(text="")).arm for _ in range(20)}


def test_an_arm_without_a_price_is_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could cap it; the log says so once, and `explain` for each decision."""
    router = make_router(CHEAP, Arm(name="odd"))
    assert "no price is known for 'odd', so under a budget nobody asks them" in caplog.text
    assert "its price is unknown" in router.decide(Request(text="")).ineligible["odd"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"usd": 0.0}, "a budget's usd must be a number of at least 1e-09"),
        ({"usd": float("nan")}, "a budget's usd"),
        ({"usd": mistyped("5")}, "a budget's usd"),
        ({"usd": 1.0, "window_s": 0.0}, "a budget's window_s"),
        ({"usd": 1.0, "window_s": 1e12}, "window_s must be at most"),
        ({"usd": 1.0, "max_tokens_out": 0}, "a budget's max_tokens_out"),
        ({"usd": 1.0, "slack": 0.5}, "a budget's slack"),
        ({"usd": 1.0, "per": mistyped("user")}, 'a budget is per "tenant" or per "all"'),
    ],
)
def test_a_budget_that_cannot_work_is_refused(settings: dict[str, Any], told: str) -> None:
    """When it is built."""
    with pytest.raises(ConfigError, match=told):
        Budget(**settings)


def test_a_router_refuses_what_is_no_budget_or_cannot_be_kept() -> None:
    """With words for what to do."""
    with pytest.raises(ConfigError, match="budget must be a Budget, or None for none; it is float"):
        make_router(budget=5.0)
    with pytest.raises(ConfigError, match="no arm has a price"):
        make_router(Arm(name="odd"))


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS.keys())
def test_each_driver_settles_an_answer(driver: Driver) -> None:
    """Whole or streamed, sync or async."""
    router = make_router(CHEAP)
    port = ScriptedPort({"cheap": Script(pieces=("a", "b"), usage=USED)})
    driver(router.flow(Request(text="")), port, FakeClock())
    assert 19.9 == left(router)


@pytest.mark.parametrize("store", [None, MemoryStore])
@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS.keys())
def test_an_arm_that_takes_over_sets_aside_anew(
    driver: Driver, store: Callable[[], MemoryStore] | None
) -> None:
    """The failure's cost is unknown and counts in full, the answer's as it is."""
    arms = Arm(name="down", reserve_usd=0.002), CHEAP
    router = make_router(*arms, policy=Fixed(arm="down"), store=store and store())
    port = ScriptedPort({"down": Script(error=ValueError()), "cheap": Script(usage=USED)})
    shown = driver(router.flow(Request(text="")), port, FakeClock())
    assert "yes" == shown.text
    assert 17.9 == left(router)


@pytest.mark.parametrize("store", [None, MemoryStore])
def test_an_arm_that_is_not_affordable_does_not_take_over(
    store: Callable[[], MemoryStore] | None,
) -> None:
    """The next one does that is; where none is, the failure is told."""
    arms = Arm(name="down", reserve_usd=0.002), DEAR, CHEAP
    settings: dict[str, Any] = {
        "policy": Fixed(arm="down"),
        "usd": 0.0115,
        "store": store and store(),
    }
    router = make_router(*arms, fallback=["dear", "cheap"], **settings)
    down = Script(error=ValueError())
    port = ScriptedPort({"down": down, "dear": Script(), "cheap": Script(usage=USED)})
    drive.run(router.flow(Request(text="")), port)
    assert ["down", "cheap"] == port.asked
    assert 1 == router.stats()["budget_refused"]

    alone = make_router(*arms, fallback=["dear"], **settings | {"store": store and store()})
    with pytest.raises(ArmError):
        drive.run(alone.flow(Request(text="")), port)
    assert 9.5 == left(alone)


def test_a_stream_that_is_left_gives_back_what_it_did_not_use() -> None:
    """What it had said is paid for."""
    router = make_router(CHEAP)
    port = ScriptedPort({"cheap": Script(pieces=("a", "b"), usage=USED)})
    stream = drive.stream(router.flow(Request(text="")), port)
    next(stream)
    assert 19.0 == left(router)
    stream.close()
    assert 19.9 == left(router)


def test_a_flow_closed_before_its_call_leaves_nothing_behind() -> None:
    """It has called nobody."""
    router = make_router(CHEAP)
    flow = router.flow(Request(text=""))
    assert isinstance(next(flow), Call)
    assert 19.0 == left(router)
    flow.close()
    assert 20.0 == left(router)


@pytest.mark.parametrize("late", [False, True])
def test_a_flow_stopped_while_it_waits_for_the_store_leaves_nothing_behind(late: bool) -> None:
    """Whether the store answers before or after the flow is gone."""
    router = make_router(CHEAP, store=MemoryStore())
    flow = router.flow(Request(text="", id="r"))
    step = next(flow)
    assert isinstance(step, Work)
    if not late:
        step.run()
    with pytest.raises(Interrupted):
        flow.throw(Interrupted("cancelled"))
    if late:
        step.run()
    assert 20.0 == left(router)
    assert "error" == router.explain("r").status


@pytest.mark.parametrize("late", [False, True])
def test_a_flow_stopped_while_another_takes_over_pays_for_the_first_alone(late: bool) -> None:
    """What the failure may have cost stays booked."""
    arms = Arm(name="down", reserve_usd=0.002), CHEAP
    router = make_router(*arms, policy=Fixed(arm="down"), store=MemoryStore())
    flow = router.flow(Request(text=""))
    first = next(flow)
    assert isinstance(first, Work)
    assert isinstance(flow.send(first.run()), Call)
    step = flow.throw(ArmError("down", arm="down"))
    assert isinstance(step, Work)
    if not late:
        step.run()
    with pytest.raises(Interrupted):
        flow.throw(Interrupted("cancelled"))
    if late:
        step.run()
    assert 18.0 == left(router)


async def test_a_task_cancelled_at_any_await_leaves_nothing_behind() -> None:
    """In a store's thread, before the call or in it."""
    router = make_router(CHEAP, usd=0.5, store=MemoryStore())
    port = ScriptedPort({"cheap": Script(wait_s=60.0)})
    for turns in range(30):
        task = asyncio.create_task(drive.arun(router.flow(Request(text="")), port))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
    router.save()
    called = len(port.asked)
    assert 500.0 - called == left(router)
    assert not router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


def test_a_repeated_id_is_refused_and_sets_nothing_aside() -> None:
    """The first decision keeps what is its own."""
    router = make_router(CHEAP)
    decision = router.decide(Request(text="", id="r"))
    with pytest.raises(ConfigError, match="is taken"):
        router.decide(Request(text="", id="r"))
    assert 19.0 == left(router)
    end(router, decision, 0.0)
    assert 20.0 == left(router)


def test_a_decision_is_settled_once() -> None:
    """Also when it is told twice."""
    router = make_router(CHEAP)
    decision = router.decide(Request(text=""))
    end(router, decision, 0.0005)
    with pytest.raises(ConfigError, match="has an outcome already"):
        end(router, decision, 0.0)
    assert 19.5 == left(router)


def test_what_a_ledger_has_let_go_is_settled_all_the_same() -> None:
    """Money is not forgotten with decisions."""
    router = make_router(CHEAP, max_decisions=1)
    port = ScriptedPort({"cheap": Script(pieces=("a", "b"), usage=USED)})
    streams = [drive.stream(router.flow(Request(text="")), port) for _ in range(3)]
    for stream in streams:
        next(stream)
    assert 17.0 == left(router)
    assert [["b"]] * 3 == [list(stream) for stream in streams]
    assert 19.7 == left(router)


def test_what_ends_in_a_later_window_is_of_the_window_in_which_it_began() -> None:
    """A new window has nothing to give back for an old one."""
    clock = FakeClock()
    router = make_router(CHEAP, clock=clock)
    decision = router.decide(Request(text=""))
    clock.now_s = 3_600.0
    end(router, decision, 0.0)
    assert 20.0 == left(router)


def test_a_held_turn_is_checked_too() -> None:
    """Another arm goes on where the held one does not fit, and none where none does."""
    router = make_router(usd=0.0105)
    hold = Hold(arm="dear", reason="tool loop")
    assert "dear" == router.decide(Request(text="", hold=hold)).arm
    with pytest.raises(BudgetExceeded):
        router.decide(Request(text="", hold=hold))

    roomy = make_router(usd=0.0115)
    assert "dear" == roomy.decide(Request(text="", hold=hold)).arm
    went_on = roomy.decide(Request(text="", hold=hold))
    assert ("cheap", None) == (went_on.arm, went_on.held)


def test_without_a_budget_nothing_is_counted() -> None:
    """And there is nothing left to tell."""
    router = make_router(budget=None)
    router.decide(Request(text=""))
    assert router.budget_left_usd() is None
    assert not [name for name in router.stats() if name.startswith("budget")]


class Failing(MemoryStore):
    """A store that can be taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    def get(self, key: str) -> Entry | None:
        if self.down:
            raise OSError("gone")
        return super().get(key)


def test_a_store_that_is_down_takes_no_answer_and_no_cap_of_ones_own() -> None:
    """A worker goes on from what it knew; when the store is back, that is told there."""
    store = Failing()
    first, second = (make_router(CHEAP, usd=0.004, store=store) for _ in range(2))
    end(first, first.decide(Request(text="")), 0.001)
    store.down = True
    for _ in range(3):
        end(first, first.decide(Request(text="")), 0.001)
    with pytest.raises(BudgetExceeded):
        first.decide(Request(text=""))
    assert 3 == first.stats()["budget_alone"]
    assert 1 == first.stats()["budget_store_failures"]

    store.down = False
    first._spending._retry_s = 0.0  # type: ignore[union-attr]  # the rest that it was given is over
    first.save()
    with pytest.raises(BudgetExceeded):
        second.decide(Request(text=""))


def test_workers_share_what_is_given_back() -> None:
    """One that saw the budget spent looks again."""
    store = MemoryStore()
    first, second = (make_router(CHEAP, usd=0.001, store=store) for _ in range(2))
    decision = first.decide(Request(text=""))
    with pytest.raises(BudgetExceeded):
        second.decide(Request(text=""))
    end(first, decision, 0.0)
    assert "cheap" == second.decide(Request(text="")).arm


def test_a_worker_whose_clock_is_behind_books_where_the_others_are() -> None:
    """It cannot open an old window again."""
    store = MemoryStore()
    ahead = make_router(CHEAP, usd=0.001, store=store, clock=FakeClock(now_s=3_600.0))
    behind = make_router(CHEAP, usd=0.001, store=store)
    ahead.decide(Request(text=""))
    with pytest.raises(BudgetExceeded):
        behind.decide(Request(text=""))


def test_tenants_do_not_show_in_a_stores_keys() -> None:
    """A tenant may be somebody's name."""
    store = MemoryStore()
    make_router(CHEAP, store=store).decide(Request(text="", tenant="ada@example.org"))
    keys = list(store.scan("pickllm/default/budget/"))
    assert 1 == len(keys)
    assert "ada" not in keys[0]


def test_tenants_of_past_windows_are_let_go() -> None:
    """Memory does not grow with all who ever came."""
    clock = FakeClock()
    router = make_router(CHEAP, clock=clock)
    for number in range(3_000):
        clock.now_s += 10.0
        end(router, router.decide(Request(text="", tenant=str(number))))
    assert 2_000 > len(router._spending._tenant_to_account)  # type: ignore[union-attr]  # it has a budget


@pytest.mark.parametrize("store", [None, MemoryStore])
def test_streams_of_many_threads_never_overspend(
    store: Callable[[], MemoryStore] | None,
) -> None:
    """32 threads, some of which leave midway: what is spent and set aside stays below the cap."""
    router = make_router(CHEAP, usd=0.0101, store=store and store())
    used = Usage(tokens_in=1, tokens_out=1_000)
    port = ScriptedPort({"cheap": Script(pieces=("a", "b"), usage=used)})
    together = threading.Barrier(32)
    refusals = []

    def session(thread: int) -> None:
        together.wait()
        for number in range(4):
            stream = drive.stream(router.flow(Request(text="")), port)
            try:
                next(stream)
            except BudgetExceeded as error:
                refusals.append(error)
            if (thread + number) % 2:
                stream.close()
            else:
                list(stream)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(session, range(32)))
    assert 10 == len(port.asked)
    assert 118 == len(refusals)
    router.save()
    assert 0.1 == left(router)
    assert not router._spending._id_to_open  # type: ignore[union-attr]  # it has a budget


MEETING = threading.Barrier(8, timeout=10.0)


class Meeting(Fixed):
    """Chooses only when eight threads are choosing: all have seen that the arm fits."""

    def decide(self, state: Any, situation: Any, rng: Any) -> Any:
        MEETING.wait()
        return super().decide(state, situation, rng)


@pytest.mark.parametrize("store", [None, MemoryStore])
def test_threads_that_saw_the_same_money_cannot_all_spend_it(
    store: Callable[[], MemoryStore] | None,
) -> None:
    """Eight decide at the same moment, and there is enough for three."""
    policy = Meeting(arm="cheap")
    router = make_router(CHEAP, usd=0.003, policy=policy, store=store and store())

    def decided(_: int) -> int:
        try:
            router.decide(Request(text=""))
        except BudgetExceeded:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert 3 == sum(pool.map(decided, range(8)))
    assert 5 == router.stats()["budget_refused"]

"""Turns that go on with an earlier decision, in the ledger; and when what was learnt is kept."""

import asyncio
import contextlib
from typing import Any

import pytest

from pickllm import ArmError, Outcome, Request, Router, UnknownDecision, drive
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Decision, Hold
from tests.unit.doubles import FakeClock, answered, priced, through_arun, through_run

BROKEN = Script(pieces=(), error=ValueError("no"))
FINE = Script(pieces=("fine", "fine"))
HELD = Hold(arm="a", reason="for this test")


def turn(
    router: Router, name: str, *, after: str = "", held: str = "a", arm: str = "a"
) -> Decision:
    """A turn that is settled by an arm, and goes on with another turn if that is named."""
    hold = Hold(arm=held, reason="tool loop", continues=after) if after else None
    decision = router.decide(Request(text="", id=name, hold=hold, trace_ids=("run of " + name,)))
    attempt = Attempt(arm=arm, status="ok", latency_s=1.0, cost_usd=0.5)
    router.settle(Outcome(decision_id=name, attempts=(attempt,)))
    return decision


def router_of(**settings: Any) -> Router:
    """Arm a is always asked first."""
    return Router(arms=priced("a", "b"), **{"policy": lambda _: "a", **settings})


def looped(**settings: Any) -> Router:
    """Four turns, each going on with the one before."""
    router = router_of(**settings)
    for name, after in (("1", ""), ("2", "1"), ("3", "2"), ("4", "3")):
        turn(router, name, after=after)
    return router


# In the ledger


@pytest.mark.parametrize("name", ["1", "2", "3", "4", "run of 1", "run of 4"])
def test_every_id_of_a_loop_is_the_first_s(name: str) -> None:
    """Turns and the runs around them lead to the decision that began."""
    assert ("1",) == looped().decisions(name)


def test_the_first_has_spent_what_all_have_spent() -> None:
    """Cost and time of four turns."""
    assert (2.0, 4.0) == looped().ledger["1"].spent


def test_an_unknown_cost_of_one_turn_makes_the_sum_unknown() -> None:
    """It is no zero."""
    router = looped()
    decision = router.decide(
        Request(text="", id="5", hold=Hold(arm="a", reason="tool loop", continues="4"))
    )
    router.settle(answered(decision, cost_usd=None))

    assert (None, 4.5) == router.ledger["1"].spent


def test_a_turn_that_failed_has_spent_nothing_of_the_answer() -> None:
    """Its arm has earned its own lesson."""
    router = looped()
    router.decide(Request(text="", id="5", hold=Hold(arm="a", reason="tool loop", continues="4")))
    attempt = Attempt(arm="a", status="error", latency_s=9.0)
    router.settle(Outcome(decision_id="5", attempts=(attempt,)))

    assert (2.0, 4.0) == router.ledger["1"].spent


def test_the_oldest_that_is_left_stands_for_the_rest() -> None:
    """When the first is let go, and then the next."""
    router = looped(max_decisions=4)
    turn(router, "5", after="4")
    found = [router.decisions(name) for name in "12345"]
    turn(router, "6", after="5")

    assert [(), ("2",), ("2",), ("2",), ("2",)] == found
    assert ([("3",)] * 4, 2.0) == (
        [router.decisions(name) for name in "3456"],
        router.ledger["3"].spent[0],
    )
    assert () == router.decisions("run of 2")


def test_nothing_is_left_of_decisions_let_go() -> None:
    """No id of a run, and no turn that another still holds on to."""
    router = looped(max_decisions=2)
    for number in range(5, 50):
        turn(router, str(number), after=str(number - 1))

    ledger = router.ledger
    assert (2, 2, 1) == (
        len(ledger),
        len(ledger._trace_to_ids),
        sum(len(record.followers) for record in ledger),
    )


def test_a_turn_that_another_arm_took_over_begins_anew() -> None:
    """The arms earn apart, and so does what goes on with the second."""
    router = router_of()
    turn(router, "1")
    turn(router, "2", after="1", arm="b")
    turn(router, "3", after="2", held="b", arm="b")

    assert [("1",), ("2",), ("2",)] == [router.decisions(name) for name in "123"]
    assert [0.5, 1.0] == [router.ledger[name].spent[0] for name in "12"]


def test_a_turn_after_an_unknown_one_stands_for_itself() -> None:
    """Another process began that loop."""
    router = router_of()
    turn(router, "2", after="1")
    turn(router, "3", after="2")

    assert [("2",), ("2",)] == [router.decisions(name) for name in "23"]
    with pytest.raises(UnknownDecision):
        router.feedback("1", 1.0)


def test_ids_that_lead_in_a_circle_end_somewhere() -> None:
    """Two turns that claim to go on with each other."""
    router = router_of()
    turn(router, "1", after="2")
    turn(router, "2", after="1")

    assert [("1",), ("1",)] == [router.decisions(name) for name in "12"]


# When it is kept


def kept(store: MemoryStore) -> Any:
    """What a router finds after a restart."""
    return Router(arms=priced("a", "b"), policy="q_learning", store=store).state


def learning(**settings: Any) -> tuple[Router, MemoryStore]:
    """A router that keeps what it learns."""
    store = MemoryStore()
    router = Router(arms=priced("a", "b"), policy="q_learning", store=store, seed=1, **settings)
    return router, store


@pytest.mark.parametrize("through", [through_run, through_arun])
def test_a_failure_is_kept(through: Any) -> None:
    """Of an arm that nobody took over from."""
    router, store = learning(fallback=False)
    port = ScriptedPort({"a": BROKEN, "b": BROKEN})

    assert isinstance(through(router.flow(Request(text="")), port, FakeClock()).error, ArmError)

    assert router.state == kept(store) != kept(MemoryStore())


def test_a_failure_is_kept_though_the_reader_left() -> None:
    """The arm that took over was read half; the first one's failure is known."""
    router, store = learning()
    port = ScriptedPort({"a": BROKEN, "b": FINE})
    pieces = drive.stream(router.flow(Request(text="", hold=HELD)), port)
    assert "fine" == next(pieces)
    pieces.close()

    assert router.state == kept(store) != kept(MemoryStore())


def test_a_failure_is_kept_though_the_async_reader_left() -> None:
    """The same on a loop: when it ends, at the latest."""
    router, store = learning()
    port = ScriptedPort({"a": BROKEN, "b": FINE})

    async def read() -> None:
        pieces = drive.astream(router.flow(Request(text="", hold=HELD)), port)
        async with contextlib.aclosing(pieces):
            async for _ in pieces:
                break

    asyncio.run(read())

    assert router.state == kept(store) != kept(MemoryStore())


@pytest.mark.parametrize("through", [through_run, through_arun])
def test_nothing_is_written_where_nothing_was_learnt(through: Any) -> None:
    """An answer alone is no lesson."""
    router, store = learning()

    through(router.flow(Request(text="")), ScriptedPort({"a": FINE, "b": FINE}), FakeClock())

    assert None is store.get("pickllm/state/default")


def test_a_flow_may_be_dropped_at_any_time() -> None:
    """A driver that goes away in the middle of a call leaves no error behind."""
    router, _ = learning()
    flow = router.flow(Request(text=""))
    next(flow)
    flow.close()

    assert 1 == router.stats()["decisions"]

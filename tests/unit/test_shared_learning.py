"""Routers of one store, in the orders that nobody planned: they come to one state all the same."""

import os
from typing import Any, cast

import numpy as np
import pytest

from pickllm import Request, Router, StoreUnavailable, UnknownDecision, drive
from pickllm.policies import Contextual, ContextualState, epsilon_greedy, q_learning
from pickllm.protocols import Note, Noted
from pickllm.stores import MemoryStore, SqliteStore
from pickllm.types import Attempt, Decision, Experience, Hold, Outcome
from tests.unit.doubles import answered, priced, settled


class Flaky(MemoryStore):
    """A store that fails while it is told to."""

    away = False

    def append(self, name: str, notes: Any) -> list[bool]:
        self._check()
        return super().append(name, notes)

    def find(self, name: str, about: str) -> list[Noted]:
        self._check()
        return super().find(name, about)

    def _check(self) -> None:
        if self.away:
            raise OSError("gone")


def router_on(store: MemoryStore | SqliteStore, **settings: Any) -> Router:
    """Means of two arms, by quality alone."""
    chosen = {"policy": epsilon_greedy(), "weights": {"quality": 1.0}, "seed": 1, **settings}
    return Router(arms=priced("a", "b"), store=store, **chosen)


def mean_of(router: Router, arm: str) -> float:
    """What an arm is worth to a router that has looked at the store."""
    router._books.keeper.insist()
    router.save()
    mean: float = router.state.estimates.arm_to_mean[arm]
    return mean


def check_all(store: MemoryStore, decision: Decision, value: float, *routers: Router) -> None:
    """Every router, and one that is new, have learnt this value and no other."""
    for router in (*routers, router_on(store)):
        assert pytest.approx(value, abs=1e-12) == mean_of(router, decision.arm)
        assert {"user": value} == router.explain(decision.id).source_to_score


async def test_a_value_refused_as_second_is_not_what_a_correction_takes_back() -> None:
    """Both were told before they knew of each other; then one is corrected."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    decision = settled(first)
    first.save()
    second.explain(decision.id)
    books = first._books  # as under a loop: written a moment later
    assert "counted" == books.hear(decision.id, 0.0, "user", correction=False, at_once=False)
    assert "counted" == await second.afeedback(decision.id, 1.0)
    await first.afeedback(decision.id, 0.5, correction=True)

    check_all(store, decision, 0.5, first, second)


def test_versions_may_reach_the_journal_in_any_order() -> None:
    """The first waited for a store that was away while the second went through."""
    store = Flaky()
    first, second = router_on(store), router_on(store)
    decision = settled(first)
    first.save()
    store.away = True
    first.feedback(decision.id, 1.0)
    store.away = False
    first._books.keeper.insist()
    keeper = first._books.keeper
    waiting, keeper._waiting = keeper._waiting, type(keeper._waiting)()
    first.feedback(decision.id, 0.0, correction=True)
    keeper._waiting = waiting

    check_all(store, decision, 0.0, first, second)
    assert "corrected" == second.feedback(decision.id, 0.25, correction=True)
    check_all(store, decision, 0.25, first, second)


def test_a_session_begun_anew_hears_no_more_of_the_old_one() -> None:
    """On no worker: neither first values nor corrections."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    decisions = [settled(first) for _ in range(5)]
    for decision in decisions:
        first.feedback(decision.id, 1.0)
    second.explain(decisions[0].id)
    first.reset()
    second.save()
    for router in (first, second, router_on(store)):
        with pytest.raises(UnknownDecision):
            router.feedback(decisions[0].id, 0.9, correction=True)

    newest = settled(first)
    first.feedback(newest.id, 0.5)
    check_all(store, newest, 0.5, first, second)


@pytest.mark.parametrize("any_id", ["run 7", ""])
def test_what_was_decided_after_a_reset_is_found_by_who_has_not_heard_of_it(any_id: str) -> None:
    """At once, by its own id or a run's, and what was decided before the reset is not."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    old = settled(first)
    first.save()
    first.reset()
    decision = settled(first)
    first._books.trace("run 7", decision.id)
    first.save()

    assert "counted" == second.feedback(any_id or decision.id, 1.0)
    with pytest.raises(UnknownDecision):
        second.feedback(old.id, 1.0)
    first.save()
    assert 1 == first.state.steps == second.state.steps


def test_an_open_decision_outlives_a_reset_elsewhere() -> None:
    """Its answer is still to come."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    decision = first.decide(Request(text=""))
    second.reset()
    first.save()
    first.settle(answered(decision))

    assert "counted" == first.feedback(decision.id, 1.0)


def test_a_store_that_was_emptied_gets_what_is_known() -> None:
    """The first worker to see it brings its state; the others go on from that."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    for _ in range(10):
        first.feedback(settled(first).id, 1.0)
    second.save()
    before = first.state.estimates
    store._entries.clear()
    store._logs.clear()
    first.save()
    second.save()

    assert before == first.state.estimates == second.state.estimates
    assert before == router_on(store).state.estimates
    assert 1 == first.stats()["journal_lost"] == second.stats()["journal_lost"]
    second.feedback(settled(second).id, 1.0)
    first.save()
    assert 11 == first.state.steps


def test_who_was_away_while_the_journal_was_trimmed_goes_on_from_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is told nothing wrong."""
    monkeypatch.setattr("pickllm.booking.keeper._REMEMBERED", 5)
    monkeypatch.setattr("pickllm.booking.keeper._BEHIND", 5)
    store = MemoryStore()
    busy, away = router_on(store), router_on(store)
    for _ in range(40):
        busy.feedback(settled(busy).id, 1.0)
        busy.save()

    away.save()

    assert busy.state == away.state
    assert 1 == away.stats()["journal_gaps"]


def test_a_policy_that_never_read_a_trimmed_journal_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It learns from what is left."""
    monkeypatch.setattr("pickllm.booking.keeper._REMEMBERED", 5)
    monkeypatch.setattr("pickllm.booking.keeper._BEHIND", 5)
    store = MemoryStore()
    router = router_on(store)
    for _ in range(40):
        router.feedback(settled(router).id, 1.0)
        router.save()

    late = router_on(store, policy=q_learning())

    assert 0 < late.state.steps < 40
    assert 1 == late.stats()["journal_gaps"]
    assert ["events of 'pickllm/default' are gone that nobody here has read"] == caplog.messages


def turn(router: Router, decision_id: str, begun: Decision) -> Decision:
    """The next turn of a tool loop, by whichever worker."""
    hold = Hold(arm=begun.arm, reason="tool loop", continues=begun.id)
    request = Request(text="", id=decision_id, hold=hold)
    drive.work(router.featurize(request))
    decision = router.decide(request)
    router.settle(answered(decision, cost_usd=0.002))
    return decision


def test_a_tool_loop_may_go_on_at_another_worker() -> None:
    """It is one decision: judged once, at the cost of all its turns."""
    store = MemoryStore()
    first, second, third = (router_on(store) for _ in range(3))
    begun = settled(first)
    first.save()
    turn(second, "t2", begun)
    second.save()

    assert (begun.id,) == second.decisions("t2")
    assert "counted" == third.feedback("t2", 1.0)
    assert "repeated" == first.feedback(begun.id, 1.0)
    (record,) = third._books.found(begun.id)
    assert pytest.approx(0.003) == record.spent[0]
    for router in (first, second, third):
        router.save()
        assert 1 == router.state.steps


def test_feedback_on_a_run_reaches_the_decisions_of_all_workers() -> None:
    """Whichever of them hears it, also one that holds some of them."""
    for asked in range(3):
        store = MemoryStore()
        routers = [router_on(store) for _ in range(3)]
        for number in range(2):
            decision = routers[number].decide(Request(text="", trace_ids=("run",)))
            routers[number].settle(answered(decision))
            routers[number].save()

        assert "counted" == routers[asked].feedback("run", 1.0)

        routers[asked].save()
        assert 2 == routers[asked].state.steps


def test_while_the_store_is_away_nobody_says_that_a_decision_is_unknown() -> None:
    """It may be known there; own decisions are judged all the same."""
    store = Flaky()
    first, second = router_on(store), router_on(store)
    decision, own = settled(first), settled(second)
    first.save()
    store.away = True

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="say it again"):
            second.feedback(decision.id, 1.0)
    assert "counted" == second.feedback(own.id, 1.0)
    store.away = False
    second._books.keeper.insist()
    assert "counted" == second.feedback(decision.id, 1.0)


@pytest.mark.parametrize("odd", [{"latency_s": float("nan")}, {"latency_s": float("inf")}], ids=str)
def test_an_event_that_cannot_be_written_stops_no_other(odd: Any) -> None:
    """It is counted, and the rest goes on."""
    store = MemoryStore()
    router = router_on(store)
    decision = router.decide(Request(text=""))
    attempt = Attempt(arm=decision.arm, status="ok", cost_usd=0.1, **odd)
    router._books.settle(Outcome(decision_id=decision.id, attempts=(attempt,)), ())
    router.feedback(settled(router).id, 1.0)

    assert 1 == router.stats()["store_unwritable"]
    assert 1 == router_on(store).state.steps


def test_numbers_of_numpy_are_numbers() -> None:
    """Some clients count their tokens so."""
    store = MemoryStore()
    router = router_on(store)
    decision = router.decide(Request(text=""))
    attempt = Attempt(
        arm=decision.arm,
        status="ok",
        cost_usd=float(np.float32(0.5)),
        latency_s=cast("Any", np.float32(0.5)),
    )
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.feedback(decision.id, 1.0)

    assert 1 == router_on(store).state.steps


def test_entries_of_others_about_a_decision_are_passed_over() -> None:
    """A newer program may have noted something."""
    store = MemoryStore()
    first, second = router_on(store), router_on(store)
    decision = settled(first)
    first.save()
    store.append("pickllm/default", [Note(key="x", value=b"?", about=(decision.id,))])

    assert "counted" == second.feedback(decision.id, 1.0)


def test_forked_workers_draw_each_their_own() -> None:
    """Without a seed; with one they repeat what was asked for."""
    for given in (None, 7):
        router = Router(arms=priced("a", "b"), policy="random", seed=given)
        read, write = os.pipe()
        if os.fork() == 0:
            router.decide(Request(text=""))
            os.write(write, str(router.seed).encode())
            os._exit(0)
        os.wait()

        assert (given is not None) is (router.seed == int(os.read(read, 99)))


def test_namespaces_of_one_file_have_positions_of_their_own(tmp_path: Any) -> None:
    """So that what a busy one trims is its own."""
    store = SqliteStore(tmp_path / "routes.db")
    for number in range(5):
        store.append("busy", [Note(key=str(number), value=b"")])
    store.append("quiet", [Note(key="a", value=b"")])

    assert [1] == [noted.position for noted in store.read("quiet", after=0, limit=9)]
    store.trim("busy", upto=4)
    assert 1 == len(store.read("quiet", after=0, limit=9))
    store.close()


def test_worker_that_fell_behind_goes_on_from_the_others_snapshot() -> None:
    """What they have learnt it takes over as a whole; its own lessons among it count once."""
    store, seen = MemoryStore(), []

    class Counting(Contextual):
        def learn(self, state: ContextualState, experience: Experience) -> ContextualState:
            seen.append(experience.decision.id)
            return super().learn(state, experience)

    behind = Router(arms=priced("a", "b"), store=store, policy=Counting(), seed=1)
    busy = Router(arms=priced("a", "b"), store=store, policy=Contextual(), seed=2)
    for _ in range(5):
        behind.feedback(settled(behind).id, 0.5)
    held = settled(behind)
    for _ in range(700):
        busy.feedback(settled(busy).id, 1.0)
    busy.feedback(held.id, 0.2)
    busy.save()
    seen.clear()
    behind.save()
    assert busy.state == behind.state
    assert 706 == behind.state.steps
    assert len(seen) < 500  # and not all 706
    assert {"user": 0.2} == behind.explain(held.id).source_to_score
    assert "repeated" == behind.feedback(held.id, 0.9)

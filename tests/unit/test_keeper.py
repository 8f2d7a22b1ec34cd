"""Learnt state in a store: a store's troubles never reach an answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pickllm import (
    ConfigError,
    LearningAutomaton,
    Request,
    Router,
    StateConflict,
    UnknownDecision,
    q_learning,
)
from pickllm.booking.keeper import Keeper
from pickllm.errors import StoreUnavailable
from pickllm.policies import epsilon_greedy
from pickllm.protocols import Entry, Note, Noted
from pickllm.stores import MemoryStore, SqliteStore
from tests.unit.doubles import FakeClock, answered, priced, settled


class Moody(MemoryStore):
    """A store that fails while it is told to."""

    failing = False

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        if self.failing:
            raise OSError("disk full")
        return super().append(name, notes)


def make_router(store: MemoryStore | SqliteStore | str | None, **settings: object) -> Router:
    """A router of two arms with an automaton, kept in ``store``."""
    kept = {"policy": LearningAutomaton(step=0.1), "seed": 1, "store": store, **settings}
    return Router(arms=priced("a", "b"), **kept)  # type: ignore[arg-type]  # each of its own type


def learn(router: Router, value: float = 1.0) -> None:
    """One answer, judged."""
    router.feedback(settled(router).id, value)


def test_state_outlives_its_router() -> None:
    """Another router on the same store starts where the first one stopped."""
    store = MemoryStore()
    first = make_router(store)
    learn(first)
    assert first.state == make_router(store).state


def test_store_that_cannot_be_asked_at_the_start_is_told(tmp_path: Path) -> None:
    """Nobody listens there: an error of ours, without the address, which may hold a password."""
    with pytest.raises(
        StoreUnavailable, match=r"RedisStore cannot be asked \(ConnectionError\)"
    ) as e:
        make_router(f"unix://{tmp_path}/nobody.sock")
    assert "nobody.sock" not in str(e.value)


def test_snapshot_that_is_damaged_is_named_with_its_remedy(tmp_path: Path) -> None:
    """What has to be deleted; and then the journal teaches all of it again."""
    store = SqliteStore(tmp_path / "routes.db")
    router = make_router(store, policy=epsilon_greedy())
    learn(router)
    router.close()
    (key,) = store.scan("pickllm/default/state/")
    store.put(key, b"{")

    with pytest.raises(StateConflict, match=f"'{key}' in SqliteStore cannot be read.*delete"):
        make_router(store, policy=epsilon_greedy())
    store.delete(key)
    assert router.state == make_router(store, policy=epsilon_greedy()).state


def test_state_outlives_the_process(tmp_path: Path) -> None:
    """A state in a file is there when the file is opened again."""
    address = f"sqlite:///{tmp_path / 'state.db'}"
    first = make_router(address)
    learn(first)
    assert first.state == make_router(address).state


def test_nothing_is_kept_without_a_store() -> None:
    """Without a store a router is on its own, and has nothing to report of it."""
    router = make_router(None)
    learn(router)
    assert not {"store_failures", "store_conflicts"} & set(router.stats())


def key_of(store: MemoryStore) -> str:
    """Where the only snapshot of a store stands."""
    (key,) = (key for key in store.scan("") if "/state/" in key)
    return key


def make_keeper(store: MemoryStore, clock: FakeClock) -> Keeper:
    """A keeper by itself, on a clock of ours."""
    policy = LearningAutomaton(step=0.1)
    fresh = policy.init(["a", "b"], 0)
    keeper = Keeper(
        store,
        namespace="default",
        policy=policy,
        state_name="",
        fresh=fresh,
        clock=lambda: clock.now_s,
    )
    keeper.load()
    return keeper


# A store that fails


def test_failing_store_takes_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    """While it fails, answers and learning go on; that is told once in a row, and counted."""
    store = Moody()
    router, reference = make_router(store), make_router(None)
    store.failing = True
    for _ in range(3):
        learn(router)
        learn(reference)

    assert reference.state == router.state
    assert 1 == router.stats()["store_failures"]  # then it is left alone for a while
    assert 6 == router.stats()["store_waiting"]
    assert ["the store of 'pickllm/default' failed (OSError); what is learnt waits for it"] == (
        caplog.messages
    )


def test_what_waited_is_written_once_the_store_is_back() -> None:
    """In its order, and as if nothing had been."""
    store = Moody()
    router = make_router(store)
    store.failing = True
    for value in (1.0, 0.5, 0.0):
        learn(router, value)
    store.failing = False
    router._books.keeper._retry_s = 0.0  # the rest is over

    router.save()

    assert "store_waiting" not in router.stats()
    assert router.state == make_router(store).state


def test_a_store_that_fails_is_left_alone_for_longer_and_longer() -> None:
    """A try may take as long as its patience, and answers must not wait for it each time."""
    store, clock = Moody(), FakeClock()
    router = make_router(store)
    keeper = make_keeper(store, clock)
    learn(router)
    (event,) = {type(e): e for e in keeper.recall(router.ledger.last.decision.id)[:1]}.values()
    store.failing = True
    tries = []
    for tenth in range(120):
        clock.now_s = tenth / 10
        before = keeper.stats().get("store_failures", 0)
        keeper.note(event)
        keeper.save()
        if keeper.stats().get("store_failures", 0) > before:
            tries.append(clock.now_s)

    assert [0.0, 0.5, 1.5, 3.5, 8.5] == tries


def test_events_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and are counted."""
    monkeypatch.setattr("pickllm.booking.keeper._WAITING", 10)
    store = Moody()
    router = make_router(store)
    store.failing = True
    for _ in range(10):
        learn(router)

    assert {"store_waiting": 10, "store_dropped": 10}.items() <= router.stats().items()


def test_store_that_cannot_be_read_is_told_at_the_start() -> None:
    """Trouble at the start reaches whoever builds the router."""

    class Unreadable(MemoryStore):
        def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
            raise OSError("no such disk")

    with pytest.raises(StoreUnavailable, match=r"Unreadable cannot be asked \(OSError\)") as caught:
        make_router(Unreadable())
    assert "no such disk" == str(caught.value.__cause__)


# Snapshots


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda _: b"not ours", "no saved state of PickLLM"),
        (lambda data: data[: len(data) // 2], "no saved state of PickLLM"),
        (lambda data: data.replace(b'"steps": 1', b'"steps": "x"'), "is damaged"),
        (lambda data: data.replace(b"step=None", b"step=0.2"), "belongs to"),
        (lambda data: data.replace(b'"pickllm_state": 2', b'"pickllm_state": 9'), "has format 9"),
    ],
    ids=["foreign", "cut short", "damaged", "other settings", "other format"],
)
def test_state_that_does_not_fit_is_told_at_the_start(
    spoil: Callable[[bytes], bytes], told: str
) -> None:
    """A router does not start over someone else's state, and leaves the bytes as they are."""
    store = MemoryStore()
    router = make_router(store, policy=epsilon_greedy())
    learn(router)
    router.close()
    key = key_of(store)
    entry = store.get(key)
    assert entry is not None
    spoilt = spoil(entry.value)
    assert spoilt != entry.value
    version = store.put(key, spoilt)
    with pytest.raises(StateConflict, match=told):
        make_router(store, policy=epsilon_greedy())
    assert Entry(value=spoilt, version=version) == store.get(key)


def test_a_snapshot_saves_the_reading() -> None:
    """The next router reads what came after it, and arrives at the same state."""
    store = MemoryStore()
    router = make_router(store, policy=epsilon_greedy())
    for value in (1.0, 0.5, 0.0):
        learn(router, value)
    router.close()
    read: list[int] = []

    class Watched(MemoryStore):
        def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
            read.append(after)
            return store.read(name, after=after, limit=limit)

    watched = Watched()
    watched.get = store.get  # type: ignore[method-assign]  # the snapshot
    later = make_router(watched, policy=epsilon_greedy())

    assert [6] == read  # three decisions, three judgements
    assert router.state == later.state


@pytest.mark.parametrize("policy", [LearningAutomaton(step=0.1), epsilon_greedy()], ids=str)
def test_snapshots_change_nothing(policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often one is written and read, the state is that of one router without a store."""
    monkeypatch.setattr("pickllm.booking.keeper._BEHIND", 3)
    monkeypatch.setattr("pickllm.booking.fold._CORRECTABLE", 4)
    store, reference = MemoryStore(), make_router(None, policy=policy)
    for number in range(40):
        router = make_router(store, policy=policy, seed=number)
        decision = settled(router)
        reference.decide(Request(text="", id=decision.id, only=(decision.arm,)))
        reference.settle(answered(decision))
        router.feedback(decision.id, number % 7 / 7)
        router.close()
        reference.feedback(decision.id, number % 7 / 7)

    restarted = make_router(store, policy=policy)
    if policy.name.startswith("learning"):
        assert restarted.state.steps == reference.state.steps
    else:
        assert pytest.approx(restarted.state.estimates.arm_to_mean, abs=1e-12) == (
            reference.state.estimates.arm_to_mean
        )


def test_namespaces_keep_routers_apart() -> None:
    """Two routers with their own namespaces share a store in peace."""
    store = MemoryStore()
    one = make_router(store, namespace="one")
    two = make_router(store, namespace="two", policy=q_learning())
    learn(one)
    learn(two)
    assert one.state == make_router(store, namespace="one").state
    with pytest.raises(UnknownDecision):
        one.feedback(two.ledger.last.decision.id, 1.0)


def test_another_policy_learns_from_what_was_booked() -> None:
    """What is kept are decisions and judgements, and any policy can read them."""
    store = MemoryStore()
    router = make_router(store)
    for value in (1.0, 0.5):
        learn(router, value)

    other = make_router(store, policy=q_learning())

    assert 2 == other.state.steps


def test_reset_reaches_the_store() -> None:
    """A session started anew is a fresh one for the next router too, and for those that run."""
    store = MemoryStore()
    router, neighbour = make_router(store), make_router(store)
    learn(router)
    router.reset()
    neighbour.save()
    for started_anew in (router, neighbour, make_router(store)):
        assert {"a": 0.5, "b": 0.5} == started_anew.state.arm_to_probability


def test_notes_of_a_newer_program_are_left_out_and_counted() -> None:
    """They may mean anything."""
    store = MemoryStore()
    router = make_router(store)
    learn(router)
    store.append("pickllm/default", [Note(key="x", value=b'{"pickllm_event": 2, "kind": "new"}')])
    learn(router)
    router.save()

    assert 1 == router.stats()["journal_unreadable"]
    assert 2 == make_router(store).state.steps


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_number_is_never_learnt(number: bytes) -> None:
    """A damaged note is left out: learnt once, it would be in every decision to come."""
    writer = make_router(store := MemoryStore())
    learn(writer, 0.5)
    for noted in store.read("pickllm/default", after=0, limit=10):
        damaged = noted.value.replace(b'"score":0.5', b'"score":' + number)
        store.append("pickllm/other", [Note(key=str(noted.position), value=damaged)])

    router = make_router(store, namespace="other")

    assert (0, 1) == (router.state.steps, router.stats()["journal_unreadable"])
    assert sum(router.decide(Request(text="2 + 2 =")).probabilities) == pytest.approx(1.0)


def test_an_id_that_no_store_can_hold_does_not_hold_up_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted and told; what is said of it counts here."""
    router = make_router(store := SqliteStore(":memory:"))
    odd = router.decide(Request(text="2 + 2 =", id="\ud800"))
    router.settle(answered(odd))
    assert "counted" == router.feedback(odd.id, 1.0)
    learn(router)
    router.save()

    assert 0 == router.stats().get("store_waiting", 0)
    assert "an event cannot be written (UnicodeEncodeError)" in caplog.text
    assert 1 == make_router(store).state.steps


@pytest.mark.parametrize("any_id", ["\ud800", None, 3], ids=ascii)
def test_an_id_that_no_store_can_hold_is_of_no_decision(any_id: Any) -> None:
    """Whoever sends one must not make the store look as if it had failed."""
    router = make_router(SqliteStore(":memory:"))
    with pytest.raises(UnknownDecision):
        router.feedback(any_id, 1.0)
    assert "store_failures" not in router.stats()


@pytest.mark.parametrize("source", ["", None, 3])
def test_a_source_has_a_name(source: Any) -> None:
    """Another worker could not read who has judged."""
    router = make_router(MemoryStore())
    with pytest.raises(ConfigError, match="source must say who judges"):
        router.feedback(settled(router).id, 1.0, source=source)


# Feedback for what another worker decided


def test_feedback_finds_the_decision_of_another_worker() -> None:
    """By its id, and by that of a run around it; it counts in the state of all."""
    store = MemoryStore()
    first, second = make_router(store), make_router(store)
    decisions = [settled(first) for _ in range(2)]
    first.trace("run", decisions[1].id)
    first.save()

    assert "counted" == second.feedback(decisions[0].id, 1.0)
    assert "counted" == second.feedback("run", 0.5)
    first.save()
    second.save()

    assert 2 == first.state.steps
    assert first.state == second.state
    assert decisions[0].arm == second.explain(decisions[0].id).decision.arm


def test_feedback_counts_once_whichever_worker_it_reaches() -> None:
    """And once more after a restart."""
    store = MemoryStore()
    first, second = make_router(store), make_router(store)
    decision = settled(first)
    first.save()
    second.explain(decision.id)  # both know it now, and neither has heard

    assert "counted" == first.feedback(decision.id, 1.0)
    assert "repeated" == second.feedback(decision.id, 0.0)
    assert "repeated" == make_router(store).feedback(decision.id, 0.0)
    for router in (first, second):
        router.save()
        assert 1 == router.state.steps
        assert {"user": 1.0} == router.explain(decision.id).source_to_score


@pytest.mark.parametrize("policy", [LearningAutomaton(step=0.1), epsilon_greedy()], ids=str)
def test_a_correction_may_come_from_anywhere(policy: Any) -> None:
    """All workers come to the state in which the first value had never been."""
    store = MemoryStore()
    routers = [make_router(store, policy=policy) for _ in range(3)]
    decision = settled(routers[0])
    for router, value in zip(routers, (0.0, 1.0, 0.25), strict=True):
        verdict = router.feedback(decision.id, value, correction=True)
        assert ("corrected" if value else "counted") == verdict
    reference = make_router(None, policy=policy)
    reference.decide(Request(text="", id=decision.id, only=(decision.arm,)))
    reference.settle(answered(decision))
    reference.feedback(decision.id, 0.25)

    for router in (*routers, make_router(store, policy=policy)):
        router.save()
        assert {"user": 0.25} == router.explain(decision.id).source_to_score
        if hasattr(router.state, "estimates"):
            (mean,) = router.state.estimates.arm_to_mean.values()
            assert pytest.approx(0.25 * 0.8, abs=0.25) == mean
        assert 1 == router.state.steps


async def test_in_async_code_feedback_is_written_without_stopping_the_loop() -> None:
    """`feedback` writes a moment later; `afeedback` returns when it is there."""
    store = MemoryStore()
    router = make_router(store)
    decision = settled(router)

    assert "counted" == await router.afeedback(decision.id, 1.0)

    assert 1 == make_router(store).state.steps


def test_sources_that_do_not_teach_are_booked_all_the_same() -> None:
    """They are there to be looked at."""
    router = make_router(None, learns_from=["user"])
    decision = settled(router)

    assert "noted" == router.feedback(decision.id, 0.0, "parse")
    assert "counted" == router.feedback(decision.id, 1.0)
    assert {"parse": 0.0, "user": 1.0} == router.explain(decision.id).source_to_score
    assert 1 == router.state.steps

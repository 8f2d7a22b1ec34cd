"""Learnt state in a store: a store's troubles never reach an answer."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from pickllm import LearningAutomaton, Router, StateConflict, q_learning
from pickllm.protocols import Entry
from pickllm.stores import MemoryStore, SqliteStore
from tests.unit.doubles import priced, settled

KEY = "pickllm/state/default"


class Moody(MemoryStore):
    """A store that fails while it is told to."""

    failing = False

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        if self.failing:
            raise OSError("disk full")
        return super().put(key, value, expect=expect)


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


def test_failing_store_takes_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    """While saves fail, answers and learning go on; it is counted each time and logged once."""
    store = Moody()
    router, reference = make_router(store), make_router(None)
    learn(router)
    learn(reference)
    store.failing = True
    for _ in range(3):
        learn(router)
        learn(reference)
    assert reference.state == router.state
    assert 5 == router.stats()["store_failures"]  # each change, and each chance to make it good
    assert ["cannot save 'pickllm/state/default' (OSError)"] == caplog.messages


def test_next_save_makes_good_what_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Every save writes the whole state, so one that works brings the store up to date."""
    store = Moody()
    router = make_router(store)
    store.failing = True
    learn(router)
    store.failing = False
    learn(router)
    assert router.state == make_router(store).state
    store.failing = True
    learn(router)
    assert 2 == len(caplog.messages)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda _: b"not ours", "no saved state of PickLLM"),
        (lambda data: data[: len(data) // 2], "no saved state of PickLLM"),
        (lambda data: data.replace(b'"steps": 1', b'"steps": "x"'), "is damaged"),
        (lambda data: data.replace(b"step=0.1", b"step=0.2"), "belongs to learning_automaton"),
        (lambda data: data.replace(b'"pickllm_state": 1', b'"pickllm_state": 9'), "has format 9"),
    ],
    ids=["foreign", "cut short", "damaged", "other settings", "other format"],
)
def test_state_that_does_not_fit_is_told_at_the_start(
    spoil: Callable[[bytes], bytes], told: str
) -> None:
    """A router does not start over someone else's state, and leaves the bytes as they are."""
    store = MemoryStore()
    learn(make_router(store))
    entry = store.get(KEY)
    assert entry is not None
    spoilt = spoil(entry.value)
    assert spoilt != entry.value
    version = store.put(KEY, spoilt)
    with pytest.raises(StateConflict, match=told):
        make_router(store)
    assert Entry(value=spoilt, version=version) == store.get(KEY)


def test_namespaces_keep_routers_apart() -> None:
    """Two routers with their own namespaces share a store in peace."""
    store = MemoryStore()
    one = make_router(store, namespace="one")
    two = make_router(store, namespace="two", policy=q_learning())
    learn(one)
    learn(two)
    assert ["pickllm/state/one", "pickllm/state/two"] == list(store.scan(""))
    assert one.state == make_router(store, namespace="one").state


def test_second_writer_is_told_before_it_follows(caplog: pytest.LogCaptureFixture) -> None:
    """A later writer is refused once, counted and told; the first one is not overwritten by it."""
    store = MemoryStore()
    first, second = make_router(store), make_router(store)
    learn(first)
    kept = store.get(KEY)
    decision = settled(second)
    second.feedback(decision.id, 0.3)
    assert kept == store.get(KEY)
    assert 1 == second.stats()["store_conflicts"]
    assert 0 == first.stats().get("store_conflicts", 0)
    assert ["another router writes 'pickllm/state/default' too: give each a namespace"] == (
        caplog.messages
    )
    assert 1 == second.state.steps


def test_writer_that_follows_another_keeps_what_it_learns() -> None:
    """Once the other has stopped writing, as in a rolling restart, saves go through again."""
    store = MemoryStore()
    old, new = make_router(store), make_router(store)
    learn(old)
    for _ in range(3):
        learn(new, 0.3)
    assert new.state == make_router(store).state


def test_store_that_cannot_be_read_is_told_at_the_start() -> None:
    """Trouble at the start reaches whoever builds the router."""

    class Unreadable(MemoryStore):
        def get(self, key: str) -> Entry | None:
            raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        make_router(Unreadable())


def test_state_that_cannot_be_written_is_a_failure_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A state that is no plain value stays in memory; the router says so and works."""
    caplog.set_level(logging.WARNING, logger="pickllm")
    router = make_router(MemoryStore())
    router._learner.state = {"not": {"plain"}}
    router._keep()
    assert 1 == router.stats()["store_failures"]
    assert ["cannot save 'pickllm/state/default' (TypeError)"] == caplog.messages


def test_reset_reaches_the_store() -> None:
    """A session started anew is a fresh one for the next router too."""
    store = MemoryStore()
    router = make_router(store)
    learn(router)
    router.reset()
    assert {"a": 0.5, "b": 0.5} == make_router(store).state.arm_to_probability

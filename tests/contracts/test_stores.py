"""Every store that ships keeps every promise of the protocol."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pickllm import StateConflict
from pickllm.protocols import Entry, Store
from pickllm.stores import MemoryStore, SqliteStore, store_of
from pickllm.testing import check_store

MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "memory by address": lambda _: store_of("memory://"),
    "sqlite file": lambda folder: SqliteStore(folder / "state.db"),
    "sqlite by address": lambda folder: store_of(f"sqlite:///{folder / 'state.db'}"),
    "sqlite in memory": lambda _: SqliteStore(":memory:"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_store_keeps_its_promises(make: Callable[[Path], Store], tmp_path: Path) -> None:
    """A store of ours passes the suite that a user's own store is asked to pass."""
    opened: list[Store] = []

    def open_and_remember() -> Store:
        opened.append(make(tmp_path))
        return opened[-1]

    check_store(open_and_remember)
    for store in opened:
        getattr(store, "close", lambda: None)()


def test_sqlite_shows_a_second_connection_what_the_first_wrote(tmp_path: Path) -> None:
    """Two connections to one file are one store: entries, versions and conflicts are shared."""
    first, second = SqliteStore(tmp_path / "state.db"), SqliteStore(tmp_path / "state.db")
    assert first.put("key", b"one") == 1
    assert Entry(value=b"one", version=1) == second.get("key")
    assert second.put("key", b"two", expect=1) == 2
    with pytest.raises(StateConflict, match="not at version 1"):
        first.put("key", b"lost", expect=1)
    assert Entry(value=b"two", version=2) == first.get("key")
    first.close()
    second.close()


def test_sqlite_outlives_its_connection(tmp_path: Path) -> None:
    """What was written is there after the file is closed and opened again."""
    store = SqliteStore(tmp_path / "state.db")
    store.put("key", b"\x00value")
    store.close()
    reopened = SqliteStore(tmp_path / "state.db")
    assert Entry(value=b"\x00value", version=1) == reopened.get("key")
    assert list(reopened.scan("")) == ["key"]
    reopened.close()

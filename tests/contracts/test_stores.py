"""Every store that ships keeps every promise of the protocol."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pickllm import StateConflict
from pickllm.protocols import Entry, KeepsJournal
from pickllm.stores import MemoryStore, SqliteStore, store_of
from pickllm.testing import check_journal, check_store
from tests.redis_server import RedisServer

MAKERS: dict[str, Callable[[Path], KeepsJournal]] = {
    "memory": lambda _: MemoryStore(),
    "memory by address": lambda _: store_of("memory://"),
    "sqlite file": lambda folder: SqliteStore(folder / "state.db"),
    "sqlite by address": lambda folder: store_of(f"sqlite:///{folder / 'state.db'}"),
    "sqlite in memory": lambda _: SqliteStore(":memory:"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
@pytest.mark.parametrize("check", [check_store, check_journal])
def test_store_keeps_its_promises(
    make: Callable[[Path], KeepsJournal], check: Callable[[Callable[[], Any]], None], tmp_path: Path
) -> None:
    """A store of ours passes the suites that a user's own store is asked to pass."""
    opened: list[KeepsJournal] = []

    def open_and_remember() -> KeepsJournal:
        opened.append(make(tmp_path))
        return opened[-1]

    check(open_and_remember)
    for store in opened:
        getattr(store, "close", lambda: None)()


@pytest.mark.parametrize("check", [check_store, check_journal])
def test_redis_keeps_its_promises(
    check: Callable[[Callable[[], Any]], None], redis_server: RedisServer
) -> None:
    """The same, on a real server; a prefix keeps its users apart."""
    store = redis_server.store(prefix="mine/")
    redis_server.store(prefix="other/").put("a", b"not mine")

    check(lambda: store)


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

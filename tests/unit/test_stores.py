"""Addresses of stores, and files that cannot be opened."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pickllm import ConfigError
from pickllm.cache.sqlite import SqliteShelf
from pickllm.protocols import Note
from pickllm.stores import MemoryStore, SqliteStore, store_of


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("mysql://me:secret@localhost", "no store at 'mysql'; give 'sqlite:///FILE'"),
        ("sqlite:///", "no store at 'sqlite'; give"),
        ("", "no store at ''"),
        (3, "must be a store or an address, such as .*; int has no get, put, append"),
        (MemoryStore, "is the class MemoryStore; give an instance"),
    ],
)
def test_what_is_no_store_is_refused(given: Any, told: str) -> None:
    """An address that nobody knows, or something that is no store, is an error."""
    with pytest.raises(ConfigError, match=told):
        store_of(given)


def test_a_store_stands_for_itself() -> None:
    """What is a store already is taken as it is."""
    store = MemoryStore()
    assert store is store_of(store)


def test_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A folder that is not there is an error that names the file."""
    with pytest.raises(ConfigError, match=r"cannot open '.*gone/state.db' as a SQLite store"):
        SqliteStore(tmp_path / "gone" / "state.db")


@pytest.mark.parametrize("opened", [SqliteStore, SqliteShelf], ids=lambda kind: kind.__name__)
def test_a_database_of_another_program_is_told_and_left(
    opened: Callable[[Path], object], tmp_path: Path
) -> None:
    """A slip in the address puts no tables into it, and does not change how it is written."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="tables of another program, such as 'orders'"):
        opened(path)
    assert before == path.read_bytes()


def test_file_that_is_no_database_is_told_and_left(tmp_path: Path) -> None:
    """Someone else's file is refused and stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but some notes that are long enough to be read as one" * 20)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="cannot open"):
        store_of(f"sqlite:///{path}")
    assert before == path.read_bytes()


def test_journal_takes_little_more_room_than_its_notes(tmp_path: Path) -> None:
    """Of the usual length: their pages are full."""
    path = tmp_path / "routes.db"
    store = SqliteStore(path)
    notes = [Note(key=f"key {n}", value=b"x" * 1_500, about=(f"id {n}",)) for n in range(2_000)]
    store.append("journal", notes)
    store.shred()
    store.close()

    assert path.stat().st_size < 1.5 * 2_000 * 1_500


def test_file_of_an_older_version_is_used_as_it_is(tmp_path: Path) -> None:
    """One whose notes stand in a table without rowids."""
    path = tmp_path / "routes.db"
    older = sqlite3.connect(path)
    older.execute(
        "CREATE TABLE pickllm_notes (name TEXT NOT NULL, position INTEGER NOT NULL, "
        "key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, position), UNIQUE (name, key)) "
        "WITHOUT ROWID"
    )
    older.execute("INSERT INTO pickllm_notes VALUES ('journal', 1, 'old', x'01')")
    older.execute("CREATE TABLE pickllm_journals (name TEXT PRIMARY KEY, last INTEGER NOT NULL)")
    older.execute("INSERT INTO pickllm_journals VALUES ('journal', 1)")
    older.commit()
    older.close()

    store = SqliteStore(path)
    notes = [Note(key="old", value=b"\x03"), Note(key="new", value=b"\x02", about=("id",))]
    assert [False, True] == store.append("journal", notes)
    assert [b"\x01", b"\x02"] == [each.value for each in store.read("journal", after=0, limit=9)]
    assert [b"\x02"] == [each.value for each in store.find("journal", "id")]


def test_memory_store_does_not_share_what_it_is_given() -> None:
    """A buffer changed after the put leaves the entry as it was."""
    store, buffer = MemoryStore(), bytearray(b"one")
    store.put("key", buffer)  # type: ignore[arg-type]  # a buffer where bytes are asked for
    buffer[0] = 0
    entry = store.get("key")
    assert entry is not None
    assert b"one" == entry.value

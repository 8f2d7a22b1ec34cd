"""Addresses of stores, and files that cannot be opened."""

from pathlib import Path
from typing import Any

import pytest

from pickllm import ConfigError
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


def test_file_that_is_no_database_is_told_and_left(tmp_path: Path) -> None:
    """Someone else's file is refused and stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but some notes that are long enough to be read as one" * 20)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="cannot open"):
        store_of(f"sqlite:///{path}")
    assert before == path.read_bytes()


def test_memory_store_does_not_share_what_it_is_given() -> None:
    """A buffer changed after the put leaves the entry as it was."""
    store, buffer = MemoryStore(), bytearray(b"one")
    store.put("key", buffer)  # type: ignore[arg-type]  # a buffer where bytes are asked for
    buffer[0] = 0
    entry = store.get("key")
    assert entry is not None
    assert b"one" == entry.value

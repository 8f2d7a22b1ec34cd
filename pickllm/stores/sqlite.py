"""A store in one SQLite file: survives the process, and serves several on one machine.

Write-ahead logging, so that readers do not wait for a writer. A put is one statement, so it is
there as a whole or not at all, whenever the process dies.

>>> store = SqliteStore(":memory:")
>>> store.put("state", b"1"), store.put("state", b"2", expect=1), store.get("state").value
(1, 2, b'2')
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError, StateConflict
from pickllm.lock import Lock
from pickllm.protocols import Entry, Note, Noted

__all__ = ["SqliteStore"]

_PATIENCE_S = 0.25
"""Wait for another writer at most so long: a save that fails is made good by the next."""
_TABLE = """
CREATE TABLE IF NOT EXISTS pickllm_entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID
"""
# Notes have rowids: their values are long, and a tree of keys would leave its pages half empty.
# A file of before, whose notes have none, is used as it is.
_NOTES = """
CREATE TABLE IF NOT EXISTS pickllm_notes (
    name TEXT NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (name, position), UNIQUE (name, key)
)
"""
_LAST = """
CREATE TABLE IF NOT EXISTS pickllm_journals (name TEXT PRIMARY KEY, last INTEGER NOT NULL)
"""
_ABOUT = """
CREATE TABLE IF NOT EXISTS pickllm_about (
    name TEXT, about TEXT, position INTEGER, PRIMARY KEY (name, about, position)
) WITHOUT ROWID
"""
_APPEND = """
INSERT INTO pickllm_notes (name, position, key, value) VALUES (:name, :position, :key, :value)
ON CONFLICT (name, key) DO NOTHING RETURNING position
"""
_ADVANCE = """
INSERT INTO pickllm_journals (name, last) VALUES (:name, :last)
ON CONFLICT (name) DO UPDATE SET last = excluded.last
"""
_READ = """
SELECT position, value FROM pickllm_notes WHERE name = :name AND position > :after
ORDER BY position LIMIT :limit
"""
_FIND = """
SELECT position, value FROM pickllm_about JOIN pickllm_notes USING (name, position)
WHERE name = :name AND about = :about ORDER BY position
"""
_LAST_LETTER = chr(0x10FFFF)
_SCAN = """
SELECT key FROM pickllm_entries
WHERE key >= :prefix AND key <= :beyond AND substr(key, 1, :length) = :prefix ORDER BY key
"""
_PUT = """
INSERT INTO pickllm_entries (key, value, version)
SELECT :key, :value, 1 WHERE :expect IS NULL OR :expect = 0
    OR EXISTS (SELECT 1 FROM pickllm_entries WHERE key = :key)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = version + 1
    WHERE :expect IS NULL OR version = :expect
RETURNING version
"""


class SqliteStore:
    """Entries in a table of a SQLite file. One connection, used by one thread at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._lock = Lock()
        self._open()

    def get(self, key: str) -> Entry | None:
        """What stands under ``key``, or None."""
        rows = self._run("SELECT value, version FROM pickllm_entries WHERE key = :key", key=key)
        return Entry(value=rows[0][0], version=rows[0][1]) if rows else None

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write, and return the new version; see `pickllm.protocols.Store`."""
        rows = self._run(_PUT, key=key, value=value, expect=expect)
        if not rows:
            raise StateConflict(f"{key!r} is not at version {expect}: read it again")
        return int(rows[0][0])

    def delete(self, key: str) -> None:
        """Forget ``key``."""
        self._run("DELETE FROM pickllm_entries WHERE key = :key", key=key)

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""
        keys = self._run(_SCAN, prefix=prefix, length=len(prefix), beyond=prefix + _LAST_LETTER)
        return iter([key for (key,) in keys])

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        """Write those notes whose keys are new; see `pickllm.protocols.Journal`."""
        with self._lock, self._transaction():
            rows = self._run("SELECT last FROM pickllm_journals WHERE name = :name", name=name)
            last = first = int(rows[0][0]) if rows else 0
            new: list[bool] = []
            for note in notes:
                new.append(self._append(name, note, last + 1))
                last += new[-1]
            if last > first:
                self._run(_ADVANCE, name=name, last=last)
            return new

    def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
        """The notes that follow that position."""
        rows = self._run(_READ, name=name, after=after, limit=limit)
        return [Noted(position=position, value=value) for position, value in rows]

    def find(self, name: str, about: str) -> list[Noted]:
        """The notes about an id."""
        rows = self._run(_FIND, name=name, about=about)
        return [Noted(position=position, value=value) for position, value in rows]

    def trim(self, name: str, *, upto: int) -> None:
        """Forget the notes up to that position."""
        with self._lock, self._transaction():
            for table in ("pickllm_about", "pickllm_notes"):
                self._run(
                    f"DELETE FROM {table} WHERE name = :name AND position <= :upto",  # noqa: S608  # ours
                    name=name,
                    upto=upto,
                )

    def shred(self) -> None:
        """Leave nothing of what was deleted in the file or in its log, as far as none reads it."""
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __reduce__(self) -> tuple[type["SqliteStore"], tuple[str]]:
        """A copy opens the file anew."""
        return SqliteStore, (self.path,)

    def _append(self, name: str, note: Note, position: int) -> bool:
        rows = self._run(_APPEND, name=name, position=position, key=note.key, value=note.value)
        for about in note.about if rows else ():
            self._run(
                "INSERT OR IGNORE INTO pickllm_about VALUES (:name, :about, :position)",
                name=name,
                about=about,
                position=position,
            )
        return bool(rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _open(self) -> None:
        """A connection of this process: one that was forked must not use its parent's."""
        self._process = os.getpid()
        try:
            self._connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE_S
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA secure_delete = ON")  # for `shred`
            for table in (_TABLE, _NOTES, _LAST, _ABOUT):
                self._connection.execute(table)
        except sqlite3.Error as error:
            raise ConfigError(f"cannot open {self.path!r} as a SQLite store: {error}") from error

    def _run(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._process != os.getpid():
                self._open()
            return self._connection.execute(sql, values).fetchall()

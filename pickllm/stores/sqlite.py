"""A store in one SQLite file: survives the process, and serves several on one machine.

Write-ahead logging, so that readers do not wait for a writer. A put is one statement, so it is
there as a whole or not at all, whenever the process dies.

>>> store = SqliteStore(":memory:")
>>> store.put("state", b"1"), store.put("state", b"2", expect=1), store.get("state").value
(1, 2, b'2')
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pickllm.errors import StateConflict
from pickllm.protocols import Entry, Note, Noted
from pickllm.stores.sqlite_file import SqliteFile

__all__ = ["SqliteStore"]

_SCHEMA = """
PRAGMA secure_delete = ON; -- for `shred`
CREATE TABLE IF NOT EXISTS pickllm_entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
-- notes have rowids: their values are long, and a tree of keys would leave its pages half empty;
-- a file of before, whose notes have none, is used as it is
CREATE TABLE IF NOT EXISTS pickllm_notes (
    name TEXT NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (name, position), UNIQUE (name, key)
);
CREATE TABLE IF NOT EXISTS pickllm_journals (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pickllm_about (
    name TEXT, about TEXT, position INTEGER, PRIMARY KEY (name, about, position)
) WITHOUT ROWID;
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
        self._file = SqliteFile(path, schema=_SCHEMA, purpose="as a SQLite store")

    def get(self, key: str) -> Entry | None:
        """What stands under ``key``, or None."""
        rows = self._file.rows(
            "SELECT value, version FROM pickllm_entries WHERE key = :key", key=key
        )
        return Entry(value=rows[0][0], version=rows[0][1]) if rows else None

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write, and return the new version; see `pickllm.protocols.Store`."""
        rows = self._file.rows(_PUT, key=key, value=value, expect=expect)
        if not rows:
            raise StateConflict(f"{key!r} is not at version {expect}: read it again")
        return int(rows[0][0])

    def delete(self, key: str) -> None:
        """Forget ``key``."""
        self._file.rows("DELETE FROM pickllm_entries WHERE key = :key", key=key)

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""
        keys = self._file.rows(
            _SCAN, prefix=prefix, length=len(prefix), beyond=prefix + _LAST_LETTER
        )
        return iter([key for (key,) in keys])

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        """Write those notes whose keys are new; see `pickllm.protocols.Journal`."""
        with self._file.transaction():
            rows = self._file.rows(
                "SELECT last FROM pickllm_journals WHERE name = :name", name=name
            )
            last = first = int(rows[0][0]) if rows else 0
            new: list[bool] = []
            for note in notes:
                new.append(self._append(name, note, last + 1))
                last += new[-1]
            if last > first:
                self._file.rows(_ADVANCE, name=name, last=last)
            return new

    def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
        """The notes that follow that position."""
        rows = self._file.rows(_READ, name=name, after=after, limit=limit)
        return [Noted(position=position, value=value) for position, value in rows]

    def find(self, name: str, about: str) -> list[Noted]:
        """The notes about an id."""
        rows = self._file.rows(_FIND, name=name, about=about)
        return [Noted(position=position, value=value) for position, value in rows]

    def trim(self, name: str, *, upto: int) -> None:
        """Forget the notes up to that position."""
        with self._file.transaction():
            for table in ("pickllm_about", "pickllm_notes"):
                self._file.rows(
                    f"DELETE FROM {table} WHERE name = :name AND position <= :upto",  # noqa: S608  # ours
                    name=name,
                    upto=upto,
                )

    def shred(self) -> None:
        """Leave nothing of what was deleted in the file or in its log, as far as none reads it."""
        self._file.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> tuple[type["SqliteStore"], tuple[str]]:
        """A copy opens the file anew."""
        return SqliteStore, (self.path,)

    def _append(self, name: str, note: Note, position: int) -> bool:
        rows = self._file.rows(
            _APPEND, name=name, position=position, key=note.key, value=note.value
        )
        for about in note.about if rows else ():
            self._file.rows(
                "INSERT OR IGNORE INTO pickllm_about VALUES (:name, :about, :position)",
                name=name,
                about=about,
                position=position,
            )
        return bool(rows)

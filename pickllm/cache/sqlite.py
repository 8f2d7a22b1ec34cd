"""Kept answers in SQLite: in this process's memory, or in a file that several share.

Reading an answer writes nothing: which ones were used is remembered, and written with the next
answer that is kept. So what is least recently used is known a little late between processes.

>>> shelf = SqliteShelf(":memory:")
>>> row = Row(key="k", partition="p", value=b"42", decision_id="d", arm="small", expires_s=60.0)
>>> shelf.put(row, now_s=0.0, most=10), shelf.get("k", now_s=1.0), shelf.get("k", now_s=60.0)
(0, b'42', None)
>>> shelf.drop(decision_id="d"), shelf.size()
(1, 0)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pickllm.cache.rows import Placed, Row
from pickllm.stores.sqlite_file import SqliteFile

__all__ = ["SqliteShelf"]

_SLACK = 100
"""Rows are counted once for so many hundredths of the bound: counting takes a while."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pickllm_answers (
    position INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, key TEXT NOT NULL,
    partition TEXT NOT NULL, decision_id TEXT NOT NULL, arm TEXT NOT NULL, expires_s REAL,
    used_s REAL NOT NULL, value BLOB NOT NULL, UNIQUE (namespace, key)
);
CREATE INDEX IF NOT EXISTS pickllm_answers_in
    ON pickllm_answers (namespace, partition, position);
CREATE INDEX IF NOT EXISTS pickllm_answers_by ON pickllm_answers (namespace, decision_id);
CREATE INDEX IF NOT EXISTS pickllm_answers_of ON pickllm_answers (namespace, arm);
CREATE INDEX IF NOT EXISTS pickllm_answers_used ON pickllm_answers (namespace, used_s);
CREATE INDEX IF NOT EXISTS pickllm_answers_until
    ON pickllm_answers (namespace, expires_s) WHERE expires_s IS NOT NULL;
CREATE TABLE IF NOT EXISTS pickllm_answer_sums (
    namespace TEXT, name TEXT, field TEXT, amount REAL NOT NULL,
    PRIMARY KEY (namespace, name, field)
) WITHOUT ROWID;
"""
_PUT = """
INSERT OR REPLACE INTO pickllm_answers
    (namespace, key, partition, decision_id, arm, expires_s, used_s, value)
VALUES (:namespace, :key, :partition, :decision_id, :arm, :expires_s, :now_s, :value)
"""
_EXPIRED = """
DELETE FROM pickllm_answers WHERE namespace = :namespace AND expires_s <= :now_s
"""
_CROWDED_OUT = """
DELETE FROM pickllm_answers WHERE position IN (
    SELECT position FROM pickllm_answers WHERE namespace = :namespace
    ORDER BY used_s, position LIMIT :over
)
"""
_ADD = """
INSERT INTO pickllm_answer_sums VALUES (:namespace, :name, :field, :amount)
ON CONFLICT DO UPDATE SET amount = amount + excluded.amount
"""


class SqliteShelf:
    """Answers in a table. One connection, used by one thread at a time."""

    def __init__(self, path: str | Path, *, namespace: str = "default") -> None:
        self.path = str(path)
        self.namespace = namespace
        self._key_to_used_s: dict[str, float] = {}
        self._until_count = 0
        self._file = SqliteFile(path, schema=_SCHEMA, purpose="to keep answers in")

    def get(self, key: str, *, now_s: float) -> bytes | None:
        """What stands under ``key``; see `pickllm.cache.shelf.Shelf`."""
        rows = self._run(
            "SELECT value FROM pickllm_answers WHERE namespace = :namespace AND key = :key "
            "AND (expires_s IS NULL OR expires_s > :now_s)",
            key=key,
            now_s=now_s,
        )
        if not rows:
            return None
        with self._file.lock:
            self._key_to_used_s[key] = now_s
        return bytes(rows[0][0])

    def put(self, row: Row, *, now_s: float, most: int) -> int:
        """Write a row, and make room; see `pickllm.cache.shelf.Shelf`."""
        with self._file.transaction():
            self._note_used()
            self._run(
                _PUT,
                key=row.key,
                partition=row.partition,
                decision_id=row.decision_id,
                arm=row.arm,
                expires_s=row.expires_s,
                value=row.value,
                now_s=now_s,
            )
            gone = self._changed(_EXPIRED, now_s=now_s)
            self._until_count -= 1
            if self._until_count <= 0:
                over = max(self.size() - most, 0)
                gone += self._changed(_CROWDED_OUT, over=over) if over else 0
                self._until_count = most // _SLACK
            return gone

    def drop(self, *, key: str = "", decision_id: str = "", arm: str = "") -> int:
        """Let go of rows; see `pickllm.cache.shelf.Shelf`."""
        return sum(
            self._changed(
                f"DELETE FROM pickllm_answers WHERE namespace = :namespace AND {column} = :wanted",  # noqa: S608  # ours
                wanted=wanted,
            )
            for column, wanted in (("key", key), ("decision_id", decision_id), ("arm", arm))
            if wanted
        )

    def since(self, partition: str, position: int, *, limit: int) -> Sequence[Placed]:
        """The rows of one partition that are newer."""
        rows = self._run(
            "SELECT position, key, value FROM pickllm_answers WHERE namespace = :namespace "
            "AND partition = :partition AND position > :position ORDER BY position LIMIT :limit",
            partition=partition,
            position=position,
            limit=limit,
        )
        return [Placed(position=place, key=key, value=bytes(value)) for place, key, value in rows]

    def add(self, name: str, amounts: Mapping[str, float]) -> None:
        """Add to sums."""
        with self._file.transaction():
            for field, amount in amounts.items():
                self._run(_ADD, name=name, field=field, amount=amount)

    def sums(self, name: str) -> dict[str, float]:
        """All sums under a name."""
        return dict(
            self._run(
                "SELECT field, amount FROM pickllm_answer_sums "
                "WHERE namespace = :namespace AND name = :name",
                name=name,
            )
        )

    def size(self) -> int:
        """How many answers stand here."""
        rows = self._run("SELECT count(*) FROM pickllm_answers WHERE namespace = :namespace")
        return int(rows[0][0])

    def clear(self) -> None:
        """Let go of everything."""
        self._run("DELETE FROM pickllm_answers WHERE namespace = :namespace")
        self._run("DELETE FROM pickllm_answer_sums WHERE namespace = :namespace")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy opens the file anew."""
        return _opened, (self.path, self.namespace)

    def _note_used(self) -> None:
        for key, used_s in self._key_to_used_s.items():
            self._run(
                "UPDATE pickllm_answers SET used_s = :used_s "
                "WHERE namespace = :namespace AND key = :key",
                used_s=used_s,
                key=key,
            )
        self._key_to_used_s = {}

    def _run(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        return self._file.rows(sql, namespace=self.namespace, **values)

    def _changed(self, sql: str, **values: object) -> int:
        return self._file.changed(sql, namespace=self.namespace, **values)


def _opened(path: str, namespace: str) -> SqliteShelf:
    return SqliteShelf(path, namespace=namespace)

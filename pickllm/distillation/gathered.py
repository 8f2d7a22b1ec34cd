"""Pairs on their way into an export, in a SQLite file beside it: nothing is held in memory.

Pairs come in batches, and with each batch stands how far the reading had come. So an export that
was killed goes on where it was, and reads no transcript twice.

>>> from pickllm.types import Said
>>> pairs = Gathered(":memory:", settings="")
>>> again = [Pair(turns=(Said(role="user", text=text),), answer="4", score=score)
...          for text, score in (("2+2", 0.5), ("2+2", 1.0))]
>>> pairs.add(again, np.eye(2), read={"read": 2}, reached=("store", "d2"))
>>> [pairs.pair(row.number).score for row in pairs.best()]
[1.0]
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.distillation.pairs import Pair, of_line, to_line
from pickllm.errors import ConfigError

__all__ = ["Gathered", "Row"]

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS pairs (
    number INTEGER PRIMARY KEY, prompt TEXT NOT NULL, score REAL, time_s REAL NOT NULL,
    pair TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_prompt ON pairs (prompt);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_BEST = """
SELECT number, prompt, score, time_s FROM (
    SELECT *, row_number() OVER (
        PARTITION BY prompt ORDER BY score DESC NULLS LAST, time_s DESC, number DESC
    ) AS place FROM pairs
) WHERE place = 1 ORDER BY time_s, number
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One pair without its text."""

    number: int
    prompt: str
    """Digest of the conversation, case and spaces aside."""
    score: float | None
    time_s: float


class Gathered:
    """The pairs gathered so far."""

    def __init__(self, path: Path | str, *, settings: str) -> None:
        """Open the file, or make it; ``settings`` is what all its pairs must have in common.

        Raises:
            ConfigError: It holds pairs that were gathered by other settings.
        """
        self._file = sqlite3.connect(str(path), isolation_level=None)
        self._file.executescript(_TABLES)
        before = self._note("settings")
        if before not in (None, settings):
            raise ConfigError(
                f"{path} is an unfinished export of other settings: finish that one, remove its "
                "folder, or name another"
            )
        self._write_note("settings", settings)

    def add(
        self,
        pairs: Sequence[Pair],
        vectors: Floats,
        *,
        read: Mapping[str, int],
        reached: tuple[str, str],
    ) -> None:
        """Take over a batch, with what was counted in it and how far a source was read.

        ``vectors`` are those of the prompts, ``[pairs, dim]``.
        """
        rows = [
            (_prompt(pair), pair.score, pair.time_s, to_line(pair), vector.astype("<f4").tobytes())
            for pair, vector in zip(pairs, vectors, strict=True)
        ]
        self._file.execute("BEGIN")
        self._file.executemany(
            "INSERT INTO pairs (prompt, score, time_s, pair, vector) VALUES (?, ?, ?, ?, ?)", rows
        )
        self._write_note("counts", json.dumps(self.counts + Counter(read)))
        self.reach(*reached)
        self._file.execute("COMMIT")

    @property
    def counts(self) -> Counter[str]:
        """What was counted while they were gathered."""
        return Counter(json.loads(self._note("counts") or "{}"))

    def reached(self, source: str) -> str:
        """How far a source was read; empty for not at all."""
        return self._note(f"reached {source}") or ""

    def reach(self, source: str, place: str) -> None:
        """Note how far a source was read."""
        self._write_note(f"reached {source}", place)

    def __len__(self) -> int:
        """How many pairs there are."""
        return int(self._file.execute("SELECT count(*) FROM pairs").fetchone()[0])

    def best(self) -> list[Row]:
        """Of each prompt the pair with the best score, the newest of equals; the oldest first."""
        return [
            Row(number=number, prompt=prompt, score=score, time_s=time_s)
            for number, prompt, score, time_s in self._file.execute(_BEST)
        ]

    def vectors(self, rows: Sequence[Row], *, dim: int) -> Floats:
        """The vectors of some, ``[rows, dim]``."""
        found = np.empty((len(rows), dim), dtype=np.float32)
        for at, row in enumerate(rows):
            found[at] = np.frombuffer(self._cell("vector", row.number), "<f4")
        return found

    def pair(self, number: int) -> Pair:
        """One of them."""
        return of_line(str(self._cell("pair", number)))

    def pairs(self, rows: Sequence[Row]) -> Iterator[Pair]:
        """Some of them, one at a time."""
        return (self.pair(row.number) for row in rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cell(self, column: str, number: int) -> Any:
        query = f"SELECT {column} FROM pairs WHERE number = ?"  # noqa: S608  # a column of ours
        (cell,) = self._file.execute(query, (number,)).fetchone()
        return cell

    def _note(self, name: str) -> str | None:
        found = self._file.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _write_note(self, name: str, value: str) -> None:
        self._file.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))


def _prompt(pair: Pair) -> str:
    """The conversation, as far as it makes two pairs the same."""
    said = [[turn.role, re.sub(r"\s+", " ", turn.text).strip().casefold()] for turn in pair.turns]
    return blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()

"""A SQLite file as several processes of a machine share it: what stores and shelves stand on.

Write-ahead logging, so that readers do not wait for a writer; what is written in a transaction is
there as a whole or not at all, whenever the process dies.

>>> file = SqliteFile(":memory:", schema="CREATE TABLE sums (amount INTEGER)", purpose="to add in")
>>> with file.transaction():
...     file.changed("INSERT INTO sums VALUES (:amount)", amount=2)
1
>>> file.rows("SELECT amount FROM sums")
[(2,)]
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError
from pickllm.lock import Lock

__all__ = ["SqliteFile"]

_OURS = "pickllm_"
"""So every table of ours begins."""

_PATIENCE_S = 0.25
"""Wait for another writer at most so long: what cannot be written now is made good later."""

_OPENING_PATIENCE_S = 10.0
"""But in opening it so long: workers that begin together all want to make its tables."""

_BETWEEN_TRIES_S = 0.05


class SqliteFile:
    """One connection, used by one thread at a time."""

    def __init__(self, path: str | Path, *, schema: str, purpose: str) -> None:
        """Open the file; ``purpose`` goes on "cannot open it", such as "as a SQLite store"."""
        self.path = str(path)
        self.lock = Lock()
        """Whoever has it is alone with the file; it may be taken again by its holder."""
        self._schema = schema
        self._purpose = purpose
        self._open(patience_s=_OPENING_PATIENCE_S)

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What a statement finds or returns."""
        with self.lock:
            return self._execute(sql, values).fetchall()

    def changed(self, sql: str, **values: object) -> int:
        """How many rows a statement has changed."""
        with self.lock:
            return self._execute(sql, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        with self.lock:
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    def _execute(self, sql: str, values: Mapping[str, object]) -> sqlite3.Cursor:
        if self._process != os.getpid():
            self._open(patience_s=0.0)
        return self._connection.execute(sql, values)

    def _open(self, *, patience_s: float) -> None:
        """A connection of this process: one that was forked must not use its parent's."""
        self._process = os.getpid()
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                self._connection = self._connected()
                return
            except sqlite3.Error as error:
                is_busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= deadline_s:
                    raise ConfigError(
                        f"cannot open {self.path!r} {self._purpose}: {error}"
                    ) from error
            time.sleep(_BETWEEN_TRIES_S)  # for a change of journal mode SQLite itself does not wait

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE_S
        )
        with contextlib.ExitStack() as where_refused:
            where_refused.callback(connection.close)
            self._check_ours(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(self._schema)
            where_refused.pop_all()
        return connection

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        """A database of another program is left as it is."""
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in rows]
        if tables and not any(name.startswith(_OURS) for name in tables):
            raise ConfigError(
                f"{self.path!r} holds tables of another program, such as {tables[0]!r}: give "
                "PickLLM a file of its own"
            )

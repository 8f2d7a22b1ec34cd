"""A store in this process: for tests, and for sessions that need not outlive it.

>>> store = MemoryStore()
>>> store.put("state", b"1"), store.put("state", b"2", expect=1), store.get("state").value
(1, 2, b'2')
"""

from collections.abc import Iterator

from pickllm.errors import StateConflict
from pickllm.lock import Lock
from pickllm.protocols import Entry

__all__ = ["MemoryStore"]


class MemoryStore:
    """A dictionary with versions and a lock."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = Lock()

    def get(self, key: str) -> Entry | None:
        """What stands under ``key``, or None."""
        return self._entries.get(key)

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write, and return the new version; see `pickllm.protocols.Store`."""
        with self._lock:
            entry = self._entries.get(key)
            found = entry.version if entry else 0
            if expect is not None and expect != found:
                raise StateConflict(f"{key!r} is at version {found}, not {expect}: read it again")
            self._entries[key] = Entry(value=bytes(value), version=found + 1)
            return found + 1

    def delete(self, key: str) -> None:
        """Forget ``key``."""
        with self._lock:
            self._entries.pop(key, None)

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""
        with self._lock:
            keys = sorted(key for key in self._entries if key.startswith(prefix))
        return iter(keys)

"""A store in this process: for tests, and for sessions that need not outlive it.

>>> store = MemoryStore()
>>> store.put("state", b"1"), store.put("state", b"2", expect=1), store.get("state").value
(1, 2, b'2')
>>> store.append("log", [Note(key="a", value=b"1"), Note(key="a", value=b"2")])
[True, False]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pickllm.errors import StateConflict
from pickllm.lock import Lock
from pickllm.protocols import Entry, Note, Noted

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Log:
    position_to_note: dict[int, Note] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    about_to_positions: dict[str, list[int]] = field(default_factory=dict)
    last: int = 0


class MemoryStore:
    """Dictionaries with versions, lists with positions, and a lock."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._logs: dict[str, _Log] = {}
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

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        """Write those notes whose keys are new; see `pickllm.protocols.Journal`."""
        with self._lock:
            log = self._logs.setdefault(name, _Log())
            return [_written(log, note) for note in notes]

    def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
        """The notes that follow that position."""
        with self._lock:
            log = self._logs.get(name, _Log())
            first = next(iter(log.position_to_note), 1)
            positions = range(
                max(after + 1, first), min(max(after, first - 1) + limit, log.last) + 1
            )
            return [_noted(log, position) for position in positions]

    def find(self, name: str, about: str) -> list[Noted]:
        """The notes about an id."""
        with self._lock:
            log = self._logs.get(name, _Log())
            return [_noted(log, position) for position in log.about_to_positions.get(about, ())]

    def trim(self, name: str, *, upto: int) -> None:
        """Forget the notes up to that position."""
        with self._lock:
            log = self._logs.get(name, _Log())
            for position in [p for p in log.position_to_note if p <= upto]:
                note = log.position_to_note.pop(position)
                log.keys.discard(note.key)
                for about in note.about:
                    log.about_to_positions[about].remove(position)
                    if not log.about_to_positions[about]:
                        del log.about_to_positions[about]


def _written(log: _Log, note: Note) -> bool:
    if note.key in log.keys:
        return False
    log.last += 1
    log.keys.add(note.key)
    log.position_to_note[log.last] = note
    for about in note.about:
        log.about_to_positions.setdefault(about, []).append(log.last)
    return True


def _noted(log: _Log, position: int) -> Noted:
    return Noted(position=position, value=log.position_to_note[position].value)

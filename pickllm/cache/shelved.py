"""Entries on a shelf, sealed and read back, and what this process remembers of them.

Answers themselves are read from the shelf each time, so that what one worker lets go is gone for
all. Vectors of questions and counts of verified pairs are remembered here, and caught up with.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from threading import Thread
from typing import TypeVar

from pickllm.cache.acceptance import Verified, pair_name
from pickllm.cache.entry import Damaged, Entry, packed, unpacked
from pickllm.cache.rows import Row
from pickllm.cache.semantic import Neighbours
from pickllm.cache.shelf import Shelf
from pickllm.lock import Lock

__all__ = ["Shelved", "remember"]

logger = logging.getLogger("pickllm")

T = TypeVar("T")

_ROWS_AT_ONCE = 256
"""So many new rows one lookup reads at most."""
_PARTITIONS = 256
_CIRCLES = 10_000
_OWED = 2_000
_PAIRS_AGE_S = 10.0
"""What other workers verified is seen so much later."""


class Shelved:
    """A shelf of entries. Threads may share it."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        secret: bytes,
        clock: Callable[[], float],
        count: Callable[[str, int], None],
    ) -> None:
        self.shelf = shelf
        self._secret = secret
        self._clock = clock
        self._count = count
        self._lock = Lock()
        self._partition_to_neighbours: OrderedDict[str, Neighbours] = OrderedDict()
        self._circle_to_pairs: OrderedDict[str, tuple[float, Verified]] = OrderedDict()
        self._owed: deque[Mapping[str, str]] = deque(maxlen=_OWED)
        """What the shelf could not be told to let go of yet; nothing is given before it is."""

    def entry(self, key: str) -> Entry | None:
        """What stands under a key; one that is damaged is let go."""
        data = self.shelf.get(key, now_s=self._clock())
        return None if data is None else self._unpacked(data, key)

    def put(
        self, key: str, entry: Entry, *, partition: str, expires_s: float | None, most: int
    ) -> int:
        """Write an entry; returns how many others went for it."""
        row = Row(
            key=key,
            partition=partition,
            value=packed(entry, key=key, secret=self._secret),
            decision_id=entry.kept.decision_id,
            arm=entry.kept.arm,
            expires_s=expires_s,
        )
        return self.shelf.put(row, now_s=self._clock(), most=most)

    def owe(self, *, key: str = "", decision_id: str = "", arm: str = "") -> None:
        """Have `pay` let go of what has that key, that decision or that arm."""
        with self._lock:
            self._owed.append({"key": key, "decision_id": decision_id, "arm": arm})

    def pay(self) -> None:
        """Let go of all that is to go; what the shelf does not hear of now is owed to it."""
        while (wanted := self._next_owed()) is not None:
            self._count("evicted", self.shelf.drop(**wanted))
            with self._lock:
                if self._next_owed() is wanted:
                    self._owed.popleft()

    def neighbours(self, partition: str, *, dim: int) -> Neighbours | None:
        """The questions of a partition, with the next of those that others have added."""
        with self._lock:
            known = self._partition_to_neighbours.get(partition)
        position = 0 if known is None else known.position
        rows = self.shelf.since(partition, position, limit=_ROWS_AT_ONCE)
        if known is None and not rows:
            return None
        with self._lock:
            known = self._partition_to_neighbours.setdefault(partition, Neighbours(dim))
            remember(self._partition_to_neighbours, partition, known, most=_PARTITIONS)
        for row in rows:
            entry = self._unpacked(row.value, row.key)
            if entry is not None:
                known.add(row.key, entry.question, entry.vector)
            known.position = max(known.position, row.position)
        if known.gathered:  # no lookup waits for it
            Thread(target=known.put_in_order, name="pickllm-answers", daemon=True).start()
        return known

    def pairs(self, circle: str) -> Verified:
        """The verified pairs of a circle; of all for ""."""
        now_s = self._clock()
        with self._lock:
            read_s, pairs = self._circle_to_pairs.get(circle, (float("-inf"), Verified()))
        if now_s - read_s >= _PAIRS_AGE_S:
            pairs = Verified(sums=self.shelf.sums(f"pairs/{circle}"))
            with self._lock:
                remember(self._circle_to_pairs, circle, (now_s, pairs), most=_CIRCLES)
        return pairs

    def add_pair(
        self, circle: str, kind: str, band: float, *, right: bool, amount: int = 1
    ) -> None:
        """Count a verified pair for its circle, and for all; -1 takes one back."""
        for each in ("", circle):
            self.shelf.add(f"pairs/{each}", {pair_name(kind, band, right=right): float(amount)})
        with self._lock:
            for each in ("", circle):
                self._circle_to_pairs.pop(each, None)

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._partition_to_neighbours.clear()
            self._circle_to_pairs.clear()
        self.shelf.clear()

    def _next_owed(self) -> Mapping[str, str] | None:
        with self._lock:
            return self._owed[0] if self._owed else None

    def _unpacked(self, data: bytes, key: str) -> Entry | None:
        try:
            return unpacked(data, key=key, secret=self._secret)
        except Damaged as error:
            self._count("damaged", 1)
            logger.warning("a kept answer is damaged or forged: %s; it is let go", error)
            self.shelf.drop(key=key)
            return None


def remember(table: OrderedDict[str, T], name: str, value: T, *, most: int) -> None:
    """Newest last, and no more than so many."""
    table[name] = value
    table.move_to_end(name)
    while len(table) > most:
        table.popitem(last=False)

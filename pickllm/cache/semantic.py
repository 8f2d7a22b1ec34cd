"""The nearest of the questions kept in one partition, as this process knows them.

The shelf is the truth; this is a hint of where to look. Rows are read from the shelf as they come,
some at a time, so that no lookup waits for many. Few vectors are all compared; many go to FAISS,
where it is installed, and only the newest are compared one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pickllm.arrays import Floats
from pickllm.cache.reading import Reading, read
from pickllm.errors import MissingExtra
from pickllm.index import FaissIndex
from pickllm.lock import Lock
from pickllm.types import Vector

__all__ = ["Neighbour", "Neighbours"]

_COMPARED = 4_096
"""So many newest vectors are compared one by one; the rest stand in FAISS's lists."""
_LISTS, _READ = 512, 8
_ROOM = 64
"""For so many questions there is room at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A question that was answered before."""

    key: str
    similarity: float
    """Cosine of the two questions' vectors."""
    reading: Reading = field(repr=False)


class Neighbours:
    """Questions with their vectors, ``[questions, dim]``, newest last. Threads may share it."""

    def __init__(self, dim: int) -> None:
        self.position = 0
        """Of the newest row read from the shelf."""
        self._vectors: Floats = np.zeros((_ROOM, dim), dtype=np.float32)
        self._keys: list[str] = []
        self._questions: list[str] = []
        self._key_to_place: dict[str, int] = {}
        self._place_to_reading: dict[int, Reading] = {}
        self._index: FaissIndex | None = FaissIndex(lists=_LISTS, looked_into=_READ)
        self._indexed = 0
        self._order = 0
        """How often places were given anew: an index of an older order is of no use."""
        self._at_work = False
        self._lock = Lock()

    def __len__(self) -> int:
        """How many questions are known and not forgotten."""
        return len(self._key_to_place)

    def add(self, key: str, question: str, vector: Vector) -> None:
        """One more question, in place of any under its key; one without a vector is left out."""
        with self._lock:
            self.forget(key)
            length = float(np.linalg.norm(vector))
            if vector.shape != self._vectors.shape[1:] or not length > 0.0:
                return
            place = len(self._keys)
            if place == len(self._vectors):
                more = np.zeros((max(place, _ROOM), len(vector)), dtype=np.float32)
                self._vectors = np.concatenate((self._vectors, more))
            self._vectors[place] = vector / length
            self._keys.append(key)
            self._questions.append(question)
            self._key_to_place[key] = place

    def forget(self, key: str) -> None:
        """Leave out what the shelf has no longer."""
        with self._lock:
            place = self._key_to_place.pop(key, None)
            if place is not None:
                self._vectors[place] = 0.0
                self._place_to_reading.pop(place, None)

    def nearest(self, vector: Vector, count: int) -> Sequence[Neighbour]:
        """The nearest, best first; at most ``count``."""
        length = float(np.linalg.norm(vector))
        if vector.shape != self._vectors.shape[1:] or not length > 0.0:
            return []
        with self._lock:
            found = dict(self._found(vector / length, count))
            places = sorted(found, key=lambda place: -found[place])[:count]
            return [
                Neighbour(
                    key=self._keys[place], similarity=found[place], reading=self._reading(place)
                )
                for place in places
            ]

    @property
    def gathered(self) -> bool:
        """Whether enough has gathered for `put_in_order` to be worth its while."""
        return not self._at_work and self._index is not None and self._unordered() >= _COMPARED

    def put_in_order(self) -> None:
        """Hand what has gathered to FAISS, and close gaps; others may look meanwhile.

        The first time takes a second or so, later ones some tenths.
        """
        with self._lock:
            if not self.gathered or self._index is None:
                return
            if len(self._keys) > 2 * len(self._key_to_place) + _COMPARED:
                self._close_gaps()
            index, end, order = self._index, len(self._keys), self._order
            vectors = self._vectors[self._indexed : end].copy()
            self._at_work = True
        grown: FaissIndex | None = None
        try:
            grown = index.add(vectors) if len(vectors) else index
        except MissingExtra:
            pass  # then all are compared, which takes its time
        finally:
            with self._lock:
                self._at_work = False
                if self._order == order:
                    self._index, self._indexed = grown, self._indexed if grown is None else end

    def _unordered(self) -> int:
        return len(self._keys) - self._indexed

    def _found(self, vector: Vector, count: int) -> Iterator[tuple[int, float]]:
        newest = self._vectors[self._indexed : len(self._keys)] @ vector
        few = (
            np.argpartition(newest, -count)[-count:] if len(newest) > count else range(len(newest))
        )
        found = [(self._indexed + int(place), float(newest[place])) for place in few]
        if self._index is not None and self._indexed:
            places, similarities = self._index.search(vector[None, :], 2 * count)
            found += [(int(p), float(s)) for p, s in zip(places[0], similarities[0], strict=True)]
        for place, similarity in found:
            if place >= 0 and self._key_to_place.get(self._keys[place]) == place:
                yield place, similarity

    def _reading(self, place: int) -> Reading:
        if place not in self._place_to_reading:
            self._place_to_reading[place] = read(self._questions[place])
        return self._place_to_reading[place]

    def _close_gaps(self) -> None:
        places = list(self._key_to_place.values())
        self._vectors = self._vectors[places]
        self._keys = [self._keys[place] for place in places]
        self._questions = [self._questions[place] for place in places]
        self._key_to_place = {key: place for place, key in enumerate(self._keys)}
        self._place_to_reading = {}
        self._index, self._indexed = FaissIndex(lists=_LISTS, looked_into=_READ), 0
        self._order += 1

"""Work that several threads bring at once, done in one go: what is slow is the way, not the load.

    thread 1 ──► writes ─────────────►│ writes for 2, 3 and 4 ──► …
    thread 2, 3, 4 ──► wait in line ──┘

A thread that comes alone waits for nobody.

>>> double = Together(lambda numbers: [2 * number for number in numbers], most=10)
>>> double(4)
8
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pickllm.lock import Lock

__all__ = ["Together"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Place(Generic[T, R]):
    """In the line: what is to be done, and what came of it."""

    item: T
    results: list[R]
    """One, once it is done."""
    error: Exception | None = None


class Together(Generic[T, R]):
    """Calls of a function of many, each for one."""

    def __init__(self, function: Callable[[list[T]], list[R]], *, most: int) -> None:
        self._function = function
        self._most = most
        self._line: list[_Place[T, R]] = []
        self._turn = Lock()

    def __call__(self, item: T) -> R:
        """The result for this one; an error of the function reaches all whom it was called for."""
        place: _Place[T, R] = _Place(item=item, results=[])
        self._line.append(place)
        with self._turn:
            while not place.results and place.error is None:
                self._do_oldest()
        if place.error is not None:
            raise place.error
        return place.results[0]

    def _do_oldest(self) -> None:
        places = self._line[: self._most]
        try:
            results = self._function([place.item for place in places])
        except Exception as error:
            for place in places:
                place.error = error
        else:
            for place, result in zip(places, results, strict=True):
                place.results.append(result)
        del self._line[: len(places)]  # after an interrupt they stand there still

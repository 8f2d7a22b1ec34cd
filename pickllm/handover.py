"""Local work that takes something for its flow, and gives it back where the flow is gone by then.

Under asyncio a cancelled flow leaves while its work still runs in a thread, which nobody can stop.

>>> flow = unless_left(lambda: "a place", undo=print)
>>> next(flow).run(), flow.close()
a place
('a place', None)
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from pickllm.lock import Lock
from pickllm.protocols import Asking
from pickllm.steps import Work

__all__ = ["unless_left"]

T = TypeVar("T")


def unless_left(work: Callable[[], T], *, undo: Callable[[T], object]) -> Asking[T]:
    """Have the work done; where its flow is stopped meanwhile, ``undo`` gets its result, once."""
    handover = _Handover(work, undo)
    try:
        result: T = yield Work(run=handover.run)
    except BaseException:
        handover.leave()
        raise
    return result


class _Handover(Generic[T]):
    def __init__(self, work: Callable[[], T], undo: Callable[[T], object]) -> None:
        self._work, self._undo = work, undo
        self._results: list[T] = []
        self._left = False
        self._lock = Lock()

    def run(self) -> T:
        result = self._work()
        with self._lock:
            self._results.append(result)
            left = self._left
        if left:
            self._undo(result)
        return result

    def leave(self) -> None:
        with self._lock:
            self._left = True
            done = tuple(self._results)
        for result in done:
            self._undo(result)

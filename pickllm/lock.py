"""A lock that may be copied: the copy of an object that has one gets a fresh one of its own."""

import threading
from types import TracebackType

__all__ = ["Lock"]


class Lock:
    """A reentrant lock; `copy`, `deepcopy` and serialisation make a new, open one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        """Wait until it is ours."""
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it go."""
        self._lock.release()

    def __reduce__(self) -> tuple[type["Lock"], tuple[()]]:
        """What a copy is made of: nothing."""
        return Lock, ()

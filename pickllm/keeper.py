"""Keeps learnt state in a store, and never lets the store's troubles reach an answer.

At the start a store that cannot be read, or holds another policy's state, is an error. Later, a
save that fails is counted, logged once in a row of failures, and made good by the next one, since
every save writes the whole state.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from pickllm.errors import StateConflict
from pickllm.lock import Lock
from pickllm.protocols import Store
from pickllm.stores.codec import decode, encode

__all__ = ["Keeper"]

logger = logging.getLogger("pickllm")


class Keeper:
    """One router's state under one key of a store; without a store it keeps nothing."""

    def __init__(self, store: Store | None, *, namespace: str, policy: str) -> None:
        self.key = f"pickllm/state/{namespace}"
        self._store = store
        self._policy = policy
        self._version = 0
        self._counts: Counter[str] = Counter()
        self._failing = False
        self._saved: object = None
        self._lock = Lock()

    def load(self, *, like: Any) -> Any:
        """The state kept, or ``like``, the fresh one, where there is none yet."""
        entry = self._store.get(self.key) if self._store else None
        if entry is None:
            self._saved = like  # nothing learnt yet is nothing to write
            return like
        self._version = entry.version
        self._saved = decode(entry.value, like=like, policy=self._policy)
        return self._saved

    def behind(self, state: object) -> bool:
        """Whether there is a store, and this state is not in it."""
        return self._store is not None and state is not self._saved

    def save(self, newest: Callable[[], object]) -> None:
        """Write the state. It is read inside the lock, so that the last to write has the newest."""
        if self._store is None:
            return
        with self._lock:
            state = newest()
            if state is self._saved:
                return
            try:
                data = encode(state, policy=self._policy)
                self._version = self._store.put(self.key, data, expect=self._version)
                self._saved, self._failing = state, False
            except StateConflict:
                self._tell("store_conflicts", "another router writes %r too: give each a namespace")
                self._take_over_if_left()
            except Exception as error:  # a store may fail in any way
                self._tell("store_failures", f"cannot save %r ({type(error).__name__})")

    def stats(self) -> dict[str, int]:
        """How many saves failed, and why."""
        return dict(self._counts)

    def _take_over_if_left(self) -> None:
        """The next save writes over what stands there now, unless someone writes again until then.

        So a process that another has replaced is followed, and two that write at once are told
        apart by their conflicts; what each has learnt is not merged.
        """
        assert self._store is not None
        try:
            entry = self._store.get(self.key)
        except Exception as error:
            self._tell("store_failures", f"cannot read %r ({type(error).__name__})")
        else:
            self._version = entry.version if entry else 0

    def _tell(self, count: str, message: str) -> None:
        self._counts[count] += 1
        if not self._failing:
            logger.warning(message, self.key)
        self._failing = True

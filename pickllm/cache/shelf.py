"""Where kept answers stand: what a back end does, and no more.

    sqlite.py   in this process, or in one file for the processes of a machine
    redis.py    on a server, for a fleet

A `pickllm.protocols.Store` knows keys and versions; answers also age, are crowded out by newer
ones, and go all at once by the decision or the arm that they came from. Hence a seam of its own.

The clock is the caller's: every method that needs the time is told it.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from pickllm.cache.redis import RedisShelf
from pickllm.cache.rows import Placed, Row
from pickllm.cache.sqlite import SqliteShelf
from pickllm.errors import ConfigError

__all__ = ["Shelf", "ShelfLike", "shelf_of"]

_SQLITE = "sqlite:///"
_REDIS = ("redis://", "rediss://", "unix://")


class Shelf(Protocol):
    """Answers as bytes, with what they are found by. Blocks; threads may share it."""

    def get(self, key: str, *, now_s: float) -> bytes | None:
        """What stands under ``key`` and has not expired; it counts as used."""

    def put(self, row: Row, *, now_s: float, most: int) -> int:
        """Write a row over any of its key, and return how many others went for it.

        Those are the expired, and the least recently used beyond ``most`` or a hundredth more.
        """

    def drop(self, *, key: str = "", decision_id: str = "", arm: str = "") -> int:
        """Let go of what has that key, that decision or that arm; returns how many went."""

    def since(self, partition: str, position: int, *, limit: int) -> Sequence[Placed]:
        """The rows of one partition that were written after that position, in order."""

    def add(self, name: str, amounts: Mapping[str, float]) -> None:
        """Add to sums under a name; what several processes add comes together."""

    def sums(self, name: str) -> dict[str, float]:
        """All sums under a name."""

    def size(self) -> int:
        """How many answers stand here, expired ones among them until they are let go of."""

    def clear(self) -> None:
        """Let go of every answer, and of the sums."""

    def close(self) -> None:
        """Let go of files and connections."""


ShelfLike: TypeAlias = Shelf | str
"""What a user may give: a shelf, or an address as stores have it."""


def shelf_of(given: ShelfLike, *, namespace: str) -> Shelf:
    """The shelf that ``given`` stands for, or `ConfigError`."""
    if not isinstance(given, str):
        lacking = [name for name in ("get", "put", "drop", "since") if not hasattr(given, name)]
        if lacking or isinstance(given, type):
            raise ConfigError(
                "store must be an address, such as 'sqlite:///answers.db' or 'redis://HOST', or a "
                f"Shelf; a {type(given).__name__} is neither"
            )
        return given
    if given == "memory://":
        return SqliteShelf(":memory:", namespace=namespace)
    if given.startswith(_SQLITE) and len(given) > len(_SQLITE):
        return SqliteShelf(given.removeprefix(_SQLITE), namespace=namespace)
    if given.startswith(_REDIS):
        return RedisShelf(given, namespace=namespace)
    raise ConfigError(
        f"no answers can be kept at {given.partition('://')[0]!r}; give 'sqlite:///FILE', "
        "'redis://HOST', 'memory://' or a Shelf"
    )

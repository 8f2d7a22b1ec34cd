"""Where learnt state is kept: bytes under keys, with versions.

    memory.py    in this process
    sqlite.py    in one file, for processes of one machine;   sqlite_file.py  the file itself
    redis.py     on a server, for a fleet;                    redis_client.py  its client
    codec.py     state to bytes and back: versioned JSON, never pickle

``store_of("sqlite:///routes.db")`` opens one by its address; ``store_there`` one to be read.
"""

from pathlib import Path

from pickllm.errors import ConfigError
from pickllm.protocols import KeepsJournal
from pickllm.stores.memory import MemoryStore
from pickllm.stores.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore", "StoreLike", "store_of", "store_there"]

StoreLike = KeepsJournal | str
"""What a user may give as a store: one, or its address."""

_SQLITE = "sqlite:///"
_REDIS = ("redis://", "rediss://", "unix://")
_METHODS = ("get", "put", "append", "read", "find", "trim")


def store_of(given: StoreLike) -> KeepsJournal:
    """The store that ``given`` stands for, or `ConfigError`."""
    if isinstance(given, type):
        raise ConfigError(f"store is the class {given.__name__}; give an instance of it")
    if not isinstance(given, str):
        lacking = [name for name in _METHODS if not hasattr(given, name)]
        if lacking:
            raise ConfigError(
                "store must be a store or an address, such as 'sqlite:///routes.db'; "
                f"{type(given).__name__} has no {', '.join(lacking)}"
            )
        return given
    if given == "memory://":
        return MemoryStore()
    if given.startswith(_SQLITE) and len(given) > len(_SQLITE):
        return SqliteStore(given.removeprefix(_SQLITE))
    if given.startswith(_REDIS):
        from pickllm.stores.redis import RedisStore

        return RedisStore(given)
    raise ConfigError(
        f"no store at {given.partition('://')[0]!r}; give 'sqlite:///FILE', 'redis://HOST', "
        "'memory://' or a store"
    )


def store_there(given: StoreLike) -> KeepsJournal:
    """The same for who only reads: a file that is not there is a slip of the pen, and not made."""
    if isinstance(given, str) and given.startswith(_SQLITE):
        file = Path(given.removeprefix(_SQLITE))
        if not file.is_file():
            raise ConfigError(
                f"there is no file {file}, so nothing is kept there: check the address"
            )
    return store_of(given)

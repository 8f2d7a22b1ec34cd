"""Where learnt state is kept: bytes under keys, with versions.

    memory.py    in this process
    sqlite.py    in one file, for processes of one machine
    codec.py     state to bytes and back: versioned JSON, never pickle

``store_of("sqlite:///routes.db")`` opens one by its address.
"""

from pickllm.errors import ConfigError
from pickllm.protocols import Store
from pickllm.stores.memory import MemoryStore
from pickllm.stores.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore", "StoreLike", "store_of"]

StoreLike = Store | str
"""What a user may give as a store: one, or its address."""

_SQLITE = "sqlite:///"


def store_of(given: StoreLike) -> Store:
    """The store that ``given`` stands for, or `ConfigError`."""
    if isinstance(given, type):
        raise ConfigError(f"store is the class {given.__name__}; give an instance of it")
    if not isinstance(given, str):
        if not hasattr(given, "put"):
            raise ConfigError(f"store must be a store or an address, not {type(given).__name__}")
        return given
    if given == "memory://":
        return MemoryStore()
    if given.startswith(_SQLITE) and len(given) > len(_SQLITE):
        return SqliteStore(given.removeprefix(_SQLITE))
    raise ConfigError(f"no store at {given!r}; give 'sqlite:///FILE', 'memory://' or a store")

"""A store in Redis, the fleet's: any number of workers, on any number of machines, one state.

Each write is one script on the server, so it is there as a whole or not at all, and no two writers
come between each other. A journal is a Redis stream; beside it stand a hash of the keys that it
has taken, and for each id that notes are about, a set of their positions. All names of one journal
share a hash tag, so that a cluster keeps them on one node.

What is written outlives the server as far as its own persistence goes: set ``appendonly yes``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pickllm.errors import StateConflict
from pickllm.protocols import Entry, Note, Noted
from pickllm.stores.redis_client import client_of, literally

__all__ = ["RedisStore"]

_PUT = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= version then return -1 end
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'version', version + 1)
return version + 1
"""
_APPEND = """
local new, at = {}, 2
for number = 1, tonumber(ARGV[1]) do
    local key, value, ids = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    at = at + 3
    if redis.call('HEXISTS', KEYS[2], key) == 1 then
        new[number] = 0
    else
        new[number] = 1
        local position = redis.call('HINCRBY', KEYS[2], '', 1)
        local fields = {'key', key, 'value', value}
        for i = at, at + ids - 1 do
            redis.call('SADD', KEYS[3] .. ARGV[i], position)
            fields[#fields + 1] = 'about'
            fields[#fields + 1] = ARGV[i]
        end
        redis.call('HSET', KEYS[2], key, position)
        redis.call('XADD', KEYS[1], position .. '-0', unpack(fields))
    end
    at = at + ids
end
return new
"""
_TRIM = """
local old = redis.call('XRANGE', KEYS[1], '-', ARGV[1] .. '-0', 'COUNT', 500)
for _, entry in ipairs(old) do
    local position, fields = string.match(entry[1], '%d+'), entry[2]
    for i = 1, #fields, 2 do
        if fields[i] == 'key' then redis.call('HDEL', KEYS[2], fields[i + 1]) end
        if fields[i] == 'about' then redis.call('SREM', KEYS[3] .. fields[i + 1], position) end
    end
    redis.call('XDEL', KEYS[1], entry[1])
end
return #old
"""


class RedisStore:
    """Entries as hashes and journals as streams, on a server that any number of routers share."""

    def __init__(
        self, url: str = "redis://localhost:6379/0", *, prefix: str = "", **options: Any
    ) -> None:
        """Connect when first used.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as `redis.from_url` takes it.
            prefix: Begins every key, to share a server with others.
            options: More of `redis.from_url`'s, such as ``password`` or ``socket_timeout``.
        """
        self._url, self._prefix, self._options = url, prefix, options
        self._redis: Any = client_of(url, options, purpose="the Redis store")
        self._put = self._redis.register_script(_PUT)
        self._append = self._redis.register_script(_APPEND)
        self._trim = self._redis.register_script(_TRIM)

    def __repr__(self) -> str:
        """Nothing of the address, which may hold a password."""
        return f"RedisStore(prefix={self._prefix!r})"

    def get(self, key: str) -> Entry | None:
        """What stands under ``key``, or None."""
        value, version = self._redis.hmget(self._entry(key), "value", "version")
        return None if version is None else Entry(value=value, version=int(version))

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write, and return the new version; see `pickllm.protocols.Store`."""
        version = int(
            self._put(keys=[self._entry(key)], args=[value, "" if expect is None else expect])
        )
        if version < 0:
            raise StateConflict(f"{key!r} is not at version {expect}: read it again")
        return version

    def delete(self, key: str) -> None:
        """Forget ``key``."""
        self._redis.delete(self._entry(key))

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""
        begins = self._entry(prefix)
        found = self._redis.scan_iter(match=literally(begins) + "*", count=1000)
        names = {name.decode().removeprefix(self._entry("")) for name in found}
        return iter(sorted(names))

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        """Write those notes whose keys are new; see `pickllm.protocols.Journal`."""
        args: list[Any] = [len(notes)]
        for note in notes:
            args += [note.key, note.value, len(note.about), *note.about]
        return [bool(new) for new in self._append(keys=self._journal(name), args=args)]

    def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
        """The notes that follow that position."""
        stream = self._journal(name)[0]
        return _noted(self._redis.xrange(stream, min=f"{after + 1}-0", count=limit))

    def find(self, name: str, about: str) -> list[Noted]:
        """The notes about an id."""
        stream, _, about_prefix = self._journal(name)
        positions = sorted(int(position) for position in self._redis.smembers(about_prefix + about))
        pipeline = self._redis.pipeline(transaction=False)
        for position in positions:
            pipeline.xrange(stream, min=f"{position}-0", max=f"{position}-0")
        return [noted for found in pipeline.execute() for noted in _noted(found)]

    def trim(self, name: str, *, upto: int) -> None:
        """Forget the notes up to that position, some hundreds at a time: the server serves all."""
        while upto > 0 and self._trim(keys=self._journal(name), args=[upto]):
            pass

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy connects anew."""
        return _connected, (self._url, self._prefix, self._options)

    def _entry(self, key: str) -> str:
        return f"{self._prefix}pickllm/entry/{key}"

    def _journal(self, name: str) -> list[str]:
        tag = f"{self._prefix}pickllm/journal/{{{name}}}"
        return [f"{tag}/notes", f"{tag}/keys", f"{tag}/about/"]


def _connected(url: str, prefix: str, options: dict[str, Any]) -> RedisStore:
    return RedisStore(url, prefix=prefix, **options)


def _noted(entries: Sequence[tuple[bytes, Any]]) -> list[Noted]:
    return [
        Noted(position=int(position.split(b"-")[0]), value=fields[b"value"])
        for position, fields in entries
    ]

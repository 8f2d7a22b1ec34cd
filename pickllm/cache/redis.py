"""Kept answers in Redis, for any number of workers on any number of machines.

    NAMESPACE/at/KEY      hash: value, partition, decision, arm
    NAMESPACE/used        keys by when they were last used      what is let go of first
    NAMESPACE/until       keys by when they expire
    NAMESPACE/in/…        keys of a partition by position
    NAMESPACE/by/…        keys of a decision
    NAMESPACE/of/…        keys of an arm
    NAMESPACE/sums/…      hash of sums

Reading an answer writes nothing: which ones were used is written with the next one that is kept.
Every write is one script, so no two come between each other. All names of a namespace share a
hash tag, so that a cluster keeps them on one node. Positions rise with the clock: a server that
comes back empty goes on above the positions that workers have seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pickllm.cache.rows import Placed, Row
from pickllm.lock import Lock
from pickllm.stores.redis_client import client_of, literally

__all__ = ["RedisShelf"]

_EXPIRED_AT_ONCE = 100
_USED_AT_ONCE = 500

_REMOVE = """
local function remove(root, key)
    local at = root .. 'at/' .. key
    local row = redis.call('HMGET', at, 'partition', 'decision', 'arm')
    redis.call('ZREM', root .. 'used', key)
    redis.call('ZREM', root .. 'until', key)
    if not row[1] then return 0 end
    redis.call('ZREM', root .. 'in/' .. row[1], key)
    redis.call('SREM', root .. 'by/' .. row[2], key)
    redis.call('SREM', root .. 'of/' .. row[3], key)
    redis.call('DEL', at)
    return 1
end
"""
_GET = """
local until_s = redis.call('ZSCORE', KEYS[1] .. 'until', ARGV[1])
if until_s and tonumber(until_s) <= tonumber(ARGV[2]) then return false end
return redis.call('HGET', KEYS[1] .. 'at/' .. ARGV[1], 'value')
"""
_PUT = (
    _REMOVE
    + """
local root, key, partition, decision, arm = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local value, until_s, now_s, most = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
for i = 10, #ARGV, 2 do redis.call('ZADD', root .. 'used', 'XX', ARGV[i], ARGV[i + 1]) end
remove(root, key)
local last = tonumber(redis.call('GET', root .. 'position') or '0')
local position = string.format('%.0f', math.max(last + 1, math.floor(tonumber(now_s) * 1e6)))
redis.call('SET', root .. 'position', position)
redis.call('HSET', root .. 'at/' .. key,
    'value', value, 'partition', partition, 'decision', decision, 'arm', arm)
redis.call('ZADD', root .. 'used', now_s, key)
redis.call('ZADD', root .. 'in/' .. partition, position, key)
redis.call('SADD', root .. 'by/' .. decision, key)
redis.call('SADD', root .. 'of/' .. arm, key)
if until_s ~= '' then redis.call('ZADD', root .. 'until', until_s, key) end
local gone = 0
local expired = redis.call('ZRANGEBYSCORE', root .. 'until', '-inf', now_s, 'LIMIT', 0, ARGV[9])
for _, each in ipairs(expired) do gone = gone + remove(root, each) end
local over = math.min(redis.call('ZCARD', root .. 'used') - most, tonumber(ARGV[9]))
if over > 0 then
    for _, each in ipairs(redis.call('ZRANGE', root .. 'used', 0, over - 1)) do
        gone = gone + remove(root, each)
    end
end
return gone
"""
)
_DROP = (
    _REMOVE
    + """
local keys = {ARGV[2]}
if ARGV[1] ~= 'at/' then keys = redis.call('SRANDMEMBER', KEYS[1] .. ARGV[1] .. ARGV[2], 1000) end
local gone = 0
for _, key in ipairs(keys) do gone = gone + remove(KEYS[1], key) end
return gone
"""
)
_SINCE = """
local found = redis.call('ZRANGEBYSCORE', KEYS[1] .. 'in/' .. ARGV[1], '(' .. ARGV[2], '+inf',
    'WITHSCORES', 'LIMIT', 0, ARGV[3])
local rows = {}
for i = 1, #found, 2 do
    local value = redis.call('HGET', KEYS[1] .. 'at/' .. found[i], 'value')
    if value then
        rows[#rows + 1] = string.format('%.0f', tonumber(found[i + 1]))
        rows[#rows + 1] = found[i]
        rows[#rows + 1] = value
    end
end
return rows
"""


class RedisShelf:
    """Answers on a server that any number of workers share; it connects when first used."""

    def __init__(self, url: str, *, namespace: str = "default", **options: Any) -> None:
        """Look at the address.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``.
            namespace: Begins every key.
            options: More of `redis.from_url`'s, such as ``password`` or ``socket_timeout``.
        """
        self._url, self.namespace, self._options = url, namespace, options
        self._key_to_used_s: dict[str, float] = {}
        self._lock = Lock()
        self._root = f"{{pickllm/answers/{namespace}}}/"
        self._redis: Any = client_of(url, options, purpose="keeping answers in Redis")
        self._get = self._redis.register_script(_GET)
        self._put = self._redis.register_script(_PUT)
        self._drop = self._redis.register_script(_DROP)
        self._since = self._redis.register_script(_SINCE)

    def __repr__(self) -> str:
        """Nothing of the address, which may hold a password."""
        return f"RedisShelf(namespace={self.namespace!r})"

    def get(self, key: str, *, now_s: float) -> bytes | None:
        """What stands under ``key``; see `pickllm.cache.shelf.Shelf`."""
        found: bytes | None = self._get(keys=[self._root], args=[key, repr(now_s)])
        if found is not None:
            with self._lock:
                self._key_to_used_s[key] = now_s
        return found

    def put(self, row: Row, *, now_s: float, most: int) -> int:
        """Write a row, and make room; see `pickllm.cache.shelf.Shelf`."""
        with self._lock:
            newest = list(self._key_to_used_s.items())[-_USED_AT_ONCE:]
            self._key_to_used_s = {}
        used = [each for key, used_s in newest for each in (repr(used_s), key)]
        until_s = "" if row.expires_s is None else repr(row.expires_s)
        args: list[Any] = [row.key, row.partition, row.decision_id, row.arm, row.value, until_s]
        return int(
            self._put(keys=[self._root], args=[*args, repr(now_s), most, _EXPIRED_AT_ONCE, *used])
        )

    def drop(self, *, key: str = "", decision_id: str = "", arm: str = "") -> int:
        """Let go of rows; see `pickllm.cache.shelf.Shelf`."""
        gone = 0
        for folder, wanted in (("at/", key), ("by/", decision_id), ("of/", arm)):
            while wanted:
                went = int(self._drop(keys=[self._root], args=[folder, wanted]))
                gone += went
                if folder == "at/" or not went:
                    break
        return gone

    def since(self, partition: str, position: int, *, limit: int) -> Sequence[Placed]:
        """The rows of one partition that are newer."""
        found = self._since(keys=[self._root], args=[partition, position, limit])
        return [
            Placed(position=int(place), key=key.decode(), value=value)
            for place, key, value in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]

    def add(self, name: str, amounts: Mapping[str, float]) -> None:
        """Add to sums."""
        pipeline = self._redis.pipeline(transaction=True)
        for field, amount in amounts.items():
            pipeline.hincrbyfloat(f"{self._root}sums/{name}", field, amount)
        pipeline.execute()

    def sums(self, name: str) -> dict[str, float]:
        """All sums under a name."""
        found = self._redis.hgetall(f"{self._root}sums/{name}")
        return {field.decode(): float(amount) for field, amount in found.items()}

    def size(self) -> int:
        """How many answers stand here."""
        return int(self._redis.zcard(f"{self._root}used"))

    def clear(self) -> None:
        """Let go of everything."""
        for name in self._redis.scan_iter(match=literally(self._root) + "*", count=1000):
            self._redis.delete(name)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy connects anew."""
        return _connected, (self._url, self.namespace, self._options)


def _connected(url: str, namespace: str, options: dict[str, Any]) -> RedisShelf:
    return RedisShelf(url, namespace=namespace, **options)

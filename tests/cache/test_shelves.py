"""Every shelf keeps every promise of `pickllm.cache.Shelf`."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from pickllm import ConfigError
from pickllm.cache import Row, Shelf, shelf_of
from pickllm.cache.redis import RedisShelf
from pickllm.cache.sqlite import SqliteShelf
from tests.redis_server import RedisServer

Open = Callable[[str], Shelf]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens a namespace of one back end."""
    if request.param == "memory":
        return lambda namespace: SqliteShelf(":memory:", namespace=namespace)
    if request.param == "sqlite":
        return lambda namespace: SqliteShelf(tmp_path / "answers.db", namespace=namespace)
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda namespace: RedisShelf(server.url, namespace=namespace)


def row(
    key: str,
    *,
    partition: str = "p",
    decision_id: str = "d",
    arm: str = "small",
    expires_s: float | None = None,
) -> Row:
    """An answer that says its key."""
    return Row(
        key=key,
        partition=partition,
        value=f"\x00{key}".encode(),
        decision_id=decision_id,
        arm=arm,
        expires_s=expires_s,
    )


def test_what_is_put_is_got(open_shelf: Open) -> None:
    """Under its key, to the byte, in its namespace alone; the newest row of a key counts."""
    shelf, other = open_shelf("one"), open_shelf("one/")

    assert 0 == shelf.put(row("a"), now_s=1.0, most=9)
    shelf.put(row("a", arm="large"), now_s=1.0, most=9)

    assert shelf.get("a", now_s=1.0) == b"\x00a"
    assert shelf.get("b", now_s=1.0) is None
    assert other.get("a", now_s=1.0) is None
    assert (1, 0) == (shelf.size(), other.size())
    assert 0 == shelf.drop(arm="small")
    assert 1 == shelf.drop(arm="large")


def test_rows_go_by_key_decision_or_arm(open_shelf: Open) -> None:
    """All that have it, and no others; nothing named, nothing gone."""
    shelf = open_shelf("n")
    for key, decision, arm in (("a", "1", "x"), ("b", "1", "y"), ("c", "2", "x"), ("d", "3", "x")):
        shelf.put(row(key, decision_id=decision, arm=arm), now_s=1.0, most=9)

    assert 0 == shelf.drop()
    assert 2 == shelf.drop(decision_id="1")
    assert [None, None] == [shelf.get(key, now_s=1.0) for key in "ab"]
    assert 1 == shelf.drop(key="c")
    assert 1 == shelf.drop(arm="x")
    assert 0 == shelf.drop(key="d", decision_id="3", arm="x")
    assert 0 == shelf.size()


def test_rows_expire(open_shelf: Open) -> None:
    """At their time, whoever looks; and they go when something is written."""
    shelf = open_shelf("n")
    shelf.put(row("a", expires_s=10.0), now_s=1.0, most=9)

    assert b"\x00a" == shelf.get("a", now_s=9.9)
    assert shelf.get("a", now_s=10.0) is None
    assert 1 == shelf.put(row("b"), now_s=10.0, most=9)
    assert 1 == shelf.size()


def test_the_least_recently_used_go_first(open_shelf: Open) -> None:
    """Beyond the bound; what was got counts as used."""
    shelf = open_shelf("n")
    for time_s, key in enumerate("abc"):
        shelf.put(row(key), now_s=float(time_s), most=3)
    assert shelf.get("a", now_s=5.0)

    assert 1 == shelf.put(row("d"), now_s=6.0, most=3)

    assert ["a", "c", "d"] == [key for key in "abcd" if shelf.get(key, now_s=7.0)]


def test_a_bound_may_be_lowered(open_shelf: Open) -> None:
    """Then as many go as are over."""
    shelf = open_shelf("n")
    for time_s, key in enumerate("abcdef"):
        shelf.put(row(key), now_s=float(time_s), most=9)

    assert 4 == shelf.put(row("g"), now_s=9.0, most=3)
    assert 3 == shelf.size()


def test_a_partition_is_read_in_order(open_shelf: Open) -> None:
    """What is newer than a position, some at a time, and nothing of another partition."""
    shelf = open_shelf("n")
    for number, key in enumerate("abcd"):
        shelf.put(row(key, partition="q" if key == "b" else "p"), now_s=float(number), most=9)

    first = shelf.since("p", 0, limit=2)
    assert ["a", "c"] == [each.key for each in first]
    assert ["d"] == [each.key for each in shelf.since("p", first[-1].position, limit=2)]
    shelf.put(row("a"), now_s=9.0, most=9)
    assert ["d", "a"] == [each.key for each in shelf.since("p", first[-1].position, limit=9)]
    assert b"\x00a" == shelf.since("p", first[-1].position, limit=9)[-1].value
    shelf.drop(key="d")
    assert ["c", "a"] == [each.key for each in shelf.since("p", 0, limit=9)]


def test_sums_add_up(open_shelf: Open) -> None:
    """Under each name for itself, also of two processes."""
    shelf, same = open_shelf("n"), open_shelf("n")
    shelf.add("pairs/", {"right": 1.0, "wrong": 2.0})
    shelf.add("pairs/", {"right": 1.5})
    shelf.add("other", {"right": 9.0})

    assert {"right": 2.5, "wrong": 2.0} == shelf.sums("pairs/")
    assert {} == shelf.sums("nothing")
    if getattr(same, "path", "") != ":memory:":
        assert {"right": 2.5, "wrong": 2.0} == same.sums("pairs/")


def test_clearing_leaves_other_namespaces(open_shelf: Open) -> None:
    """Answers and sums of one go, of the other stay."""
    shelf, other = open_shelf("n*"), open_shelf("n1")
    for each in (shelf, other):
        each.put(row("a"), now_s=1.0, most=9)
        each.add("s", {"x": 1.0})

    shelf.clear()

    assert (0, {}) == (shelf.size(), shelf.sums("s"))
    assert (1, {"x": 1.0}) == (other.size(), other.sums("s"))


def test_a_copy_opens_its_own(tmp_path: Path, redis_server: RedisServer) -> None:
    """A deep copy of a shelf shows what the first one wrote."""
    for shelf in (SqliteShelf(tmp_path / "a.db"), RedisShelf(redis_server.url)):
        shelf.put(row("a"), now_s=1.0, most=9)
        assert b"\x00a" == copy.deepcopy(shelf).get("a", now_s=1.0)


def test_redis_positions_go_on_after_a_loss(redis_server: RedisServer) -> None:
    """A server that comes back empty does not hide what is written from then on."""
    shelf = RedisShelf(redis_server.url)
    shelf.put(row("a"), now_s=100.0, most=9)
    (seen,) = shelf.since("p", 0, limit=9)

    redis_server.flush()
    shelf.put(row("b"), now_s=101.0, most=9)

    assert ["b"] == [each.key for each in shelf.since("p", seen.position, limit=9)]


@pytest.mark.parametrize("address", ["", "sqlite:///", "file:///x", "http://cache"])
def test_unknown_addresses_are_refused(address: str) -> None:
    """With what would do."""
    with pytest.raises(ConfigError, match="redis://HOST"):
        shelf_of(address, namespace="n")


def test_addresses_hide_their_password() -> None:
    """In what is shown of a shelf."""
    assert "hunter2" not in repr(RedisShelf("redis://:hunter2@cache:6379/0"))


def test_a_store_is_no_shelf() -> None:
    """It is told apart before the first answer is lost."""
    with pytest.raises(ConfigError, match="object is neither"):
        shelf_of(object(), namespace="n")  # type: ignore[arg-type]  # on purpose

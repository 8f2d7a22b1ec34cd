"""What somebody who can write to the store, or who can ask, may try."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import redis

import pickllm.cache.partition as partitions
from pickllm.cache import AnswerCache, Row
from pickllm.cache.entry import Damaged, Entry, packed, unpacked
from pickllm.cache.gate import compare
from pickllm.cache.reading import read
from pickllm.cache.semantic import Neighbours
from pickllm.cache.sqlite import SqliteShelf
from pickllm.testing import kept_answer, plain_request
from tests.redis_server import RedisServer

SECRET_PROMPT = "What is the account number of Ada Lovelace?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of answers."""
    return tmp_path / "answers.db"


def cache_in(path: Path, **settings: Any) -> AnswerCache:
    """A cache in that file."""
    return AnswerCache(store=f"sqlite:///{path}", **settings)


def write(path: Path, sql: str, *values: object) -> None:
    """Into the file, past the cache."""
    with sqlite3.connect(path) as connection:
        connection.execute(sql, values)
    connection.close()


def rows(path: Path) -> list[tuple[str, bytes]]:
    """Keys and values in the file."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, value FROM pickllm_answers ORDER BY position")
        listed = found.fetchall()
    connection.close()
    return listed


def test_a_changed_answer_is_a_miss(path: Path) -> None:
    """Sealed, not a bit of it can be changed; it is counted, and let go."""
    cache = cache_in(path, secret="s")
    cache.keep(plain_request(), kept_answer("Paris."))
    ((_, value),) = rows(path)
    write(path, "UPDATE pickllm_answers SET value = ?", value.replace(b"Paris", b"Padua"))

    assert cache.recall(plain_request()) is None
    assert 1 == cache.stats()["damaged"]
    assert 0 == cache.size()


def test_a_moved_answer_is_a_miss(path: Path) -> None:
    """A sealed answer stands under its own key alone."""
    cache = cache_in(path, secret="s")
    for text, answer in (("May I?", "Yes."), ("Must I?", "No.")):
        cache.keep(plain_request(text), kept_answer(answer))
    (one, first), (other, second) = rows(path)
    write(path, "UPDATE pickllm_answers SET value = ? WHERE key = ?", second, one)
    write(path, "UPDATE pickllm_answers SET value = ? WHERE key = ?", first, other)

    assert [None, None] == [cache.recall(plain_request(text)) for text in ("May I?", "Must I?")]


def test_a_forged_answer_needs_the_secret(path: Path) -> None:
    """Without it neither the key can be found nor the seal be made."""
    cache_in(path).keep(plain_request(), kept_answer("Send money."))
    cache_in(path, secret="guessed").keep(plain_request(), kept_answer("Send money."))

    assert cache_in(path, secret="s").recall(plain_request()) is None


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"pickllm_answer": 2}',
        b"\x80\x04cposix\nsystem\n",
        b'{"pickllm_answer": 1, "question": "q", "vector": "", "kept": {"text": 1}}',
        b'{"pickllm_answer": 1, "question": "q", "vector": "!", "kept": {}}',
    ],
)
def test_poison_is_a_miss(path: Path, poison: bytes) -> None:
    """Whatever bytes stand there, they are read as our own JSON or not at all."""
    cache = cache_in(path)
    cache.keep(plain_request(), kept_answer())
    write(path, "UPDATE pickllm_answers SET value = ?", poison)

    assert cache.recall(plain_request()) is None
    assert 1 == cache.stats()["damaged"]
    cache.keep(plain_request(), kept_answer())
    assert cache.recall(plain_request())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", 7.0),
        ("score", "high"),
        ("score", True),
        ("time_s", float("1e400")),
        ("time_s", None),
        ("text", None),
        ("arm", ["a"]),
        ("usage", {"tokens_in": -1, "tokens_out": 0}),
        ("usage", {"__class__": "os"}),
        ("finish_reason", 0),
        ("more", 1),
    ],
)
def test_fields_are_what_they_must_be(field: str, value: object) -> None:
    """An entry with a field of another kind is damaged."""
    document = json.loads(packed(Entry(question="q", kept=kept_answer()), key="k"))
    document["kept"][field] = value

    with pytest.raises(Damaged):
        unpacked(json.dumps(document).encode(), key="k")


def test_a_vector_must_be_finite() -> None:
    """Nor may it be of anything else than numbers."""
    document = json.loads(packed(Entry(question="q", kept=kept_answer()), key="k"))
    for vector in ("AHw=", "AA==", "ü"):  # infinity, half a number, no base64
        document["vector"] = vector
        with pytest.raises(Damaged):
            unpacked(json.dumps(document).encode(), key="k")


def test_colliding_keys_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two questions ever stand under one key, the question itself is compared."""
    for semantic in (False, True):
        with monkeypatch.context() as patched:
            patched.setattr("pickllm.cache.answers.key_of", lambda *_, **__: "one key")
            cache = AnswerCache(semantic=semantic, verified_share=0.0)
            cache.keep(plain_request("May I do what you do?"), kept_answer("Yes."))
            request = plain_request("Must I do what you do?")
            assert cache.recall(request) is None
            assert "another question" in cache.explain(request.id).reason


def test_parts_cannot_be_strung_together() -> None:
    """Whatever bytes a tenant's name has, its digest is nobody else's."""
    names = ["a", "a\0", "a\0\0", "\0a", "a|b", "a||b", "ab", "a b", ""]
    made = {
        partitions.digest(*parts)
        for parts in ([one, other] for one in names for other in names if one + other)
    }

    assert len(names) ** 2 - 1 == len(made)
    assert partitions.digest() != partitions.digest("")


def test_oversized_answers_are_not_kept() -> None:
    """Nor are answers to oversized questions, and those are not looked up."""
    cache = AnswerCache(max_chars=100)
    for question, answer in (("Why?", "x" * 101), ("x" * 101, "Because.")):
        cache.keep(plain_request(question), kept_answer(answer))
        assert cache.recall(plain_request(question)) is None
    assert {"not kept": 2, "misses": 2} == cache.stats()


def test_keys_tell_nothing(path: Path, redis_server: RedisServer) -> None:
    """No word of prompt, answer or tenant stands in a key, nor in what the cache counts."""
    for cache in (
        cache_in(path, semantic=True),
        AnswerCache(store=redis_server.url, semantic=True),
    ):
        cache.keep(plain_request(SECRET_PROMPT, tenant="Lovelace"), kept_answer("It is Lovelace."))
        cache.recall(plain_request(SECRET_PROMPT, tenant="Lovelace"))
        assert "Lovelace" not in repr(cache) + str(cache.stats())

    names = [key for key, _ in rows(path)]
    names += [name.decode() for name in redis.Redis.from_url(redis_server.url).scan_iter()]
    assert len(names) > 4
    assert [] == [name for name in names if "ovelace" in name]


def test_what_is_shown_of_values_tells_nothing(path: Path) -> None:
    """Neither a question, nor an answer, nor a word of them, nor a vector."""
    shelf = SqliteShelf(path)
    cache = AnswerCache(store=shelf, semantic=True, verified_share=0.0)
    cache.keep(plain_request(SECRET_PROMPT), kept_answer("It is DE42."))
    found, near = (cache.look(plain_request(SECRET_PROMPT + end)) for end in ("", " Now?"))
    placed = shelf.since(found.partition, 0, limit=1)[0]
    entry = unpacked(placed.value, key=found.key)
    known = Neighbours(len(entry.vector))
    known.add(found.key, entry.question, entry.vector)
    verdict = compare(read(SECRET_PROMPT), read("What is the account number of Ada Byron?"))
    row = Row(key="k", partition="p", value=placed.value, decision_id="d", arm="a")

    for value in (found, near, placed, entry, known.nearest(entry.vector, 1), verdict, row):
        for told in ("ovelace", "account", "DE42", f"{entry.vector.max():.3f}"):
            assert told not in repr(value)


def test_a_near_duplicate_does_not_hijack() -> None:
    """A question made to look like another's, down to its vector, gets no answer of it."""
    cache = AnswerCache(semantic=True, verified_share=0.0)
    victim = "How do I transfer 10 euros from Ada to Bob?"
    cache.keep(plain_request("How do I transfer 10 euros from Bob to Ada?"), kept_answer("So."))

    request = plain_request(victim)
    assert cache.recall(request) is None
    assert "gate" == cache.explain(request.id).refused
    assert (cache.explain(request.id).similarity or 0.0) > 0.99

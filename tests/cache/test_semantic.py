"""Neighbours: the nearest are found, among few by comparison and among many by FAISS."""

import threading

import numpy as np
import pytest

from pickllm.arrays import unit_rows
from pickllm.cache import AnswerCache, semantic
from pickllm.cache.semantic import Neighbours
from pickllm.testing import kept_answer, plain_request


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS from two hundred on."""
    monkeypatch.setattr(semantic, "_COMPARED", 200)
    monkeypatch.setattr(semantic, "_LISTS", 16)


def filled(count: int, *, dim: int = 8) -> tuple[Neighbours, np.ndarray]:
    """So many questions, with their vectors."""
    vectors = unit_rows(np.random.default_rng(3).normal(size=(count, dim)).astype(np.float32))
    known = Neighbours(dim)
    for number, vector in enumerate(vectors):
        known.add(str(number), f"question {number}", vector)
        known.put_in_order()
    return known, vectors


@pytest.mark.parametrize("count", [1, 50, 199, 200, 1000])
def test_the_nearest_is_found(count: int) -> None:
    """Itself first, with a cosine of 1; then others, less and less alike."""
    known, vectors = filled(count)
    for number in range(0, count, 7):
        found = known.nearest(3.0 * vectors[number], 4)
        assert str(number) == found[0].key
        assert pytest.approx(1.0, abs=1e-5) == found[0].similarity
        assert sorted(found, key=lambda each: -each.similarity) == list(found)
        assert min(count, 4) == len(found)


def test_what_is_forgotten_is_not_found() -> None:
    """Wherever it stands, and neither is what another took the place of."""
    known, vectors = filled(500)
    for number in (3, 499):
        known.forget(str(number))
        assert str(number) not in [each.key for each in known.nearest(vectors[number], 4)]
    known.add("7", "moved", -vectors[7])
    assert "7" not in [each.key for each in known.nearest(vectors[7], 4)]
    assert ["moved"] == list(known.nearest(-vectors[7], 1)[0].reading.words)
    assert 498 == len(known)


def test_gaps_are_closed() -> None:
    """Where questions come and go, what is held does not grow for ever."""
    known, vectors = filled(10)
    for turn in range(2000):
        known.add("0", f"turn {turn}", vectors[0])
        known.put_in_order()

    assert 10 == len(known)
    assert len(known._keys) < 500
    assert "0" == known.nearest(vectors[0], 1)[0].key
    assert ("turn 1999",) == known.nearest(vectors[0], 1)[0].reading.words


def test_a_question_finds_room_after_all_are_gone() -> None:
    """Where nothing was left when gaps were closed, too."""
    known, vectors = filled(199)
    for number in range(199):
        known.forget(str(number))
    for key in ("one more", "and one"):
        known.add(key, key, vectors[0])
        known.forget(key)
    known.put_in_order()
    assert 0 == len(known)

    for number, vector in enumerate(vectors):
        known.add(str(number), f"question {number}", vector)
    assert 199 == len(known)
    assert "7" == known.nearest(vectors[7], 1)[0].key


def test_vectors_that_say_nothing_are_left_out() -> None:
    """Zeros, and those of another length."""
    known = Neighbours(3)
    known.add("a", "a", np.zeros(3, dtype=np.float32))
    known.add("b", "b", np.ones(4, dtype=np.float32))

    assert 0 == len(known)
    assert [] == known.nearest(np.ones(3, dtype=np.float32), 4)
    assert [] == known.nearest(np.zeros(3, dtype=np.float32), 4)
    assert [] == known.nearest(np.ones(9, dtype=np.float32), 4)


def test_a_cache_feeds_faiss_beside_its_lookups() -> None:
    """Among many near questions the right ones are found, while and after the index is built."""
    cache = AnswerCache(semantic=True, verified_share=0.0)
    for number in range(600):
        cache.keep(plain_request(f"What does the lamp number {number} cost?"), kept_answer())
    similarities = []
    for number in range(0, 600, 5):
        request = plain_request(f"What does the old lamp number {number} cost?")
        assert cache.recall(request) is None
        similarities.append(cache.explain(request.id).similarity)
    for thread in threading.enumerate():
        if thread.name == "pickllm-answers":
            thread.join()

    (known,) = cache._shelved._partition_to_neighbours.values()
    assert 600 == len(known)
    assert known._indexed >= 200
    assert "errors" not in cache.stats()
    request = plain_request("What does the old lamp number 7 cost?")
    assert cache.recall(request) is None
    assert ("added", "acceptance") == (
        cache.explain(request.id).kind,
        cache.explain(request.id).refused,
    )

"""Laws of caches, whatever is asked: no answer crosses a wall."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pickllm.cache import AnswerCache
from pickllm.cache.acceptance import BANDS, pair_name
from pickllm.cache.entry import Entry, packed, unpacked
from pickllm.cache.exact import settled
from pickllm.cache.sqlite import SqliteShelf
from pickllm.testing import kept_answer, plain_request
from pickllm.types import Kept, Said, Usage, Vector

names = st.text(max_size=8)
texts = st.one_of(st.text(min_size=1, max_size=30), st.sampled_from(["What is it?", "what's it"]))
roles = st.sampled_from(["system", "user", "assistant"])
turns = st.lists(st.builds(Said, role=roles, text=st.text(max_size=5)), max_size=3)


class AnyVector:
    """An embedder that gives what it is told to, the same for every text."""

    dim = 4
    name = "any"

    def __init__(self, vector: Vector) -> None:
        self.vector = vector

    def features(self, text: str) -> Vector:
        """Always that one."""
        return self.vector


def anything_goes(vector: Any) -> AnswerCache:
    """A cache to which all near answers were proven right, whatever their kind."""
    shelf = SqliteShelf(":memory:")
    for kind in ("added", "replaced"):
        for band in BANDS:
            shelf.add("pairs/", {pair_name(kind, band, right=True): 9999.0})
    embedder = AnyVector(np.array(vector, dtype=np.float32))
    return AnswerCache(store=shelf, semantic=embedder, verified_share=0.0)


vectors = st.lists(st.floats(min_value=-1, max_value=1, width=16), min_size=4, max_size=4)


@given(st.lists(names, min_size=2, max_size=2, unique=True), texts, texts, vectors)
def test_no_tenant_reads_anothers(pair: list[str], kept: str, asked: str, vector: Any) -> None:
    """For any two tenants, any questions and any embedding."""
    cache = anything_goes(vector)
    cache.keep(plain_request(kept, tenant=pair[0]), kept_answer())

    for text in (kept, asked):
        assert cache.recall(plain_request(text, tenant=pair[1])) is None


@given(turns, turns, texts)
def test_no_conversation_reads_anothers(one: list[Said], other: list[Said], asked: str) -> None:
    """Where anything was said before that is not the same, word for word and by the same one."""
    cache = anything_goes([1.0, 0.0, 0.0, 0.0])
    cache.keep(plain_request(asked, earlier=tuple(one)), kept_answer())

    said = [[(turn.role, settled(turn.text)) for turn in each] for each in (one, other)]
    found = cache.recall(plain_request(asked, earlier=tuple(other)))
    assert (found is not None) <= (said[0] == said[1])


@given(texts, st.text(max_size=20))
def test_what_is_kept_comes_back(asked: str, answer: str) -> None:
    """Whatever its letters, to the same question, unless it is not fit to be kept."""
    cache = AnswerCache(semantic=True, verified_share=0.0)
    cache.keep(plain_request(asked), kept_answer(answer))

    found = cache.recall(plain_request(asked))
    assert "errors" not in cache.stats()
    assert (found.text if found else None) == (answer if cache.stats().get("kept") else None)


kepts = st.builds(
    Kept,
    text=st.text(),
    arm=st.text(),
    decision_id=st.text(),
    policy=st.text(),
    usage=st.none() | st.builds(Usage, tokens_in=st.integers(0), tokens_out=st.integers(0)),
    finish_reason=st.none() | st.text(),
    score=st.none() | st.floats(0, 1),
    time_s=st.floats(0, 1e12),
)


@given(st.text(), kepts, vectors, st.binary(max_size=3))
def test_entries_survive_bytes(question: str, kept: Kept, vector: Any, secret: bytes) -> None:
    """What is read back is what was written; the vector to half precision."""
    entry = Entry(question=question, kept=kept, vector=np.array(vector, dtype=np.float32))
    back = unpacked(packed(entry, key="k", secret=secret), key="k", secret=secret)

    assert entry == back
    np.testing.assert_allclose(entry.vector, back.vector, atol=1e-3)

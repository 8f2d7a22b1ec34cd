"""Embeddings as features of prompts, and features as embeddings."""

import asyncio
import threading
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.embeddings import FeatureEmbeddings, featurizer_of
from pickllm import ConfigError
from pickllm.embedded import EmbeddedFeatures
from pickllm.types import Situation
from tests.langchain.recording import MODEL_WAYS
from tests.langchain.scripted import ScriptedChatModel


class WordEmbeddings(Embeddings):
    """Counts words in 16 buckets; fails or waits where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.waits_for: threading.Event | None = None
        self.asked: Counter[str] = Counter()

    def embed_query(self, text: str) -> list[float]:
        self.asked[text] += 1
        if self.waits_for is not None:
            assert self.waits_for.wait(5.0)
        if self.error is not None and text != "dimension":
            raise self.error
        vector = [0.0] * 16
        for word in text.lower().split():
            vector[zlib.crc32(word.encode(errors="replace")) % 16] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def model_of(embeddings: Any, **settings: Any) -> RoutedChatModel:
    """Two arms, and embeddings as the featurizer."""
    models = {name: ScriptedChatModel(says=name) for name in ("small", "large")}
    return RoutedChatModel(models=models, featurizer=embeddings, **{"seed": 1, **settings})


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_a_decision_sees_the_prompt_s_embedding(way: str) -> None:
    """Of length one, and asked for once however often the prompt comes."""
    embeddings, seen = WordEmbeddings(), []

    def choose(situation: Situation) -> str:
        seen.append(situation.features)
        return "small"

    model = model_of(embeddings, policy=choose)
    for _ in range(3):
        MODEL_WAYS[way](model, "one two two", {})

    raw = np.asarray(embeddings.embed_query("one two two"))
    np.testing.assert_allclose(raw / np.linalg.norm(raw), seen[0], rtol=1e-6)
    assert [True, True] == [np.array_equal(seen[0], other) for other in seen[1:]]
    assert {"dimension": 1, "one two two": 2} == embeddings.asked  # once more by this test
    (record, *_) = model.router.ledger
    assert np.array_equal(seen[0], record.decision.features)


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_embeddings_that_fail_do_not_take_the_answer_away(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The choice is made blindly, and the failure counted and told without the prompt."""
    model = model_of(WordEmbeddings(error=ConnectionError("secret prompt")))

    answer = MODEL_WAYS[way](model, "secret prompt", {})

    (record,) = model.router.ledger
    assert answer.text in {"small", "large"}
    assert ([0.0] * 16, 1) == (
        record.decision.features.tolist(),
        model.stats()["featurizer_failures"],
    )
    assert "the featurizer failed (ConnectionError)" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("way", ["ainvoke", "astream", "aevents_v3", "abatch", "agenerate"])
async def test_slow_embeddings_do_not_block_the_loop(way: str) -> None:
    """They are asked in a thread: what sets them free runs on the loop."""
    embeddings = WordEmbeddings()
    model = model_of(embeddings)
    embeddings.waits_for = threading.Event()

    async def free() -> None:
        while not embeddings.asked["Hello"]:  # noqa: ASYNC110  # a thread counts
            await asyncio.sleep(0.001)
        assert embeddings.waits_for is not None
        embeddings.waits_for.set()

    async def ask() -> Any:
        match way:
            case "astream":
                return [chunk async for chunk in model.astream("Hello")]
            case "aevents_v3":
                return await (await model.astream_events("Hello", version="v3")).output
            case "abatch":
                return await model.abatch(["Hello", "Hello"])
            case "agenerate":
                return await model.agenerate([model._convert_input("Hello").to_messages()])
            case _:
                return await model.ainvoke("Hello")

    answer, _ = await asyncio.gather(ask(), free())

    assert answer


def test_the_oldest_prompts_are_forgotten_first() -> None:
    """As many are remembered as is said; one that is asked for again is new again."""
    embeddings = WordEmbeddings()
    features = EmbeddedFeatures(embed=embeddings.embed_query, remembered=2)

    for text in ("one", "two", "one", "three", "one", "two"):
        features.features(text)

    assert {"one": 1, "two": 2, "three": 1} == embeddings.asked


def test_nothing_is_remembered_where_that_is_asked_for() -> None:
    """``remembered=0``."""
    embeddings = WordEmbeddings()
    features = EmbeddedFeatures(embed=embeddings.embed_query, remembered=0)

    for _ in range(3):
        features.features("one")

    assert {"one": 3} == embeddings.asked


def test_no_prompt_is_kept() -> None:
    """What is remembered is found by a digest."""
    features = EmbeddedFeatures(embed=WordEmbeddings().embed_query)
    features.features("a secret prompt")

    assert "secret" not in repr(features._digest_to_vector) + repr(features)


def test_the_dimension_is_asked_once() -> None:
    """It is the length of a vector."""
    embeddings = WordEmbeddings()
    features = EmbeddedFeatures(embed=embeddings.embed_query)

    assert [16, 16] == [features.dim, features.dim]
    assert {"dimension": 1} == embeddings.asked


@pytest.mark.parametrize("text", ["", " ", "\ud800", "🙂 emoji"])
def test_any_prompt_has_features(text: str) -> None:
    """An empty one has zeros; half a character, which no encoding knows, is a text as well."""
    vector = EmbeddedFeatures(embed=WordEmbeddings().embed_query).features(text)

    assert ((16,), True) == (vector.shape, bool(np.isfinite(vector).all()))


def test_threads_share_what_is_remembered() -> None:
    """All get the same vector."""
    features = EmbeddedFeatures(embed=WordEmbeddings().embed_query, remembered=4)
    vectors: list[Any] = []

    def ask() -> None:
        vectors.extend(features.features(f"prompt {n % 8}") for n in range(200))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len({vector.tobytes() for vector in vectors})
    assert 4 == len(features._digest_to_vector)


def test_features_serve_where_embeddings_are_wanted() -> None:
    """A vector store finds the nearest text by them."""
    embeddings = FeatureEmbeddings(EmbeddedFeatures(embed=WordEmbeddings().embed_query))
    store = InMemoryVectorStore(embeddings)
    store.add_texts(["cats and dogs", "two and two"])

    (found,) = store.similarity_search("two two", k=1)

    assert "two and two" == found.page_content


@pytest.mark.parametrize("given", [WordEmbeddings, "hash", 3])
def test_what_is_no_featurizer_is_refused(given: Any) -> None:
    """A class in an instance's place is told as well."""
    with pytest.raises(ConfigError, match="featurizer must be a featurizer or LangChain"):
        model_of(given)


def test_a_featurizer_is_taken_as_it_is() -> None:
    """And none is none."""
    features = EmbeddedFeatures(embed=WordEmbeddings().embed_query)

    assert (features, None) == (featurizer_of(features), featurizer_of(None))


def test_no_vector_at_all_may_be_remembered_but_not_fewer() -> None:
    """Nothing is kept for 0; what is below makes no sense."""
    embeddings = WordEmbeddings()
    forgetful = EmbeddedFeatures(embed=embeddings.embed_query, remembered=0)

    for _ in range(2):
        forgetful.features("one")

    assert {"one": 2} == embeddings.asked
    with pytest.raises(ConfigError, match="remembered is -1"):
        EmbeddedFeatures(embed=embeddings.embed_query, remembered=-1)

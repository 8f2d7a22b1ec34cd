"""Embedders: from words, from a small encoder made here, and remembered."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.arrays import Floats
from pickllm.embedding import (
    CachedEmbedder,
    Embedder,
    FunctionEmbedder,
    HashingEmbedder,
    OnnxEmbedder,
    SentenceEmbedder,
    export_encoder,
)
from pickllm.ranking.contract import embedded_prompts
from tests.ranking.tiny_bert import make_tiny_bert

TEXTS = ("add three and four", "write a poem about the sea", "")


class Counting(HashingEmbedder):
    """Says what it was asked."""

    __slots__ = ("asked",)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors, and a note of it."""
        object.__setattr__(self, "asked", [*getattr(self, "asked", []), list(texts)])
        return HashingEmbedder(size=self.size).embed(texts)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers, untrained."""
    return make_tiny_bert(tmp_path_factory.mktemp("bert") / "tiny")


@pytest.fixture(scope="module")
def encoder(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported in whole numbers and as it is."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="exports and runs encoders")
    folder = tmp_path_factory.mktemp("encoder")
    export_encoder(bert, folder / "plain", int8=False)
    export_encoder(bert, folder / "int8")
    return folder


def check(embedder: Embedder) -> None:
    """What holds for every embedder."""
    vectors = embedder.embed(TEXTS)

    assert (3, embedder.dim) == vectors.shape
    assert np.float32 == vectors.dtype
    assert vectors[1] == pytest.approx(embedder.features(TEXTS[1]), abs=1e-5)
    assert 1.0 == pytest.approx(float(np.linalg.norm(vectors[0])), abs=1e-5)
    assert (0, embedder.dim) == embedder.embed([]).shape
    assert np.isfinite(embedder.features("\ud83d " * 400)).all()


def test_hashing_is_an_embedder() -> None:
    """It needs nothing, and a prompt without words is all zeros."""
    check(HashingEmbedder())
    assert 0.0 == HashingEmbedder().features(" ").max()
    with pytest.raises(ConfigError, match="at least 8"):
        HashingEmbedder(size=4)


def test_embeddings_of_frameworks_are_embedders_by_their_function() -> None:
    """Asked for many prompts at once, in batches; a model by itself is told how."""
    langchain = pytest.importorskip("langchain_core.embeddings", reason="brings embeddings")
    llama_index = pytest.importorskip("llama_index.core", reason="brings embeddings")
    model = langchain.DeterministicFakeEmbedding(size=8)
    batches: list[int] = []

    def counted(texts: list[str]) -> list[list[float]]:
        batches.append(len(texts))
        return [[1.0, 2.0] for _ in texts]

    check(FunctionEmbedder(model.embed_documents))
    check(FunctionEmbedder(llama_index.MockEmbedding(embed_dim=8).get_text_embedding_batch))
    FunctionEmbedder(counted, batch=2).embed(TEXTS)
    assert [2, 1] == batches
    with pytest.raises(ConfigError, match="of 3 prompts the function made 1 vectors"):
        FunctionEmbedder(lambda _: [[1.0] * 3]).embed(TEXTS)
    with pytest.raises(ConfigError, match=r"FunctionEmbedder\(embeddings.embed_documents\)"):
        embedded_prompts(TEXTS, model)
    with pytest.raises(ConfigError, match="give a function"):
        FunctionEmbedder(model)


def test_remembered_prompts_are_not_embedded_again() -> None:
    """Nor are equal ones in a batch; the oldest are let go."""
    inner = Counting(size=16)
    embedder = CachedEmbedder(inner, remembered=2)
    check(CachedEmbedder(HashingEmbedder()))
    embedder.embed(["a", "b", "a"])
    embedder.embed(["b", "a"])
    embedder.embed(["c", "b"])

    assert [["a", "b"], ["c"]] == inner.asked  # type: ignore[attr-defined]  # noted above
    assert 2 == embedder.held
    with pytest.raises(ConfigError, match="at least 1"):
        CachedEmbedder(inner, remembered=0)


@pytest.mark.parametrize("kind", ["plain", "int8"])
def test_an_exported_encoder_is_an_embedder(kind: str, encoder: Path) -> None:
    """In whole numbers or not."""
    check(OnnxEmbedder(encoder / kind))


def test_an_exported_encoder_is_its_model(bert: Path, encoder: Path) -> None:
    """The mean of the last states, of length one; whole numbers come close."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(bert)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(bert)(**tokens).last_hidden_state[0].mean(dim=0).numpy()
    unit = states / np.linalg.norm(states)

    assert unit == pytest.approx(OnnxEmbedder(encoder / "plain").features(TEXTS[0]), abs=1e-4)
    assert 0.98 < float(unit @ OnnxEmbedder(encoder / "int8").features(TEXTS[0]))


def test_long_prompts_keep_head_and_tail(encoder: Path) -> None:
    """What stands in the middle is left out."""
    embedder = OnnxEmbedder(encoder / "plain", tokens=8)
    one, other, short = (
        f"add three and {middle} and poem sea" for middle in ("four " * 20, "the " * 9, "")
    )

    assert embedder.features(one) == pytest.approx(embedder.features(other), abs=1e-5)
    whole = OnnxEmbedder(encoder / "plain")
    assert embedder.features(one) == pytest.approx(whole.features(short), abs=1e-5)
    with pytest.raises(ConfigError, match="at least 8"):
        OnnxEmbedder(encoder / "plain", tokens=4)
    with pytest.raises(ConfigError, match="holds no encoder"):
        OnnxEmbedder(encoder)


def test_a_sentence_transformer_is_an_embedder(bert: Path) -> None:
    """A plain encoder gets mean pooling."""
    pytest.importorskip("sentence_transformers", reason="loads sentence transformers")
    check(SentenceEmbedder(str(bert)))
    with pytest.raises(ConfigError, match="cannot load 'nowhere', which must be"):
        SentenceEmbedder("nowhere").embed(["a prompt"])


def test_what_is_written_names_its_shape(encoder: Path) -> None:
    """The dimension and the longest prompt stand beside the model."""
    settings = json.loads((encoder / "plain" / "encoder.json").read_text())

    assert {"dim": 32, "tokens": 64} == settings

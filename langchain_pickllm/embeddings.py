"""LangChain embeddings as features of prompts, and features as LangChain embeddings."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from langchain_core.embeddings import Embeddings

from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.protocols import Featurizer
from pickllm.types import Vector

__all__ = ["EmbeddingFeatures", "FeatureEmbeddings", "featurizer_of"]


@dataclass(kw_only=True, slots=True)
class EmbeddingFeatures:
    """Features from any LangChain embeddings, of length one, the newest ones remembered.

    Remembered by a hash of the prompt, never by the prompt.
    """

    embeddings: Embeddings
    remembered: int = 1024
    """How many vectors are kept; 0 for none."""
    _digest_to_vector: OrderedDict[bytes, Vector] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _dim: int = field(default=0, init=False, repr=False)

    @property
    def dim(self) -> int:
        """Length of the vectors; asked of the embeddings once."""
        if not self._dim:
            self._dim = len(self.embeddings.embed_query("dimension"))
        return self._dim

    def features(self, text: str) -> Vector:
        """The prompt's embedding, ``[dim]``, scaled to length one."""
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            if digest in self._digest_to_vector:
                self._digest_to_vector.move_to_end(digest)
                return self._digest_to_vector[digest]
        vector = _unit(np.asarray(self.embeddings.embed_query(text), dtype=np.float32))
        with self._lock:
            self._digest_to_vector[digest] = vector
            while len(self._digest_to_vector) > self.remembered:
                self._digest_to_vector.popitem(last=False)
        return vector


class FeatureEmbeddings(Embeddings):
    """A featurizer where LangChain wants embeddings: for a vector store without a model."""

    def __init__(self, featurizer: Featurizer) -> None:
        self.featurizer = featurizer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The features of each text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The features of a text."""
        return [float(value) for value in self.featurizer.features(text)]


def featurizer_of(given: Featurizer | Embeddings | None) -> Featurizer | None:
    """The featurizer that ``given`` stands for, or `ConfigError`."""
    if given is None:
        return None
    if isinstance(given, Embeddings):
        return EmbeddingFeatures(embeddings=given)
    if isinstance(given, type) or not hasattr(given, "features"):
        raise ConfigError(
            f"featurizer must be a featurizer or LangChain embeddings; it is {type(given).__name__}"
        )
    return given


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0.0 else vector

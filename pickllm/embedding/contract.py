"""What turns prompts into vectors for rankers: many at once, for fits, and one, for a decision."""

from collections.abc import Sequence
from typing import Literal, Protocol

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.types import Vector

__all__ = ["Embedder", "check_embedder"]


class Embedder(Protocol):
    """Prompts as vectors of length one. It is a `Featurizer` that also takes many at once."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32."""

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""


def check_embedder(given: object, *, method: Literal["embed", "features"]) -> None:
    """`ConfigError` where it lacks what is asked of it, as the embeddings of frameworks do."""
    if not hasattr(given, method):
        raise ConfigError(
            f"{type(given).__name__} is no embedder; of embeddings of a framework make one, such "
            "as FunctionEmbedder(embeddings.embed_documents)"
        )

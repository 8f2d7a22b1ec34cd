"""What turns prompts into vectors for rankers: many at once, for fits, and one, for a decision."""

from collections.abc import Sequence
from typing import Protocol

from pickllm.arrays import Floats
from pickllm.types import Vector

__all__ = ["Embedder"]


class Embedder(Protocol):
    """Prompts as vectors of length one. It is a `Featurizer` that also takes many at once."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32."""

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""

"""Any model of `sentence-transformers`, by name or folder; loaded when first asked."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import MissingExtra
from pickllm.pretrained import loading
from pickllm.types import Vector

__all__ = ["SentenceEmbedder"]


class SentenceEmbedder:
    """A sentence transformer, as it comes.

    Args:
        model: Name on the hub, or a folder.
        batch: How many prompts go through at once.
        device: Where it runs.
    """

    def __init__(self, model: str, *, batch: int = 32, device: str = "cpu") -> None:
        self.model = model
        self.batch = batch
        self.device = device

    @cached_property
    def _transformer(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra("a sentence transformer", extra="sentences") from error
        with loading(self.model):
            return SentenceTransformer(self.model, device=self.device)

    @property
    def dim(self) -> int:
        """Length of the vectors; loads the model."""
        return int(self._transformer.get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32."""
        # half of a surrogate pair, which JSON may bring, is no text to a tokenizer
        whole = [text.encode(errors="replace").decode() for text in texts]
        found = self._transformer.encode(
            whole, batch_size=self.batch, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, dtype=np.float32).reshape(-1, self.dim)

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""
        return np.asarray(self.embed([text])[0])

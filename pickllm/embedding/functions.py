"""Any function that embeds many prompts: LangChain's, LlamaIndex's, or of a service.

    FunctionEmbedder(embeddings.embed_documents)              # LangChain
    FunctionEmbedder(embed_model.get_text_embedding_batch)    # LlamaIndex

Prompts are embedded by the same function for the fit and for a decision: models that embed a query
in another way than a document would put the two apart. Around it `CachedEmbedder` remembers.

>>> embedder = FunctionEmbedder(lambda texts: [[3.0, 4.0] for _ in texts])
>>> embedder.features("add 2 and 3").tolist()
[0.6000000238418579, 0.800000011920929]
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain

import numpy as np

from pickllm.arrays import Floats, unit_rows
from pickllm.errors import ConfigError
from pickllm.types import Vector

__all__ = ["FunctionEmbedder"]


class FunctionEmbedder:
    """Embeds by a function.

    Args:
        function: From prompts to their vectors, all of one length.
        batch: How many prompts it gets at once, at least 1.
    """

    def __init__(
        self, function: Callable[[list[str]], Sequence[Sequence[float]]], *, batch: int = 256
    ) -> None:
        if not callable(function) or batch < 1:
            raise ConfigError(
                "give a function that embeds many, such as embeddings.embed_documents, and a "
                "batch of at least 1"
            )
        self.function = function
        self.batch = batch

    @cached_property
    def dim(self) -> int:
        """Length of the vectors; asked of the function once."""
        return len(self.function(["dimension"])[0])

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32.

        Raises:
            ConfigError: The function gives another number of vectors, or of several lengths.
        """
        # half of a surrogate pair, which JSON may bring, is no text to a service
        whole = [text.encode(errors="replace").decode() for text in texts]
        starts = range(0, len(whole), self.batch)
        found = [self.function(whole[start : start + self.batch]) for start in starts]
        vectors = list(chain.from_iterable(found))
        if len(vectors) != len(whole) or len(set(map(len, vectors))) > 1:
            raise ConfigError(
                f"of {len(whole)} prompts the function made {len(vectors)} vectors; it must make "
                "one of each, all of one length"
            )
        return unit_rows(np.array(vectors or np.zeros((0, self.dim)), dtype=np.float32))

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""
        return np.asarray(self.embed([text])[0])

"""Vectors remembered: what was embedded once is not embedded again.

Kept by a hash of the prompt, never by the prompt, the newest ones.

>>> from pickllm.embedding.hashing import HashingEmbedder
>>> embedder = CachedEmbedder(HashingEmbedder(size=8), remembered=2)
>>> embedder.embed(["a", "b", "a"]).shape, embedder.held
((3, 8), 2)
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from pickllm.arrays import Floats
from pickllm.embedding.contract import Embedder
from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.types import Vector

__all__ = ["CachedEmbedder"]


class CachedEmbedder:
    """Another embedder, asked only for what is not remembered. Threads may share it."""

    def __init__(self, embedder: Embedder, *, remembered: int = 10_000) -> None:
        if remembered < 1:
            raise ConfigError(f"remembered must be at least 1; it is {remembered}")
        self.embedder = embedder
        self.remembered = remembered
        self._digest_to_vector: OrderedDict[bytes, Vector] = OrderedDict()
        self._lock = Lock()

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.embedder.dim

    @property
    def held(self) -> int:
        """How many vectors are remembered now."""
        return len(self._digest_to_vector)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32; equal prompts are embedded once."""
        digests = [_digest(text) for text in texts]
        with self._lock:
            known = {each: self._digest_to_vector.get(each) for each in dict.fromkeys(digests)}
        text_of = dict(zip(digests, texts, strict=True))
        missing = [digest for digest, vector in known.items() if vector is None]
        if missing:
            found = self.embedder.embed([text_of[digest] for digest in missing])
            known.update(zip(missing, found, strict=True))
            self._remember(missing, found)
        rows = [known[digest] for digest in digests]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dim)

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""
        digest = _digest(text)
        with self._lock:
            if digest in self._digest_to_vector:
                self._digest_to_vector.move_to_end(digest)
                return self._digest_to_vector[digest]
        vector = self.embedder.features(text)
        self._remember([digest], vector[None, :])
        return vector

    def _remember(self, digests: Sequence[bytes], vectors: Floats) -> None:
        with self._lock:
            for digest, vector in zip(digests, vectors, strict=True):
                self._digest_to_vector[digest] = np.array(vector, dtype=np.float32)
            while len(self._digest_to_vector) > self.remembered:
                self._digest_to_vector.popitem(last=False)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

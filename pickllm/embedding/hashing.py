"""Vectors from words alone: no model, no download, tens of microseconds.

Every word and every three letters in a row fall on a place and a sign by their hash; logarithms of
the counts, of length one. Prompts that share words are near, prompts that mean the same in other
words are not.

Source: Weinberger et al., Feature Hashing for Large Scale Multitask Learning (2009).

>>> near, far = HashingEmbedder().embed(["add two numbers", "add three numbers", "a poem"])[1:]
>>> question = HashingEmbedder().features("add two numbers")
>>> bool(question @ near > question @ far)
True
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from zlib import crc32

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.types import Vector

__all__ = ["HashingEmbedder"]

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class HashingEmbedder:
    """Hashed words and letters."""

    size: int = 512
    """Length of the vectors, at least 8."""

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ConfigError(f"size must be at least 8; it is {self.size}")

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.size

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"hashing(size={self.size})"

    @property
    def instant(self) -> bool:
        """It takes less time than handing it to a thread would."""
        return True

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32; one without words is all zeros."""
        return np.array([self.features(text) for text in texts]).reshape(-1, self.size)

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""
        vector = np.zeros(self.size, dtype=np.float32)
        for piece, count in Counter(_pieces(text)).items():
            hashed = crc32(piece.encode(errors="surrogatepass"))
            vector[(hashed >> 1) % self.size] += log1p(count) * (1.0 if hashed & 1 else -1.0)
        return vector / max(float(np.sqrt(vector @ vector)), 1e-30)


def _pieces(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    letters = [f"{word} "[at : at + 3] for word in words for at in range(len(word) - 1)]
    return [f"{word}|" for word in words] + letters

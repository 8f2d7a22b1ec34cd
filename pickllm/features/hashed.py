r"""Words and character n-grams of a prompt, hashed and projected to a few dozen dimensions.

Each word and each run of ``ngram`` characters of the lower-case UTF-8 text has a hash; its low bits
pick one of ``dim`` places and one more bit a sign (count sketch: a random projection that keeps
inner products in the mean). A longer word weighs more, up to ten characters, for short words are in
every text.

    v_j = sum over terms t with place(t) = j of  sign(t) * weight(t) * count(t),    v / |v|

Whole arrays at a time: some tens of microseconds for a prompt, no download and nothing to train.

References: Weinberger et al., Feature hashing for large scale multitask learning (2009), arXiv
0902.2206; Charikar, Chen and Farach-Colton, Finding frequent items in data streams (2002).

>>> features = HashedText(dim=32)
>>> a, b = features.features("Sum the integers below 10."), features.features("Sum the integers.")
>>> c = features.features("Who wrote Hamlet?")
>>> bool(a @ b > a @ c)
True
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.types import Vector

__all__ = ["HashedText"]

_Codes: TypeAlias = NDArray[np.uint64]

_WORD = np.array(0x9E3779B97F4A7C15, dtype=np.uint64)  # an array, which numpy takes as it is
_GRAM = np.array(0xC2B2AE3D27D4EB4F, dtype=np.uint64)
_MIX = np.array(0xFF51AFD7ED558CCD, dtype=np.uint64)
_SHIFT = np.array(32, dtype=np.uint64)
_BASE = 257
_IN_WORD = bytes(byte >= 128 or chr(byte).isalnum() for byte in range(256))
"""For each byte, 1 where it belongs to a word: letters beyond ASCII are made of high bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HashedText:
    """Features of the words of a prompt, ``[dim]``; zeros for an empty prompt."""

    dim: int = 32
    """Length of the vectors, at least 2."""
    words: float = 1.0
    """Weight of words, at least 0."""
    ngrams: float = 0.5
    """Weight of runs of characters, at least 0; one of the two must be above it."""
    ngram: int = 4
    """Characters in a run, from 2 to 8."""
    length: float = 1.0
    """Of the vectors, above 0: beside other features, less of it needs more evidence to tell."""
    most_bytes: int = 3_000
    """Of a longer prompt, so many bytes are looked at: half its beginning, half its end."""

    def __post_init__(self) -> None:
        if self.dim < 2 or self.most_bytes < 2:
            raise ConfigError("dim and most_bytes must be at least 2")
        if not 2 <= self.ngram <= 8:
            raise ConfigError(f"ngram must lie from 2 to 8; it is {self.ngram}")
        if not 0.0 < self.length < math.inf:
            raise ConfigError(f"length must be above 0; it is {self.length}")
        if not (self.words >= 0.0 and self.ngrams >= 0.0 and self.words + self.ngrams > 0.0):
            raise ConfigError("words and ngrams must be at least 0, and one of them above it")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return (
            f"hashed_text(dim={self.dim}, words={self.words}, ngrams={self.ngrams}, "
            f"ngram={self.ngram}, length={self.length})"
        )

    @property
    def instant(self) -> bool:
        """It takes less time than handing it to a thread would."""
        return True

    def features(self, text: str) -> Vector:
        """The prompt's features, ``[dim]`` float32."""
        data = _lowered(text, self.most_bytes)
        sums, of_words, of_runs = _running(data)
        begins, ends = _words(data)
        words = (sums[ends] - sums[begins]) * of_words[begins]
        runs = sums[self.ngram :] - sums[: -self.ngram]
        runs *= of_runs[: len(runs)]
        weights = np.empty(len(words) + len(runs))
        weights[: len(words)] = _length_to_weight(self.words).take(ends - begins, mode="clip")
        weights[len(words) :] = self.ngrams / self.ngram
        vector = self._sketch(np.concatenate((words, runs)), weights)
        found = math.sqrt(vector.dot(vector))
        return (vector * (self.length / found) if found > 0.0 else vector).astype(np.float32)

    def _sketch(self, hashes: _Codes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed weights added up by place."""
        mixed = ((hashes ^ (hashes >> _SHIFT)) * _MIX) >> _SHIFT
        # the lowest bit is the sign, those above it the place: both in one count
        places = (mixed % np.uint64(2 * self.dim)).view(np.int64)
        sums = np.bincount(places, weights=weights, minlength=2 * self.dim)
        return sums[1::2] - sums[::2]  # type: ignore[return-value]  # weights make them real


@lru_cache(maxsize=32)
def _length_to_weight(words: float) -> NDArray[np.float64]:
    """Of a word, by its length up to ten characters, ``[11]``."""
    return np.arange(11, dtype=np.float64) * (0.1 * words)


def _lowered(text: str, most_bytes: int) -> bytes:
    half = most_bytes // 2
    if len(text) > most_bytes:
        text = f"{text[:half]} {text[-half:]}"
    return text.encode(errors="surrogatepass")[: 2 * most_bytes].lower()


def _running(data: bytes) -> tuple[_Codes, _Codes, _Codes]:
    """Sums up to each place, and factors for words and runs, by which they have a hash.

    Of what stands from i to j it is ``(sums[j] - sums[i]) * factors[i]``, modulo 2 ** 64: a
    polynomial of its codes, the same wherever it stands.
    """
    codes = np.frombuffer(b"\0" + data, dtype=np.uint8)  # the sum up to the first place is 0
    forwards, of_words, of_runs = _powers(1 << len(data).bit_length())
    return np.add.accumulate(codes * forwards[: len(codes)]), of_words, of_runs


@lru_cache(maxsize=32)
def _powers(count: int) -> tuple[_Codes, _Codes, _Codes]:
    """``base ** place``, and ``base ** -(place + 1)`` for words and for runs, modulo 2 ** 64."""
    factors = np.full((2, count + 1), _BASE, dtype=np.uint64)
    factors[0, 0], factors[1] = 1, pow(_BASE, -1, 2**64)
    forwards, backwards = np.cumprod(factors, axis=1)
    return forwards, backwards * _WORD, backwards * _GRAM


def _words(data: bytes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each word begins, and where it ends."""
    framed = b"\0%b\0" % data.translate(_IN_WORD)
    inside = np.frombuffer(framed, dtype=bool)
    (steps,) = (inside[1:] != inside[:-1]).nonzero()
    return steps[::2], steps[1::2]

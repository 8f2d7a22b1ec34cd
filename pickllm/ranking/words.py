"""A ridge on words: hashed TF-IDF, no embedding, no vocabulary to keep.

    x_w = (1 + ln count_w) * idf_w, scaled to |x| = 1
    idf_w = 1 + ln((1 + prompts) / (1 + prompts with w))
    strength = offset + sum over words w of x_w * b_w

Words and pairs of neighbouring words fall into ``2 ** bits`` places by a hash; what is kept is one
number for each place and arm. To rank a prompt is to hash its words and add up a few hundred
numbers.

>>> hashed_words("To be or not to be", bits=4)[1].tolist()  # how often, by place
[2.0, 4.0, 1.0, 1.0, 1.0, 2.0]
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError, MissingExtra
from pickllm.ranking.contract import Prompts
from pickllm.ranking.regression import mean_points

__all__ = ["FittedWords", "WordRidge", "hashed_words"]

_TOKEN = re.compile(r"\w+|[^\w\s]")


def hashed_words(text: str, *, bits: int) -> tuple[Integers, Floats]:
    """Places of a prompt's words and pairs of words, each once, and how often they occur."""
    tokens = _TOKEN.findall(text.lower())
    pairs = map(" ".join, pairwise(tokens))
    mask = (1 << bits) - 1
    found = [crc32(word.encode(errors="surrogatepass")) & mask for word in (*tokens, *pairs)]
    places, counts = np.unique(np.array(found, dtype=np.intp), return_counts=True)
    return places, counts.astype(np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedWords:
    """A number for each place and arm."""

    arms: tuple[str, ...]
    bits: int
    idf: Floats
    """``[places]`` float32."""
    weights: Floats
    """``[places, arms]`` float32."""
    offset: Floats
    """``[arms]``."""

    @property
    def dim(self) -> int:
        """It reads texts alone."""
        return 0

    @property
    def instant(self) -> bool:
        """It adds up some hundred numbers."""
        return True

    def strengths(self, prompts: Prompts) -> Floats:
        """Sums over each prompt's words, ``[prompts, arms]``, kept in [0, 1]."""
        found = [self._sum(text) for text in prompts.texts]
        sums = np.array(found).reshape(-1, len(self.arms)) + self.offset
        return np.asarray(np.clip(sums, 0.0, 1.0))

    def _sum(self, text: str) -> Floats:
        places, counts = hashed_words(text, bits=self.bits)
        values = (1.0 + np.log(counts)) * self.idf[places]
        return values @ self.weights[places] / max(float(np.sqrt(values @ values)), 1e-30)


@dataclass(frozen=True, kw_only=True, slots=True)
class WordRidge:
    """Settings of the ridge on words."""

    penalty: float = 4.0
    """In prompts, above 0: rows have length one."""
    bits: int = 18
    """2 to this power is how many places there are, from 8 to 24."""

    def __post_init__(self) -> None:
        if not self.penalty > 0.0 or not 8 <= self.bits <= 24:
            raise ConfigError("penalty must be above 0 and bits from 8 to 24")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"words(penalty={self.penalty})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedWords:
        """Count words and solve by conjugate gradients.

        Raises:
            MissingExtra: scikit-learn, which solves it, is not installed.
        """
        try:
            from scipy.sparse import csr_matrix
            from sklearn.linear_model import Ridge
        except ImportError as error:
            raise MissingExtra("to fit a router on words", extra="ranking") from error
        used = np.unique(table.prompt)
        points = table.points()[used]
        rows = [hashed_words(prompts.texts[place], bits=self.bits) for place in used]
        starts = np.concatenate(([0], np.cumsum([len(places) for places, _ in rows])))
        places = np.concatenate([places for places, _ in rows])
        idf = 1.0 + np.log(
            (1.0 + len(used)) / (1.0 + np.bincount(places, minlength=1 << self.bits))
        )
        values = np.concatenate([1.0 + np.log(counts) for _, counts in rows]) * idf[places]
        lengths = np.sqrt(np.add.reduceat(np.append(values**2, 0.0), starts[:-1]))
        values /= np.repeat(np.maximum(lengths, 1e-30), np.diff(starts))
        matrix = csr_matrix((values, places, starts), shape=(len(used), 1 << self.bits))
        weights = np.zeros((1 << self.bits, len(table.arms)), dtype=np.float32)
        offset = mean_points(points)
        for arm, wanted in enumerate(points.T):
            known = ~np.isnan(wanted)
            if known.any():
                ridge = Ridge(alpha=self.penalty, solver="sparse_cg", tol=1e-4)
                ridge.fit(matrix[known], wanted[known])
                weights[:, arm], offset[arm] = ridge.coef_, ridge.intercept_
        return FittedWords(
            arms=table.arms,
            bits=self.bits,
            idf=idf.astype(np.float32),
            weights=weights,
            offset=offset,
        )

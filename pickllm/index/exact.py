"""Nearest vectors by looking at each, and clusters by k-means; numpy alone.

>>> index = ExactIndex(vectors=np.eye(3, dtype=np.float32))
>>> places, similarities = index.search(np.array([[0.1, 0.9, 0.4]], dtype=np.float32), 2)
>>> places.tolist(), similarities.tolist()
([[1, 2]], [[0.8999999761581421, 0.4000000059604645]])
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError

__all__ = [
    "Clusters",
    "ExactIndex",
    "VectorIndex",
    "check_clusters",
    "nearest",
    "numpy_clusters",
]

_VECTORS_PER_CLUSTER = 64
"""K-means sees no more of them than this: centres hardly move for more."""
_ROUNDS = 10
_ROWS_AT_ONCE = 4096


class VectorIndex(Protocol):
    """The nearest of many vectors by inner product, which for unit vectors is the cosine."""

    def add(self, vectors: Floats) -> "VectorIndex":
        """An index with more vectors, ``[more, dim]``; their places go on counting."""

    def search(self, vectors: Floats, count: int) -> tuple[Integers, Floats]:
        """Places and similarities of the nearest, best first, both ``[vectors, count]``.

        There are fewer columns where the index holds fewer vectors. A place of -1, with similarity
        -inf, says that an approximate search found no more.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """Vectors put together with their like."""

    centres: Floats
    """``[clusters, dim]`` float32."""
    member_of: Integers
    """Cluster of each vector, ``[vectors]``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactIndex:
    """Every vector is compared."""

    vectors: Floats
    """``[vectors, dim]`` float32."""

    def add(self, vectors: Floats) -> "ExactIndex":
        """The vectors behind those that are there."""
        return ExactIndex(vectors=np.concatenate((self.vectors, vectors)))

    def search(self, vectors: Floats, count: int) -> tuple[Integers, Floats]:
        """The nearest, exactly."""
        similarities = vectors @ self.vectors.T
        places = nearest(similarities, count)
        return places, np.take_along_axis(similarities, places, axis=1)


def nearest(similarities: Floats, count: int) -> Integers:
    """Places of the highest in each row, best first, ``[rows, count]``; fewer where fewer are."""
    columns = similarities.shape[1]
    kept = min(count, columns)
    if kept == columns:
        places = np.broadcast_to(np.arange(columns), similarities.shape)
    else:
        places = np.argpartition(similarities, columns - kept, axis=1)[:, columns - kept :]
    found = np.take_along_axis(similarities, places, axis=1)
    return np.take_along_axis(places, np.argsort(-found, axis=1, kind="stable"), axis=1)


def numpy_clusters(vectors: Floats, *, clusters: int, seed: int = 0) -> Clusters:
    """Clusters by Lloyd's k-means on a sample, ``[vectors, dim]``.

    Raises:
        ConfigError: There are fewer vectors than clusters.
    """
    check_clusters(vectors, clusters)
    rng = np.random.default_rng(seed)
    sample = vectors[rng.permutation(len(vectors))[: _VECTORS_PER_CLUSTER * clusters]]
    centres = np.array(sample[:clusters], dtype=np.float32)
    for _ in range(_ROUNDS):
        member_of = _nearest_centre(sample, centres)
        sums = np.zeros((clusters, vectors.shape[1]))
        np.add.at(sums, member_of, sample)
        sizes = np.bincount(member_of, minlength=clusters)
        filled = sizes > 0
        centres[filled] = sums[filled] / sizes[filled, None]
    return Clusters(centres=centres, member_of=_nearest_centre(vectors, centres))


def check_clusters(vectors: Floats, clusters: int) -> None:
    """`ConfigError` unless there is at least one cluster, and a vector for each."""
    if not 1 <= clusters <= len(vectors):
        raise ConfigError(f"{len(vectors)} vectors can not be put into {clusters} clusters")


def _nearest_centre(vectors: Floats, centres: Floats) -> Integers:
    """By distance, ``[vectors]``."""
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    parts = [
        (vectors[start : start + _ROWS_AT_ONCE] @ centres.T - half).argmax(axis=1)
        for start in range(0, len(vectors), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts)

"""Rankers that predict what each arm wins on a prompt, by a regression on its vector.

The target is `PreferenceTable.points`: 1 for an arm that beat all that it met on a prompt, 0.5 for
one that was like them. Ties stay in, as halves; to drop them costs APGR, for a prompt on which both
models do well is one that the weak model should have. Two ways:

    neighbours   mean of the nearest prompts' points, drawn to the arm's mean by a prior
    ridge        a linear map, ``argmin |V b - t|^2 + penalty * |b|^2``, with an intercept

>>> from pickllm.data import Battle, preference_table
>>> table = preference_table([
...     Battle(prompt="sum", first="large", second="small", winner="first"),
...     Battle(prompt="poem", first="large", second="small", winner="tie"),
... ])
>>> prompts = Prompts(texts=table.prompts, vectors=np.eye(2, dtype=np.float32))
>>> fitted = Neighbours(count=1, prior_prompts=1.0).fit(table, prompts)
>>> fitted.strengths(prompts).round(3).tolist()  # (1 + 0.75) / 2 for "sum"
[[0.875, 0.125], [0.625, 0.375]]
"""

from dataclasses import dataclass

import numpy as np

from pickllm.arrays import Floats, unit_rows
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError
from pickllm.index import ExactIndex
from pickllm.ranking.contract import Prompts
from pickllm.ranking.projection import Projection, fit_projection

__all__ = [
    "FittedNeighbours",
    "FittedRidge",
    "Neighbours",
    "Ridge",
    "linear_fit",
    "mean_points",
]

_PROMPTS_AT_ONCE = 256


def mean_points(points: Floats) -> Floats:
    """Each arm's mean over the prompts on which it was in a battle, ``[arms]``."""
    known = ~np.isnan(points)
    return np.asarray(np.where(known, points, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedNeighbours:
    """Prompts with what each arm won on them."""

    arms: tuple[str, ...]
    count: int
    prior_prompts: float
    power: float
    vectors: Floats
    """Of length one, ``[prompts, dim]`` float32."""
    points: Floats
    """``[prompts, arms]`` float32, NaN where an arm was in no battle."""
    means: Floats
    """``[arms]``."""
    projection: Projection | None

    @property
    def dim(self) -> int:
        """Length of the vectors that it reads."""
        read = self.vectors.T if self.projection is None else self.projection.axes
        return len(read)

    def strengths(self, prompts: Prompts) -> Floats:
        """Weighted means of the nearest prompts, ``[prompts, arms]``."""
        vectors = prompts.vectors_of(self.dim)
        parts = [
            self._block(vectors[start : start + _PROMPTS_AT_ONCE])
            for start in range(0, len(prompts), _PROMPTS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.arms)))

    def _block(self, vectors: Floats) -> Floats:
        known = unit_rows(vectors) if self.projection is None else self.projection(vectors)
        places, similarity = ExactIndex(vectors=self.vectors).search(known, self.count)
        weight = np.maximum(similarity, 0.0)[:, :, None] ** self.power
        points = self.points[places]
        seen = ~np.isnan(points)
        mass = (weight * seen).sum(axis=1)
        won = (weight * np.where(seen, points, 0.0)).sum(axis=1)
        prior = max(self.prior_prompts, 1e-9)
        return np.asarray((won + prior * self.means) / (mass + prior))


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbours:
    """Settings of the nearest neighbours."""

    count: int = 100
    """How many neighbours, at least 1."""
    prior_prompts: float = 10.0
    """The arm's mean counts for so many neighbours, at least 0."""
    power: float = 0.0
    """A neighbour weighs its cosine to this power; 0 weighs all alike."""
    dimensions: int | None = None
    """Vectors are centred and cut to so many dimensions; None leaves them."""

    def __post_init__(self) -> None:
        if self.count < 1 or not self.prior_prompts >= 0.0 or not self.power >= 0.0:
            raise ConfigError("count must be at least 1, prior_prompts and power at least 0")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"neighbours(count={self.count}, dimensions={self.dimensions})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedNeighbours:
        """Keep the prompts that have a battle."""
        points = table.points()
        used = np.unique(table.prompt)
        vectors = _vectors(prompts)[used]
        projection = self.dimensions and fit_projection(vectors, dimensions=self.dimensions)
        return FittedNeighbours(
            arms=table.arms,
            count=self.count,
            prior_prompts=self.prior_prompts,
            power=self.power,
            vectors=projection(vectors) if projection else unit_rows(vectors),
            points=points[used].astype(np.float32),
            means=mean_points(points),
            projection=projection or None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedRidge:
    """A linear map from vectors to points."""

    arms: tuple[str, ...]
    weights: Floats
    """``[dim, arms]``."""
    offset: Floats
    """``[arms]``."""

    @property
    def dim(self) -> int:
        """Length of the vectors that it reads."""
        return len(self.weights)

    @property
    def instant(self) -> bool:
        """It is one product."""
        return True

    def strengths(self, prompts: Prompts) -> Floats:
        """One product, ``[prompts, arms]``, kept in [0, 1]."""
        return np.asarray(
            np.clip(prompts.vectors_of(self.dim) @ self.weights + self.offset, 0.0, 1.0)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ridge:
    """Settings of the linear map."""

    penalty: float = 30.0
    """In prompts, above 0: vectors have length one."""

    def __post_init__(self) -> None:
        if not self.penalty > 0.0:
            raise ConfigError(f"penalty must be above 0; it is {self.penalty}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"ridge(penalty={self.penalty})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedRidge:
        """Solve the normal equations, for each arm on the prompts where it was in a battle."""
        weights, offset = linear_fit(_vectors(prompts), table.points(), penalty=self.penalty)
        return FittedRidge(arms=table.arms, weights=weights, offset=offset)


def linear_fit(rows: Floats, targets: Floats, *, penalty: float) -> tuple[Floats, Floats]:
    """Weights ``[dim, arms]`` and offsets ``[arms]`` of a ridge; NaN targets are left out."""
    known = ~np.isnan(targets)
    weights = np.zeros((rows.shape[1], targets.shape[1]))
    offset = mean_points(targets)
    for columns in _alike(known):
        seen = np.asarray(rows[known[:, columns[0]]], dtype=np.float64)
        if not len(seen):
            continue
        wanted = targets[known[:, columns[0]]][:, columns]
        centre = seen.mean(axis=0)
        apart = seen - centre
        curve = apart.T @ apart + penalty * np.eye(rows.shape[1])
        found = np.linalg.solve(curve, apart.T @ (wanted - wanted.mean(axis=0)))
        weights[:, columns] = found
        offset[columns] = wanted.mean(axis=0) - centre @ found
    return weights, offset


def _alike(known: Floats) -> list[list[int]]:
    """Arms that were in battles on the very same prompts: they share one factorisation."""
    groups: dict[bytes, list[int]] = {}
    for arm, column in enumerate(known.T):
        groups.setdefault(np.packbits(column).tobytes(), []).append(arm)
    return list(groups.values())


def _vectors(prompts: Prompts) -> Floats:
    if not prompts.vectors.shape[1]:
        raise ConfigError("this ranker reads vectors, and the prompts have none; embed them first")
    return np.asarray(prompts.vectors, dtype=np.float32)

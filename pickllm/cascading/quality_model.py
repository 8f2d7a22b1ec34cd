"""What every arm's answer would be worth, before any is bought and after some are: one Gaussian.

    z = (quality of each arm, score of each answer, its cost, agreement of each two answers)
    z | prompt ~ Normal(B x, S)                 ridge on the prompt's features x, and what it leaves

Bought answers show some places of z; what they say of the others is the conditional mean and
covariance. So a good score of the small arm raises what is expected of the large one, for the
prompt seems easy; two answers that agree raise each other; and before anything is bought it is
known by how much a further answer would move these means, which is all that it can be bought for.

    mean(rest | seen) = B x + S_rs S_ss⁻¹ (seen - B x),     covariance = S_rr - S_rs S_ss⁻¹ S_sr

Right and wrong are no Gaussian; the conditional mean is the best linear guess all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Floats
from pickllm.cascading.scored import ScoredTable
from pickllm.errors import ConfigError

__all__ = ["Places", "QualityModel", "fit_quality_model"]

_JITTER = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where in z the numbers of some arms stand."""

    arms: int

    @property
    def size(self) -> int:
        """Length of z."""
        return 3 * self.arms + self.arms * (self.arms - 1) // 2

    def score(self, arm: int) -> int:
        """Of an arm's score; its quality stands at ``arm`` itself."""
        return self.arms + arm

    def cost(self, arm: int) -> int:
        """Of what it cost, as a multiple of what it costs in the mean."""
        return 2 * self.arms + arm

    def agreement(self, one: int, other: int) -> int:
        """Of how far two arms agree."""
        low, high = sorted((one, other))
        return 3 * self.arms + low * (2 * self.arms - low - 1) // 2 + high - low - 1

    def bought(self, bought: Sequence[int], *, agreements: bool) -> list[int]:
        """All that is seen once these arms have answered."""
        own = [place for arm in bought for place in (self.score(arm), self.cost(arm))]
        pairs = [self.agreement(*pair) for pair in combinations(sorted(bought), 2)]
        return sorted([*own, *(pairs if agreements else [])])


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityModel:
    """The Gaussian, fitted."""

    arms: tuple[str, ...]
    weights: NDArray[np.float32]
    """``[1 + dim, len(z)]``; the first row is the mean."""
    center: NDArray[np.float32]
    """Of each feature, ``[dim]``."""
    spread: NDArray[np.float32]
    """Of each feature, ``[dim]``."""
    covariance: NDArray[np.float32]
    """``[len(z), len(z)]``."""
    mean_cost_usd: Mapping[str, float]
    """Of one answer, for each arm."""
    compares: bool
    """Whether answers are compared: without, agreement is never seen."""

    @property
    def places(self) -> Places:
        """Where things stand in z."""
        return Places(arms=len(self.arms))

    @property
    def dim(self) -> int:
        """Length of the features."""
        return len(self.center)

    def prior(self, features: Floats) -> Floats:
        """Means of z for some prompts, ``[rows, len(z)]``, from features ``[rows, dim]``."""
        standard = np.clip((features - self.center) / self.spread, -4.0, 4.0)
        return np.asarray(self.weights[0] + standard @ self.weights[1:], dtype=np.float64)

    def given(self, prior: Floats, seen: Sequence[int], values: Floats) -> Floats:
        """Means of z once ``values`` ``[rows, seen]`` have been seen, ``[rows, len(z)]``."""
        if not len(seen):
            return prior
        gain = self._gain(seen)
        return np.asarray(prior + (values - prior[:, list(seen)]) @ gain.T)

    def left(self, seen: Sequence[int]) -> Floats:
        """Covariance of z once some of it has been seen, ``[len(z), len(z)]``."""
        whole = self.covariance.astype(np.float64)
        return np.asarray(whole - self._gain(seen) @ whole[list(seen)]) if len(seen) else whole

    def _gain(self, seen: Sequence[int]) -> Floats:
        """``[len(z), seen]``."""
        whole = self.covariance.astype(np.float64)
        return np.asarray(np.linalg.solve(whole[np.ix_(seen, seen)], whole[list(seen)]).T)


def fit_quality_model(
    table: ScoredTable,
    features: Floats,
    *,
    agreement: Floats | None = None,
    penalty: float = 10.0,
) -> QualityModel:
    """Fit it on recorded answers that the scorer has not learnt from.

    Args:
        table: Scores, qualities and costs.
        features: Of the prompts, ``[rows, dim]``.
        agreement: How far each two answers agree, in [0, 1], ``[rows, arms, arms]``; or None.
        penalty: Of the ridge, in rows, above 0.
    """
    if not penalty > 0.0 or len(features) != len(table):
        raise ConfigError("penalty must be above 0, and features as many as rows")
    places = Places(arms=len(table.arms))
    means = np.maximum(table.cost_usd.mean(axis=0), 1e-12)
    pairs = np.zeros((len(table), places.size - 3 * places.arms))
    if agreement is not None:
        one, other = np.triu_indices(places.arms, 1)
        pairs = agreement[:, one, other]
    z = np.hstack([table.quality, table.score, table.cost_usd / means, pairs])
    center, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-6, spread, np.inf)
    standard = np.clip((features - center) / spread, -4.0, 4.0)
    weights = _ridge(standard, z, penalty)
    left = z - np.hstack([np.ones((len(z), 1)), standard]) @ weights
    freedom = max(1, len(z) - np.count_nonzero(np.isfinite(spread)) - 1)
    return QualityModel(
        arms=table.arms,
        weights=weights.astype(np.float32),
        center=center.astype(np.float32),
        spread=spread.astype(np.float32),
        covariance=(left.T @ left / freedom + _JITTER * np.eye(places.size)).astype(np.float32),
        mean_cost_usd=dict(zip(table.arms, means.tolist(), strict=True)),
        compares=agreement is not None,
    )


def _ridge(rows: Floats, targets: Floats, penalty: float) -> Floats:
    """Weights with the mean as first row, ``[1 + dim, targets]``."""
    mean, offset = targets.mean(axis=0), rows.mean(axis=0)
    around = rows - offset
    square = around.T @ around + penalty * np.eye(rows.shape[1])
    found = np.linalg.solve(square, around.T @ (targets - mean))
    return np.vstack([mean - offset @ found, found])

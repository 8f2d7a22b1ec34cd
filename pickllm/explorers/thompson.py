r"""Thompson sampling: each arm as often as it is likely to be the best one.

    p_a = P( theta_a > theta_b for every b ),     theta_a ~ posterior of a's mean

The probabilities come first, and the router draws from these very numbers, so a propensity is
exact. For Gaussian posteriors the integral over each arm's own quantiles is summed,

    p_a = 1/n sum_i prod_b Phi((m_a + s_a z_i - m_b) / s_b),

with nothing left to chance; for Beta posteriors, which counts of successes make, it is summed over
a grid of log-odds that is fine where any of them is steep. Either way they are made to sum to one.

References: Thompson (1933); Agrawal and Goyal (2013), arXiv 1209.3352.

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.6, 0.5), spreads=(0.1, 0.1), counts=(25, 25))
>>> p = Thompson().probabilities(estimate, 50, Rng(seed=1, number=1))
>>> round(p[0], 2)                                          # Phi(0.1 / (0.1 * sqrt(2)))
0.76
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["Thompson"]

_Array: TypeAlias = NDArray[np.float64]

_ABOVE = (
    *(0.0784124127331122, 0.2372021093287877, 0.40225006532172525, 0.579132162255556),
    *(0.7764217611479276, 1.009990169249582, 1.3180108973035367, 1.862731867421651),
)
_QUANTILES = np.array([*(-quantile for quantile in reversed(_ABOVE)), *_ABOVE])
"""Of a standard normal, in the middle of each of as many equal shares: ``NormalDist().inv_cdf``.

Written out, because `statistics` takes milliseconds to import.
"""
_POINTS = len(_QUANTILES)
_GRID = np.linspace(-6.0, 6.0, 49)
"""Deviations from the middle of a Beta posterior's log-odds, which have tails like a logistic's."""
_LEAST = 1e-9
"""Spreads and probabilities below this are as good as none."""
_LEAST_COUNT = 1e-2
"""Of successes or failures, where there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thompson:
    """Probability matching; an arm of which nothing is known has the widest posterior there is."""

    posterior: Literal["gaussian", "beta"] = "gaussian"
    """Shape of what is believed of a mean; "beta" reads means and counts, for rewards in [0, 1]."""
    width: float = 1.0
    """Factor on the spreads of Gaussian posteriors, above 0: more explores more."""
    epsilon: float = 0.02
    """Share of exploration at random, in [0, 1]; 0 as published."""

    def __post_init__(self) -> None:
        if self.posterior not in ("gaussian", "beta"):
            raise ConfigError(f"posterior is 'gaussian' or 'beta', not {self.posterior!r}")
        if not 0.0 < self.width < math.inf:
            raise ConfigError(f"width must be above 0; it is {self.width}")
        if not 0.0 <= self.epsilon <= 1.0:
            raise ConfigError(f"epsilon must lie in [0, 1]; it is {self.epsilon}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        shape = f"gaussian, width={self.width}" if self.posterior == "gaussian" else "beta"
        return f"thompson({shape}, epsilon={self.epsilon})"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """How often each arm is the best one, mixed with epsilon of any arm."""
        arms = len(estimate.means)
        if arms == 1:
            return (1.0,)
        best = self._gaussian(estimate) if self.posterior == "gaussian" else _beta(estimate)
        scale = (1.0 - self.epsilon) / math.fsum(best)
        return tuple([share * scale + self.epsilon / arms for share in best])

    def _gaussian(self, estimate: Estimate) -> Sequence[float]:
        means = [0.5 if mean is None else mean for mean in estimate.means]
        spreads = [
            max(self.width * (0.5 if mean is None else spread), _LEAST)
            for mean, spread in zip(estimate.means, estimate.spreads, strict=True)
        ]
        if len(means) == 2:
            gap = (means[0] - means[1]) / math.hypot(*spreads)
            first = 0.5 * math.erfc(-gap / math.sqrt(2.0))
            return first, 1.0 - first
        return _best_of_many(np.array(means), np.array(spreads))


def _best_of_many(means: _Array, spreads: _Array) -> Sequence[float]:
    """The sum over quantiles, ``[arms]``, but for a factor.

    The normal distribution function is 1 + tanh(z (a + b z^2)), over 2, to about 3e-4 (Page,
    1977): numpy has none of its own.
    """
    points = spreads[:, None] * _QUANTILES + means[:, None]  # [arms, points]
    z = points - means[:, None, None]  # [rivals, arms, points]
    z /= spreads[:, None, None]
    cubic = z * z
    cubic *= 0.0356774081
    cubic += 0.7978845608
    cubic *= z
    cubic.reshape(-1, _POINTS)[:: len(means) + 1] = 9.0  # an arm is no rival of its own
    np.tanh(cubic, out=cubic)
    cubic += 1.0
    best: list[float] = np.add.reduce(np.multiply.reduce(cubic, axis=0), axis=1).tolist()
    return best


def _beta(estimate: Estimate) -> Sequence[float]:
    """Which of several Beta posteriors is the greatest, ``[arms]``, but for a factor."""
    counts = np.array([max(count, 2.0) for count in estimate.counts])
    means = np.array([0.5 if mean is None else mean for mean in estimate.means])
    won = np.maximum(means * counts, _LEAST_COUNT)
    lost = np.maximum((1.0 - means) * counts, _LEAST_COUNT)
    odds = _odds_grid(won, lost)
    log_density = won[:, None] * odds - (won + lost)[:, None] * np.logaddexp(0.0, odds)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    mass = (density[:, 1:] + density[:, :-1]) * np.diff(odds)  # [arms, steps], twice what it is
    below = mass.cumsum(axis=1)
    shares = mass / below[:, -1:]
    below = np.maximum(below / below[:, -1:] - 0.5 * shares, _LEAST)  # at the middle of each step
    best: list[float] = (shares / below * below.prod(axis=0)).sum(axis=1).tolist()
    return best


def _odds_grid(won: _Array, lost: _Array) -> _Array:
    """Log-odds at which Beta densities are summed: so many about each of them, in order."""
    centres = np.log(won / lost)
    spreads = np.sqrt(1.0 / won + 1.0 / lost + 0.5 / won**2 + 0.5 / lost**2)  # nearly
    return np.sort((centres[:, None] + spreads[:, None] * _GRID).ravel())

r"""Upper confidence bounds: the arm that could be the best, as far as anyone knows.

    bound_a = mean_a + width * spread_a                                      LinUCB
    bound_a = mean_a + width * spread_a * sqrt(2 ln steps)                   UCB1, with ``growing``

Published bounds choose without a draw; a share of ``epsilon`` for any arm gives every arm a
propensity above zero, without which logged traffic says nothing about other policies.

References: Auer, Cesa-Bianchi and Fischer, Finite-time analysis of the multiarmed bandit problem
(2002); Li et al. (2010), arXiv 1003.0146.

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.6, 0.5), spreads=(0.1, 0.3), counts=(25, 3))
>>> UpperBound(width=1.0, epsilon=0.5).probabilities(estimate, 28, Rng(seed=1, number=1))
(0.25, 0.75)
"""

import math
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.explorers.ties import shared_by_best
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["UpperBound"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpperBound:
    """The arm with the highest upper bound, and with probability epsilon any arm."""

    width: float = 1.0
    """Spreads that are added to a mean (alpha), at least 0."""
    growing: bool = False
    """Whether the bound grows with the logarithm of the steps, as UCB1's does."""
    epsilon: float = 0.02
    """Share of exploration at random, in [0, 1]; 0 as published."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.width < math.inf:
            raise ConfigError(f"width must be a number of at least 0; it is {self.width}")
        if not 0.0 <= self.epsilon <= 1.0:
            raise ConfigError(f"epsilon must lie in [0, 1]; it is {self.epsilon}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"upper_bound(width={self.width}, growing={self.growing}, epsilon={self.epsilon})"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """``epsilon / arms`` for every arm; the rest is shared by the highest bounds."""
        width = self.width * (math.sqrt(2.0 * math.log(max(steps, 1))) if self.growing else 1.0)
        bounds = [
            None if mean is None else mean + width * spread
            for mean, spread in zip(estimate.means, estimate.spreads, strict=True)
        ]
        return shared_by_best(bounds, self.epsilon)

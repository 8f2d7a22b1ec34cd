r"""SquareCB, or inverse gap weighting: an arm is the less likely the further it is from the best.

    p_a = 1 / (arms + gamma_t * (mean_best - mean_a)),     the rest to the best
    gamma_t = gamma * steps ** growth

Probabilities in closed form, never zero, from means alone; with a good regression its regret is of
the best order that there is.

References: Foster and Rakhlin, Beyond UCB: optimal and efficient contextual bandits with regression
oracles (2020), arXiv 2002.04926; Abe and Long (1999).

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.75, 0.5), spreads=(0.1, 0.1), counts=(25, 25))
>>> SquareCB(gamma=8.0, growth=0.5).probabilities(estimate, 16, Rng(seed=1, number=1))
(0.9, 0.1)
"""

import math
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.explorers.ties import optimistic
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["SquareCB"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SquareCB:
    """Inverse gap weighting; equal bests share what is left, one never tried counts as a best."""

    gamma: float = 10.0
    """How soon a gap tells, above 0."""
    growth: float = 0.5
    """Power of the steps with which gamma grows, in [0, 1]; 0 keeps it."""

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma < math.inf:
            raise ConfigError(f"gamma must be above 0; it is {self.gamma}")
        if not 0.0 <= self.growth <= 1.0:
            raise ConfigError(f"growth must lie in [0, 1]; it is {self.growth}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"square_cb(gamma={self.gamma}, growth={self.growth})"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """The arms behind the best get their share, the best ones what is left."""
        means = optimistic(estimate.means)
        gamma = self.gamma * max(steps, 1) ** self.growth
        best = max(means)
        behind = [
            0.0 if mean >= best else 1.0 / (len(means) + gamma * (best - mean)) for mean in means
        ]
        left = (1.0 - math.fsum(behind)) / behind.count(0.0)
        return tuple(share or left for share in behind)

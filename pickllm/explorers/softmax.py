"""Softmax, or Boltzmann exploration: the better an arm, the likelier.

    p_a = exp(mean_a / temperature) / sum_b exp(mean_b / temperature)

References: Sutton and Barto, Reinforcement Learning (2018), section 2.8.

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.6, 0.5), spreads=(0.1, 0.1), counts=(25, 25))
>>> p = Softmax(temperature=0.1).probabilities(estimate, 50, Rng(seed=1, number=1))
>>> round(p[0], 3)
0.731
"""

import math
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.explorers.ties import optimistic
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["Softmax"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Softmax:
    """Arms in proportion to the exponential of their means; one never tried counts as a best."""

    temperature: float = 0.05
    """Difference of means that makes one arm e times as likely as another, above 0."""

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0; it is {self.temperature}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"softmax(temperature={self.temperature})"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """Boltzmann's distribution over the means."""
        means = optimistic(estimate.means)
        best = max(means)
        shares = [math.exp((mean - best) / self.temperature) for mean in means]
        total = math.fsum(shares)
        return tuple(share / total for share in shares)

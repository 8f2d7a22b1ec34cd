"""Epsilon-greedy: the best arm, and with a small probability any arm.

References: Sutton and Barto, Reinforcement Learning (2018), section 2.2.

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.9, 0.4), spreads=(0.1, 0.1), counts=(25, 25))
>>> EpsilonGreedy(epsilon=0.2).probabilities(estimate, 10, Rng(seed=1, number=1))
(0.9, 0.1)
"""

from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.explorers.ties import shared_by_best
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["EpsilonGreedy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpsilonGreedy:
    """With probability epsilon any arm, else the best; epsilon is ``epsilon * decay ** steps``.

    Equal bests share, and an arm never rewarded counts as one of them.
    """

    epsilon: float = 0.1
    """Share of exploration, in [0, 1]."""
    decay: float = 1.0
    """Factor for each reward learnt, in (0, 1]; 1 keeps epsilon as it is."""
    least: float = 0.0
    """Epsilon never falls below this."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.least <= self.epsilon <= 1.0:
            raise ConfigError(
                f"0 <= least <= epsilon <= 1 must hold; least is {self.least}, "
                f"epsilon is {self.epsilon}"
            )
        if not 0.0 < self.decay <= 1.0:
            raise ConfigError(f"decay must lie in (0, 1]; it is {self.decay}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"epsilon_greedy(epsilon={self.epsilon}, decay={self.decay}, least={self.least})"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """``epsilon / arms`` for every arm; the rest is shared by the best ones."""
        epsilon = max(self.least, self.epsilon * self.decay**steps)
        return shared_by_best(estimate.means, epsilon)

"""How to choose among estimates: these in, probabilities out, and no prompt and no arm seen.

>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.9, 0.4), spreads=(0.1, 0.1), counts=(25, 25))
>>> EpsilonGreedy(epsilon=0.2).probabilities(estimate, 10, Rng(seed=1, number=1))
(0.9, 0.1)
"""

from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["EpsilonGreedy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpsilonGreedy:
    """With probability epsilon any arm, else the best; epsilon is ``epsilon * decay ** steps``.

    Equal bests share: no arm wins by its place in the pool. An arm never rewarded counts as a best
    one: it is tried soon, and yet one whose rewards never come cannot take all the traffic.
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
        values = estimate.means
        epsilon = max(self.least, self.epsilon * self.decay**steps)
        best = max((value for value in values if value is not None), default=0.0)
        is_best = [value is None or value >= best for value in values]
        floor = epsilon / len(values)
        share = (1.0 - epsilon) / sum(is_best)
        return tuple(floor + share if best_one else floor for best_one in is_best)

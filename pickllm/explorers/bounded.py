"""A floor and a ceiling around any explorer.

>>> from pickllm.explorers.softmax import Softmax
>>> from pickllm.rng import Rng
>>> from pickllm.types import Estimate
>>> estimate = Estimate(means=(0.6, 0.5, 0.1), spreads=(0.1,) * 3, counts=(9,) * 3)
>>> explorer = Bounded(explorer=Softmax(temperature=1.0), floor=0.01, ceiling=0.1)
>>> [round(p, 3) for p in explorer.probabilities(estimate, 27, Rng(seed=1, number=1))]
[0.9, 0.06, 0.04]
"""

import math
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.explorers.ties import optimistic
from pickllm.protocols import Explorer
from pickllm.rng import Rng
from pickllm.types import Estimate

__all__ = ["Bounded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounded:
    """No arm below ``floor``, and all arms but the best together not above ``ceiling``."""

    explorer: Explorer
    floor: float = 0.0
    """Least probability of an arm, in [0, 1); at most an equal share of the ceiling is given."""
    ceiling: float = 1.0
    """Most that arms which do not look best may get together, in [0, 1]."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.floor < 1.0 and 0.0 <= self.ceiling <= 1.0):
            raise ConfigError(
                f"floor must lie in [0, 1) and ceiling in [0, 1]; they are {self.floor} and "
                f"{self.ceiling}"
            )

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"{self.explorer.name} within {self.floor} and {self.ceiling}"

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """The explorer's own, raised to the floor, then held below the ceiling."""
        given = self.explorer.probabilities(estimate, steps, rng)
        floor = min(self.floor, 1.0 / len(given))
        raised = [floor + (1.0 - floor * len(given)) * share for share in given]
        means = optimistic(estimate.means)
        best = max(means)
        is_best = [mean >= best for mean in means]
        others = math.fsum(p for p, led in zip(raised, is_best, strict=True) if not led)
        if others <= self.ceiling:
            return tuple(raised)
        lower = self.ceiling / others
        more = (1.0 - self.ceiling) / sum(is_best)
        return tuple(more if led else p * lower for p, led in zip(raised, is_best, strict=True))

"""The mean reward of each arm, where old rewards count for less.

    mean_a = sum_i w_i r_i / sum_i w_i,     w_i = 2 ** (-age_i / half_life)

The weight hangs on the age of the decision when the mean is read, so rewards may come late and in
any order, and the means of many workers add up. With `UpperBound` it is discounted UCB.

References: Garivier and Moulines, On upper-confidence bound policies for non-stationary bandit
problems (2008), arXiv 0805.3415.

>>> from pickllm.testing import experience, situation
>>> estimator = DiscountedMean(half_life_s=60.0, buckets=60)
>>> state = estimator.init(["small"], 0)
>>> state = estimator.learn(state, experience("small", reward=1.0, time_s=0.0))
>>> state = estimator.learn(state, experience("small", reward=0.0, time_s=60.0))
>>> round(estimator.estimate(state, situation("small", time_s=60.0)).means[0], 3)
0.333
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pickllm.estimators.sums import Forgetting, Sums
from pickllm.types import Estimate, Experience, Situation

__all__ = ["DiscountedMean"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscountedMean:
    """Context-free estimate that forgets by age."""

    half_life_s: float | None = 86_400.0
    """Age at which a reward counts for half, above 0; None never forgets."""
    buckets: int = 8
    """Buckets in a half-life: time is told apart no finer."""

    def __post_init__(self) -> None:
        self._forgetting  # noqa: B018  # checks both

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"discounted_mean({self._forgetting.name})"

    def init(self, arms: Sequence[str], dim: int) -> Sums:
        """No arm tried."""
        return Sums()

    def estimate(self, state: Sums, situation: Situation) -> Estimate:
        """Weighted mean of each eligible arm."""
        totals = [state.total(arm, situation.time_s, self._forgetting) for arm in situation.arms]
        counts = [0.0 if total is None else max(float(total[0]), 0.0) for total in totals]
        return Estimate(
            means=tuple(
                None if total is None or count <= 1e-9 else float(total[1]) / count
                for total, count in zip(totals, counts, strict=True)
            ),
            spreads=tuple(0.5 / math.sqrt(max(count, 1.0)) for count in counts),
            counts=tuple(counts),
        )

    def learn(self, state: Sums, experience: Experience) -> Sums:
        """One more reward into the bucket of its decision."""
        arm, time_s = experience.arm, experience.decision.time_s
        start, added = self._start(state, experience), _added(experience)
        return state.learnt(arm, start, added, time_s, self._forgetting)

    def unlearn(self, state: Sums, experience: Experience) -> Sums:
        """One reward out of the bucket of its decision."""
        return state.minus(experience.arm, self._start(state, experience), _added(experience))

    def merge(self, states: Sequence[Sums]) -> Sums:
        """All rewards of all."""
        return Sums.merged(states)

    @property
    def _forgetting(self) -> Forgetting:
        return Forgetting(half_life_s=self.half_life_s, buckets=self.buckets)

    def _start(self, state: Sums, experience: Experience) -> str:
        arm = experience.arm
        return self._forgetting.start(experience.decision.time_s, state.updates(arm))


def _added(experience: Experience) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([1.0, experience.reward])

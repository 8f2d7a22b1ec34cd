"""Successes and failures of each arm: a Beta posterior of its mean reward.

    alpha_a = successes + sum of rewards          mean = alpha / (alpha + beta)
    beta_a  = failures  + sum of (1 - rewards)

A reward between 0 and 1 counts as that share of a success. With `Thompson` it is the oldest of all
bandit rules.

References: Thompson (1933); Chapelle and Li, An empirical evaluation of Thompson sampling (2011).

>>> from pickllm.testing import experience, situation
>>> estimator = BetaCounts()
>>> state = estimator.init(["small"], 0)
>>> for reward in (1.0, 1.0, 0.5):
...     state = estimator.learn(state, experience("small", reward=reward))
>>> estimator.estimate(state, situation("small", "large")).means
(0.7, 0.5)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pickllm.errors import ConfigError
from pickllm.estimators.sums import Array, Forgetting, Sums
from pickllm.types import Estimate, Experience, Situation

__all__ = ["BetaCounts"]

_FORGETTING = Forgetting()


@dataclass(frozen=True, kw_only=True, slots=True)
class BetaCounts:
    """Context-free posterior of rewards in [0, 1]."""

    successes: float = 1.0
    """Pseudo-count before the first reward, above 0."""
    failures: float = 1.0
    """Likewise."""

    def __post_init__(self) -> None:
        if not (0.0 < self.successes < math.inf and 0.0 < self.failures < math.inf):
            raise ConfigError(
                f"successes and failures must be above 0; they are {self.successes} and "
                f"{self.failures}"
            )

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"beta_counts(successes={self.successes}, failures={self.failures})"

    @property
    def state_name(self) -> str:
        """The prior is no part of what is learnt."""
        return "beta_counts()"

    def init(self, arms: Sequence[str], dim: int) -> Sums:
        """No arm tried."""
        return Sums()

    def estimate(self, state: Sums, situation: Situation) -> Estimate:
        """Mean, deviation and pseudo-count of each eligible arm's posterior."""
        totals = [state.total(arm, situation.time_s, _FORGETTING) for arm in situation.arms]
        prior = self.successes + self.failures
        counts = [prior + (0.0 if total is None else float(total[0])) for total in totals]
        sums = [self.successes + (0.0 if total is None else float(total[1])) for total in totals]
        means = [min(max(won / count, 0.0), 1.0) for won, count in zip(sums, counts, strict=True)]
        return Estimate(
            means=tuple(means),
            spreads=tuple(
                math.sqrt(mean * (1.0 - mean) / (count + 1.0))
                for mean, count in zip(means, counts, strict=True)
            ),
            counts=tuple(counts),
        )

    def learn(self, state: Sums, experience: Experience) -> Sums:
        """One more reward."""
        return state.plus(experience.arm, "0.0", _added(experience))

    def unlearn(self, state: Sums, experience: Experience) -> Sums:
        """One reward less."""
        return state.minus(experience.arm, "0.0", _added(experience))

    def merge(self, states: Sequence[Sums]) -> Sums:
        """All rewards of all."""
        return Sums.merged(states)


def _added(experience: Experience) -> Array:
    return np.array([1.0, experience.reward])

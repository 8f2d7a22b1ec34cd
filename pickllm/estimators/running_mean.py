"""The mean reward of each arm, over all time or with a constant step.

    mean_a += step * (reward - mean_a),     step = 1 / n_a where none is given

With a constant step this is stateless Q-learning, ``Q_m += alpha * (R - Q_m)``: a mean that
forgets, the last ``1 / alpha`` rewards or so.

References: Sutton and Barto, Reinforcement Learning (2018), section 2.4 and 2.5.

>>> from pickllm.testing import experience
>>> estimator = RunningMean()
>>> state = estimator.init(["small", "large"], 0)
>>> for reward in (1.0, 0.0, 0.5):
...     state = estimator.learn(state, experience("small", reward=reward))
>>> state.arm_to_mean
{'small': 0.5}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pickllm.errors import ConfigError
from pickllm.types import Estimate, Experience, Situation

__all__ = ["RunningMean", "RunningMeanState"]

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningMeanState:
    """Means and counts of the arms that were rewarded at least once."""

    arm_to_mean: Mapping[str, float] = field(default_factory=dict)
    arm_to_count: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningMean:
    """Context-free estimate: what an arm earned so far, whatever the prompt."""

    step: float | None = None
    """Constant step alpha in (0, 1]; None averages over all rewards."""
    initial: float | None = None
    """Value of an arm before its first reward (Q0), in [0, 1]; None says that it is unknown.
    Without a constant step the first reward takes its place."""

    def __post_init__(self) -> None:
        if self.step is not None and not 0.0 < self.step <= 1.0:
            raise ConfigError(f"step must lie in (0, 1]; it is {self.step}")
        if self.initial is not None and not 0.0 <= self.initial <= 1.0:
            raise ConfigError(f"initial must lie in [0, 1]; it is {self.initial}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"running_mean(step={self.step}, initial={self.initial})"

    def init(self, arms: Sequence[str], dim: int) -> RunningMeanState:
        """No arm tried."""
        return RunningMeanState()

    def estimate(self, state: RunningMeanState, situation: Situation) -> Estimate:
        """Mean reward of each eligible arm, and how far it may be off: 1/2 over the root of n."""
        counts = [self._remembered(state.arm_to_count.get(arm, 0)) for arm in situation.arms]
        return Estimate(
            means=tuple(state.arm_to_mean.get(arm, self.initial) for arm in situation.arms),
            spreads=tuple(0.5 / math.sqrt(max(count, 1.0)) for count in counts),
            counts=tuple(counts),
        )

    def learn(self, state: RunningMeanState, experience: Experience) -> RunningMeanState:
        """One more reward into its arm's mean."""
        arm = experience.arm
        count = state.arm_to_count.get(arm, 0) + 1
        step = 1.0 / count if self.step is None else self.step
        before = state.arm_to_mean.get(arm, self.initial)
        mean = experience.reward if before is None else before + step * (experience.reward - before)
        return RunningMeanState(
            arm_to_mean={**state.arm_to_mean, arm: mean},
            arm_to_count={**state.arm_to_count, arm: count},
        )

    def unlearn(self, state: RunningMeanState, experience: Experience) -> RunningMeanState:
        """The mean without this reward; only where all rewards count alike."""
        self._check_additive()
        arm, count = experience.arm, state.arm_to_count[experience.arm] - 1
        if count == 0:
            return RunningMeanState(
                arm_to_mean=_without(state.arm_to_mean, arm),
                arm_to_count=_without(state.arm_to_count, arm),
            )
        mean = state.arm_to_mean[arm] + (state.arm_to_mean[arm] - experience.reward) / count
        return replace(
            state,
            arm_to_mean={**state.arm_to_mean, arm: mean},
            arm_to_count={**state.arm_to_count, arm: count},
        )

    def merge(self, states: Sequence[RunningMeanState]) -> RunningMeanState:
        """Each arm's mean over the rewards of all; only where all rewards count alike."""
        self._check_additive()
        arms = dict.fromkeys(arm for state in states for arm in state.arm_to_count)
        counts = {arm: sum(state.arm_to_count.get(arm, 0) for state in states) for arm in arms}
        totals = {
            arm: math.fsum(
                state.arm_to_mean[arm] * count
                for state in states
                if (count := state.arm_to_count.get(arm, 0))
            )
            for arm in arms
        }
        return RunningMeanState(
            arm_to_mean={arm: totals[arm] / counts[arm] for arm in arms}, arm_to_count=counts
        )

    @property
    def additive(self) -> bool:
        """Whether order means nothing, so that `unlearn` and `merge` can be."""
        return self.step is None

    def _check_additive(self) -> None:
        if not self.additive:
            raise ConfigError(
                "with a constant step the order of rewards counts: it cannot be unlearnt or merged"
            )

    def _remembered(self, count: int) -> float:
        """How many rewards the mean is worth: one with a constant step forgets."""
        return float(count) if self.step is None else min(count, 2.0 / self.step - 1.0)


def _without(arm_to_value: Mapping[str, V], arm: str) -> dict[str, V]:
    return {name: value for name, value in arm_to_value.items() if name != arm}

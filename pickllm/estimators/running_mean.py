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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pickllm.errors import ConfigError
from pickllm.types import Experience, Situation

__all__ = ["RunningMean", "RunningMeanState"]


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

    def estimate(self, state: RunningMeanState, situation: Situation) -> tuple[float | None, ...]:
        """Mean reward of each eligible arm."""
        return tuple(state.arm_to_mean.get(arm, self.initial) for arm in situation.arms)

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

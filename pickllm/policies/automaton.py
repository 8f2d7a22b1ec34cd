r"""The stochastic learning automaton of the PickLLM paper: linear reward-inaction.

With reward :math:`r \in [0, 1]`, chosen arm :math:`i` and step :math:`b \in (0, 1)`,

    p_i += b * r * (1 - p_i)        p_j -= b * r * p_j   for every other j

A reward moves probability towards the arm that earned it; a reward of zero moves nothing. It looks
at no prompt: over a session it converges to one arm. To which one is another matter. In 2,000
simulated sessions of 1,000 requests (four arms, Beta rewards with means .72, .66, .60, .50) it
ended on an arm that is not the best in 18 % of them with b = .05, 34 % with b = .1 and 65 % with
b = .5; after a drift, 47 % stayed on the dead arm at b = .1. A lower level of rewards makes it
safer, which is what ``baseline`` is for, and ``floor`` keeps every arm alive.

References: arXiv 2412.12170 (PickLLM); Narendra and Thathachar, Learning Automata (1989), the
S-model of L_R-I.

>>> from pickllm.testing import experience
>>> policy = LearningAutomaton(step=0.5)
>>> state = policy.init(["small", "large"], 0)
>>> state = policy.learn(state, experience("large", reward=1.0, arms=["small", "large"]))
>>> state.arm_to_probability
{'small': 0.25, 'large': 0.75}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pickllm.errors import ConfigError
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Situation

__all__ = ["AutomatonState", "LearningAutomaton"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomatonState:
    """Probability vector, on the simplex, and the moments of the rewards seen."""

    arm_to_probability: Mapping[str, float]
    steps: int = 0
    reward_mean: float = 0.0
    reward_square_sum: float = 0.0
    """Sum of squared deviations from the mean (Welford)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningAutomaton:
    """Linear reward-inaction (L_R-I), the paper's gradient-ascent learner.

    With the defaults for ``floor`` and ``baseline`` it is the published rule, unchanged. Where
    some arms were not eligible, probability moves among those that were: an arm that nobody could
    choose loses nothing, and a choice of one teaches nothing.
    """

    step: float = 0.05
    """Learning rate b, in (0, 1). Higher converges sooner, and more often to the wrong arm."""
    floor: float = 0.0
    """Least probability of an eligible arm, in [0, 1 / arms); 0 lets arms die, as published."""
    baseline: float | Literal["running"] = 0.0
    """Reward level that moves nothing, in [0, 1); "running" takes the mean of the rewards seen
    less one standard deviation, which for rewards of 0 and 1 alone changes nothing."""

    def __post_init__(self) -> None:
        if not 0.0 < self.step < 1.0:
            raise ConfigError(f"step must lie between 0 and 1, exclusive; it is {self.step}")
        if not 0.0 <= self.floor < 1.0:
            raise ConfigError(f"floor must lie in [0, 1); it is {self.floor}")
        if self.baseline != "running" and not 0.0 <= self.baseline < 1.0:
            raise ConfigError(f"baseline must lie in [0, 1) or be 'running', not {self.baseline}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"learning_automaton(step={self.step}, floor={self.floor}, baseline={self.baseline})"

    @property
    def state_name(self) -> str:
        """The floor is no part of what is learnt."""
        return f"learning_automaton(step={self.step}, baseline={self.baseline})"

    def init(self, arms: Sequence[str], dim: int) -> AutomatonState:
        """Every arm equally likely."""
        return AutomatonState(arm_to_probability={arm: 1.0 / len(arms) for arm in arms})

    def decide(self, state: AutomatonState, situation: Situation, rng: Rng) -> Choice:
        """The vector itself, restricted to the eligible arms and raised to the floor."""
        drawn = _restricted(state.arm_to_probability, situation.arms)
        floor = min(self.floor, 1.0 / len(drawn))
        free = 1.0 - floor * len(drawn)
        return Choice(probabilities=tuple(floor + free * p for p in drawn), values=drawn)

    def learn(self, state: AutomatonState, experience: Experience) -> AutomatonState:
        """Move probability towards the arm that was rewarded."""
        arms = dict.fromkeys((*state.arm_to_probability, *experience.decision.arms))
        before = dict(zip(arms, _restricted(state.arm_to_probability, tuple(arms)), strict=True))
        keep = 1.0 - self.step * self._above_baseline(state, experience.reward)
        rivals = set(experience.decision.arms) - {experience.arm}
        after = {arm: keep * p if arm in rivals else p for arm, p in before.items()}
        others = math.fsum(p for arm, p in after.items() if arm != experience.arm)
        after[experience.arm] = max(1.0 - others, 0.0)
        return _with_moments(state, after, experience.reward)

    def _above_baseline(self, state: AutomatonState, reward: float) -> float:
        level = _running_baseline(state) if self.baseline == "running" else self.baseline
        return min(max((reward - level) / (1.0 - level), 0.0), 1.0)


def _restricted(
    arm_to_probability: Mapping[str, float], arms: tuple[str, ...]
) -> tuple[float, ...]:
    """The vector over ``arms`` alone: an arm that is new to it comes in with an equal share."""
    share = 1.0 / len(arms)
    known = math.fsum(arm_to_probability.get(arm, 0.0) for arm in arms)
    if known <= 0.0:
        return (share,) * len(arms)
    new = sum(arm not in arm_to_probability for arm in arms)
    rest = 1.0 - new * share
    return tuple(  # divided, for a vector that has converged leaves shares too small to invert
        arm_to_probability[arm] / known * rest if arm in arm_to_probability else share
        for arm in arms
    )


def _running_baseline(state: AutomatonState) -> float:
    if state.steps < 2:
        return 0.0
    deviation = math.sqrt(state.reward_square_sum / (state.steps - 1))
    return min(max(state.reward_mean - deviation, 0.0), 0.99)


def _with_moments(
    state: AutomatonState, arm_to_probability: Mapping[str, float], reward: float
) -> AutomatonState:
    steps = state.steps + 1
    mean = state.reward_mean + (reward - state.reward_mean) / steps
    return AutomatonState(
        arm_to_probability=arm_to_probability,
        steps=steps,
        reward_mean=mean,
        reward_square_sum=state.reward_square_sum + (reward - state.reward_mean) * (reward - mean),
    )

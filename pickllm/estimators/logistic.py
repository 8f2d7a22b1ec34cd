r"""Logistic regression of the reward on the prompt's features, one for each arm, learnt one by one.

    mean = sigma(x' m)        spread = mean (1 - mean) sqrt(sum_j x_j^2 / q_j)

Each weight has a Gaussian posterior of mean :math:`m_j` and precision :math:`q_j`. A reward r in
[0, 1] moves them by one Newton step of its cross-entropy:

    q_j += mean (1 - mean) x_j^2        m_j += (r - mean) x_j / q_j

It fits rewards of 0 and 1 better than a straight line does, never leaves [0, 1], and costs a
vector, not a matrix, for each arm. The order of rewards counts a little: it cannot be merged.

References: Chapelle and Li, An empirical evaluation of Thompson sampling (2011), algorithm 3.

>>> from pickllm.testing import experience, situation
>>> estimator = Logistic()
>>> state = estimator.init(["small"], 0)
>>> for _ in range(20):
...     state = estimator.learn(state, experience("small", reward=1.0))
>>> round(estimator.estimate(state, situation("small")).means[0], 2)
0.88
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pickllm.errors import ConfigError
from pickllm.estimators.sums import Array
from pickllm.types import Estimate, Experience, Situation, Vector

__all__ = ["Logistic", "LogisticState"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogisticState:
    """Posteriors of the weights of the arms that were rewarded at least once."""

    arm_to_weights: Mapping[str, Array] = field(default_factory=dict)
    """``[2, dim]``: means and precisions."""
    arm_to_count: Mapping[str, int] = field(default_factory=dict)
    dim: int = 1
    """Length of the features, with the 1 that leads."""

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same to the last bit."""
        if not isinstance(other, LogisticState):
            return False
        mine, theirs = self.arm_to_weights, other.arm_to_weights
        return (
            (self.dim, self.arm_to_count) == (other.dim, other.arm_to_count)
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[arm], theirs[arm]) for arm in mine)
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays


@dataclass(frozen=True, kw_only=True, slots=True)
class Logistic:
    """Probability of a good answer from the features, for each arm apart."""

    penalty: float = 1.0
    """Precision of each weight before the first reward, above 0."""
    target: Literal["reward", "score"] = "reward"
    """What is predicted: the reward, or the quality in it alone."""

    def __post_init__(self) -> None:
        if not 0.0 < self.penalty < math.inf:
            raise ConfigError(f"penalty must be above 0; it is {self.penalty}")
        if self.target not in ("reward", "score"):
            raise ConfigError(f"target is 'reward' or 'score', not {self.target!r}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"logistic(penalty={self.penalty}, target={self.target})"

    @property
    def looks_at_prompt(self) -> bool:
        """A policy made of it needs features."""
        return True

    def init(self, arms: Sequence[str], dim: int) -> LogisticState:
        """No arm tried."""
        return LogisticState(dim=dim + 1)

    def estimate(self, state: LogisticState, situation: Situation) -> Estimate:
        """Expected reward of each eligible arm for these features."""
        x = _design(state, situation.features)
        weights = np.stack([self._weights(state, arm) for arm in situation.arms])
        means = _sigmoid(weights[:, 0] @ x)
        spreads = means * (1.0 - means) * np.sqrt((x * x / weights[:, 1]).sum(axis=1))
        return Estimate(
            means=tuple(means.tolist()),
            spreads=tuple(spreads.tolist()),
            counts=tuple(float(state.arm_to_count.get(arm, 0)) for arm in situation.arms),
        )

    def learn(self, state: LogisticState, experience: Experience) -> LogisticState:
        """One Newton step for the arm."""
        arm = experience.arm
        target = experience.reward if self.target == "reward" else experience.score
        x = _design(state, experience.decision.features)
        means, precisions = self._weights(state, arm)
        expected = float(_sigmoid(means @ x))
        precisions = precisions + expected * (1.0 - expected) * x * x
        after = np.stack([means + (target - expected) * x / precisions, precisions])
        return LogisticState(
            arm_to_weights={**state.arm_to_weights, arm: after},
            arm_to_count={**state.arm_to_count, arm: state.arm_to_count.get(arm, 0) + 1},
            dim=state.dim,
        )

    def _weights(self, state: LogisticState, arm: str) -> Array:
        known = state.arm_to_weights.get(arm)
        if known is not None and known.shape[1] == state.dim:
            return known
        return np.stack([np.zeros(state.dim), np.full(state.dim, self.penalty)])


def _design(state: LogisticState, features: Vector) -> Array:
    """The features behind a 1; none but the 1 where they have another length."""
    x = np.zeros(state.dim)
    x[0] = 1.0
    if len(features) == state.dim - 1:
        x[1:] = features
    return x


def _sigmoid(value: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * value))

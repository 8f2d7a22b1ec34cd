r"""Ridge regression of the reward on the prompt's features, one for each arm.

With :math:`x` the features, led by a 1 unless ``intercept`` is False, and a prior of mean
:math:`\theta_0 = (prior, 0, \ldots, 0)` and precision :math:`A_0 = diag(prior\_count, penalty, …)`:

    A = A_0 + sum_i w_i x_i x_i'       b = A_0 theta_0 + sum_i w_i r_i x_i
    mean = x' A^-1 b                   spread = noise * sqrt(x' A^-1 x)

With `UpperBound` this is LinUCB with disjoint arms, with `Thompson` linear Thompson sampling. What
is kept are the sums, as one matrix of :math:`(x, r, 1)(x, r, 1)'` for each arm and time bucket:
they add up over workers, and a correction is a minus and a plus. The inverses are worked out from
them when first needed, follow each reward by the formula of Sherman and Morrison, and are never
written down.

References: Li et al., A contextual-bandit approach to personalized news article recommendation
(2010), arXiv 1003.0146; Agrawal and Goyal, Thompson sampling for contextual bandits with linear
payoffs (2013), arXiv 1209.3352.

>>> import numpy as np
>>> from pickllm.testing import experience, situation
>>> estimator = Ridge(intercept=False)
>>> state, x = estimator.init(["small"], 1), np.ones(1, dtype=np.float32)
>>> for reward in (1.0, 0.5, 0.6):
...     state = estimator.learn(state, experience("small", reward=reward, features=x))
>>> estimate = estimator.estimate(state, situation("small", features=x))
>>> round(estimate.means[0], 3), estimate.spreads[0]
(0.525, 0.5)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pickllm.errors import ConfigError
from pickllm.estimators.sums import Array, Forgetting, Sums
from pickllm.types import Estimate, Experience, Situation, Vector

__all__ = ["Ridge", "RidgeState", "Solved"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Solved:
    """What follows from the sums, for quick reading. ``dim`` counts the 1 that leads."""

    reference_s: float
    """The time whose weights are in it."""
    arms: tuple[str, ...]
    solutions: tuple[Array, ...]
    """``[dim + 1, dim]`` for each arm: :math:`A^{-1}`, and below it :math:`A^{-1} sum w r x`, which
    is what the rewards say, without the prior."""
    count: tuple[float, ...]
    """``[arms]``, weighted rewards, without the prior."""

    def rows(self, arms: tuple[str, ...]) -> "Solved":
        """The same for some of the arms, in their order."""
        if arms == self.arms:
            return self
        rows = [self.arms.index(arm) for arm in arms]
        return Solved(
            reference_s=self.reference_s,
            arms=arms,
            solutions=tuple([self.solutions[row] for row in rows]),
            count=tuple([self.count[row] for row in rows]),
        )

    def taught(self, arm: str, x: Array, target: float, weight: float) -> "Solved":
        """After one reward more (or less, with a negative weight): Sherman and Morrison.

        One step takes inverse and weights along: the last row falls short by what was missed.
        """
        row = self.arms.index(arm)
        before = self.solutions[row]
        moved = before.dot(x)
        inverse_x = moved[:-1]
        gain = inverse_x * (weight / (1.0 + weight * float(inverse_x.dot(x))))
        moved[-1] -= target
        after = before - moved[:, None].dot(gain[None])  # as a product of matrices it is quicker
        return Solved(
            reference_s=self.reference_s,
            arms=self.arms,
            solutions=(*self.solutions[:row], after, *self.solutions[row + 1 :]),
            count=(*self.count[:row], self.count[row] + weight, *self.count[row + 1 :]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RidgeState:
    """The sums, and what follows from them."""

    sums: Sums = field(default_factory=Sums)
    """``[dim + 2, dim + 2]`` for each arm and bucket, of (x, r, 1)(x, r, 1)'."""
    dim: int = 1
    """Length of x, with the 1 that leads."""
    solved: Solved | None = field(default=None, init=False, repr=False, compare=False)
    """Worked out when first needed; not written down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ridge:
    """Linear estimate of the reward from the features, for each arm apart."""

    penalty: float = 1.0
    """On the weights of features, above 0: the higher, the more evidence they need."""
    prior: float = 0.5
    """Reward expected of an arm before its first one."""
    prior_count: float = 1.0
    """How many rewards the prior counts for, above 0."""
    intercept: bool = True
    """Whether a 1 leads the features. Without it there is no prior either."""
    noise: float = 1.0
    """Deviation of rewards about their expectation, above 0: the unit of the spreads."""
    target: Literal["reward", "score"] = "reward"
    """What is predicted: the reward, or the quality in it alone."""
    forgetting: Forgetting = field(default_factory=Forgetting)

    def __post_init__(self) -> None:
        for name in ("penalty", "prior_count", "noise"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be above 0; it is {getattr(self, name)}")
        if self.target not in ("reward", "score"):
            raise ConfigError(f"target is 'reward' or 'score', not {self.target!r}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return (
            f"ridge(penalty={self.penalty}, prior={self.prior}, prior_count={self.prior_count}, "
            f"intercept={self.intercept}, noise={self.noise}, target={self.target}, "
            f"{self.forgetting.name}, keep={self.forgetting.keep})"
        )

    @property
    def state_name(self) -> str:
        """Prior, penalty and noise are no part of the sums."""
        return f"ridge(intercept={self.intercept}, target={self.target}, {self.forgetting.name})"

    @property
    def looks_at_prompt(self) -> bool:
        """A policy made of it needs features."""
        return True

    def init(self, arms: Sequence[str], dim: int) -> RidgeState:
        """No arm tried."""
        return RidgeState(dim=max(dim + self.intercept, 1))

    def estimate(self, state: RidgeState, situation: Situation) -> Estimate:
        """Expected reward of each eligible arm for these features."""
        priors = (self.prior,) * len(situation.arms)
        means, spreads, counts = self.expected(state, situation, priors)
        return Estimate(means=tuple(means), spreads=tuple(spreads), counts=tuple(counts))

    def expected(
        self, state: RidgeState, situation: Situation, priors: Sequence[float]
    ) -> tuple[list[float], list[float], list[float]]:
        """Means, spreads and counts of the eligible arms, each of which has a prior."""
        solved = self.solved(state, situation.arms, situation.time_s)
        x = self.design(state, situation.features)
        means, spreads = self.predict(solved, x, priors)
        return means, spreads, [count + self.prior_count for count in solved.count]

    def learn(self, state: RidgeState, experience: Experience) -> RidgeState:
        """One more reward."""
        x = self.design(state, experience.decision.features)
        return self._with(state, experience, x, 1.0)

    def unlearn(self, state: RidgeState, experience: Experience) -> RidgeState:
        """One reward less."""
        x = self.design(state, experience.decision.features)
        return self._with(state, experience, x, -1.0)

    def merge(self, states: Sequence[RidgeState]) -> RidgeState:
        """All rewards of all."""
        sums = Sums.merged([state.sums for state in states])
        return RidgeState(sums=sums, dim=states[-1].dim)

    def model_updated(self, state: RidgeState, arm: str, time_s: float) -> RidgeState:
        """Of what was learnt of ``arm`` until then, ``forgetting.keep`` is left."""
        return RidgeState(sums=state.sums.changed(arm, time_s), dim=state.dim)

    def aim(self, experience: Experience) -> float:
        """What is to be predicted of an experience."""
        return experience.reward if self.target == "reward" else experience.score

    def design(self, state: RidgeState, features: Vector) -> Array:
        """The features as x, ``[dim]``; none but the 1 where they have another length."""
        x = np.zeros(state.dim)
        lead = int(self.intercept)
        if lead:
            x[0] = 1.0
        if len(features) == state.dim - lead:
            x[lead:] = features
        return x

    def predict(
        self, solved: Solved, x: Array, priors: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """Means and spreads, both ``[arms]``."""
        means, spreads = [], []
        for solution, prior in zip(solved.solutions, priors, strict=True):
            moved = solution.dot(x)
            lead = self.prior_count * prior * float(moved[0]) if self.intercept else 0.0
            means.append(float(moved[-1]) + lead)
            variance = abs(float(moved[:-1].dot(x)))  # never negative, but for rounding
            spreads.append(self.noise * math.sqrt(variance))
        return means, spreads

    def solved(self, state: RidgeState, arms: tuple[str, ...], now_s: float) -> Solved:
        """What follows from the sums for ``arms`` at ``now_s``."""
        known = state.solved
        reference_s = self.forgetting.reference(now_s)
        if known is not None and known.reference_s == reference_s:
            if known.arms == arms:
                return known
            if set(arms) <= set(known.arms):
                return known.rows(arms)
        all_arms = tuple(dict.fromkeys((*arms, *state.sums.arm_to_sums)))
        fresh = self._solve(state, all_arms, now_s)
        object.__setattr__(state, "solved", fresh)  # follows from the sums: nothing has changed
        return fresh.rows(arms)

    def _solve(self, state: RidgeState, arms: tuple[str, ...], now_s: float) -> Solved:
        dim = state.dim
        precision = np.full(dim, self.penalty)
        if self.intercept:
            precision[0] = self.prior_count
        gram = np.zeros((len(arms), dim + 2, dim + 2))
        for row, arm in enumerate(arms):
            total = state.sums.total(arm, now_s, self.forgetting)
            if total is not None and total.shape == gram.shape[1:]:
                gram[row] = total
        inverse = np.linalg.inv(gram[:, :dim, :dim] + np.diag(precision))
        weights = np.einsum("ade,ae->ad", inverse, gram[:, :dim, dim])
        return Solved(
            reference_s=self.forgetting.reference(now_s),
            arms=arms,
            solutions=tuple(np.concatenate((inverse, weights[:, None]), axis=1)),
            count=tuple(gram[:, -1, -1].tolist()),
        )

    def _with(self, state: RidgeState, experience: Experience, x: Array, sign: float) -> RidgeState:
        arm, time_s = experience.arm, experience.decision.time_s
        target = self.aim(experience)
        row = np.empty((1, state.dim + 2))
        row[0, :-2], row[0, -2], row[0, -1] = x, target, 1.0
        squares = row.T.dot(row)
        updates = state.sums.updates(arm)
        start = self.forgetting.start(time_s, updates)
        if sign > 0.0:
            sums = state.sums.learnt(arm, start, squares, time_s, self.forgetting)
        else:
            sums = state.sums.minus(arm, start, squares)
        after = RidgeState(sums=sums, dim=state.dim)
        known = state.solved
        if known is not None and arm in known.arms and sums is not state.sums:
            weight = sign * self.forgetting.weight(start, known.reference_s, updates)
            object.__setattr__(after, "solved", known.taught(arm, x, target, weight))
        return after

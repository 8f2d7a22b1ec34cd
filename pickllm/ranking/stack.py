"""Several rankers as one, weighted by how well they did on battles that they had not seen.

    d_k      = strength_k - mean_k                        what member k says beyond each arm's mean
    c_k, a_k = mean of d_k over the arms, d_k - c_k       how hard the prompt is, who is good at it
    strength = mean + sum over members k of  w_k * c_k + v_k * a_k,    w_k, v_k >= 0

The weights are the non-negative least squares of the points on the members' out-of-fold strengths,
each part on its own: that a prompt is hard for all arms is told far better than which of them does
well on it, and one weight for both would make too much of the differences, which choices hang on.
With two arms there is only the difference. A member that is right in order and timid in size, as a
flat kernel is, gets a weight above 1; one that only repeats another gets 0. Those that count are
then fitted on everything. Prompts that are nearly the same stay in one fold, or the member that
remembers most would seem the best.

Source: Wolpert, Stacked Generalization (1992); Breiman, Stacked Regressions (1996).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.preferences import MARK, PreferenceTable
from pickllm.errors import ConfigError
from pickllm.ranking.contract import FittedRanker, Prompts, Ranker
from pickllm.ranking.regression import mean_points
from pickllm.ranking.selection import out_of_fold, prompt_folds

__all__ = ["FittedStack", "Stack", "non_negative_weights"]


_NOTHING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedStack:
    """Members that count, and how much."""

    arms: tuple[str, ...]
    names: tuple[str, ...]
    members: tuple[FittedRanker, ...]
    weights: Floats
    """Of what a member says of who is good at a prompt, ``[members]``, at least 0."""
    level_weights: Floats
    """Of what it says of how hard the prompt is for all arms, ``[members]``, at least 0."""
    member_means: Floats
    """Mean strength of each arm by each member, ``[members, arms]``."""
    means: Floats
    """``[arms]``."""

    @property
    def dim(self) -> int:
        """Length of the vectors that its members read; 0 where all read texts alone."""
        return max((member.dim for member in self.members), default=0)

    @property
    def instant(self) -> bool:
        """Whether all members are."""
        return all(getattr(member, "instant", False) for member in self.members)

    def strengths(self, prompts: Prompts) -> Floats:
        """The weighted sum, ``[prompts, arms]``, kept in [0, 1]."""
        found = np.broadcast_to(self.means, (len(prompts), len(self.arms)))
        weights = zip(self.level_weights, self.weights, self.member_means, strict=True)
        of_arms = np.array([arm != MARK for arm in self.arms])
        for member, (level_weight, weight, mean) in zip(self.members, weights, strict=True):
            level, apart = _parts(member.strengths(prompts) - mean, of_arms)
            found = found + level_weight * level + weight * apart
        return np.asarray(np.clip(found, 0.0, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Settings: who is in it, and how the weights are found."""

    members: Mapping[str, Ranker[Any]]
    """By name."""
    folds: int = 5
    """At least 2."""
    seed: int = 0
    """Deals the prompts into folds."""

    def __post_init__(self) -> None:
        if not self.members or self.folds < 2:
            raise ConfigError("a stack needs at least one member and two folds")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"stack({', '.join(self.members)})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedStack:
        """Weigh the members out of fold, then fit those that count on everything."""
        used = np.unique(table.prompt)
        folds = np.full(len(prompts), -1)
        folds[used] = prompt_folds(
            prompts.take(used), folds=self.folds, rng=np.random.default_rng(self.seed)
        )
        points = table.points()
        unseen = np.stack(
            [out_of_fold(member, table, prompts, folds) for member in self.members.values()]
        )
        of_arms = np.array([arm != MARK for arm in table.arms])
        level_weights, weights = _weights(unseen[:, used], points[used], of_arms)
        counted = np.flatnonzero((weights > 0.0) | (level_weights > 0.0)).tolist()
        rankers = [list(self.members.values())[place] for place in counted]
        return FittedStack(
            arms=table.arms,
            names=tuple(list(self.members)[place] for place in counted),
            members=tuple(ranker.fit(table, prompts) for ranker in rankers),
            weights=weights[counted],
            level_weights=level_weights[counted],
            member_means=unseen[counted][:, used].mean(axis=1),
            means=mean_points(points),
        )


def _weights(unseen: Floats, points: Floats, of_arms: Floats) -> tuple[Floats, Floats]:
    """Of the level and of the differences, ``[members]`` each."""
    known = ~np.isnan(points)
    wanted = _parts(points - mean_points(points), of_arms)
    beyond = unseen - unseen.mean(axis=1, keepdims=True)
    members = [_parts(np.where(known, each, np.nan), of_arms) for each in beyond]
    found = []
    for part in range(2):
        target = np.nan_to_num(wanted[part][:, of_arms]).ravel()
        rows = np.array([np.nan_to_num(each[part][:, of_arms]).ravel() for each in members])
        rows[np.abs(rows) < _NOTHING] = 0.0  # two arms have no level but by rounding
        found.append(non_negative_weights(rows @ rows.T, rows @ target))
    return found[0], found[1]


def _parts(beyond: Floats, of_arms: Floats) -> tuple[Floats, Floats]:
    """Mean over the arms that are known, and what is apart from it, ``[prompts, arms]`` each."""
    known = ~np.isnan(beyond) & of_arms
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    level = np.where(known, beyond, 0.0).sum(axis=1, keepdims=True) / count
    return np.where(np.isnan(beyond), np.nan, level), beyond - level


def non_negative_weights(products: Floats, wanted: Floats, *, rounds: int = 2_000) -> Floats:
    """Least squares with weights of at least 0, by coordinate descent, ``[members]``.

    Args:
        products: Inner products of the members, ``[members, members]``.
        wanted: Inner products of the members with the target, ``[members]``.
        rounds: At most so many.

    >>> non_negative_weights(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1.0, -1.0])).tolist()
    [0.5, 0.0]
    """
    weights = np.zeros(len(wanted))
    for _ in range(rounds):
        before = weights.copy()
        for place, own in enumerate(products.diagonal()):
            if own > 0.0:
                others = products[place] @ weights - own * weights[place]
                weights[place] = max(0.0, (wanted[place] - others) / own)
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights

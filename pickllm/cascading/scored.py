"""Recorded answers with their scores, and what a cascade by thresholds would have made of them.

A plan is an order of arms with thresholds, as numbers; played on a table it says of every prompt
which answer would have been shown and what was paid until then. It does what `ThresholdCascade`
does, for whole tables at a time.

>>> table = ScoredTable(
...     arms=("small", "large"),
...     score=np.array([[0.9, 0.8], [0.2, 0.7]]),
...     quality=np.array([[1.0, 1.0], [0.0, 1.0]]),
...     cost_usd=np.array([[0.001, 0.01], [0.001, 0.01]]),
... )
>>> played = table.played(Plan(order=("small", "large"), thresholds=(0.5,)))
>>> float(played.quality.mean()), played.cost_usd.tolist()
(1.0, [0.001, 0.011])
"""

from dataclasses import dataclass, replace

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError

__all__ = ["Plan", "Played", "ScoredTable", "best_scored"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a `ThresholdCascade` is made of, and what it came to where it was found."""

    order: tuple[str, ...]
    thresholds: tuple[float, ...]
    """One for each arm but the last."""
    stop_below: tuple[float, ...] = ()
    """As many, or none."""
    quality: float = float("nan")
    """Mean."""
    cost_usd: float = float("nan")
    """Mean for each prompt, the scorer's included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What came of each prompt, all ``[rows]``."""

    shown: Integers
    """Column of the arm whose answer was shown."""
    asked: Integers
    """How many arms were asked."""
    quality: Floats
    cost_usd: Floats
    """Of all arms asked, and of scoring what they said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredTable:
    """Every arm's answer to every prompt, scored and graded; all matrices ``[rows, arms]``."""

    arms: tuple[str, ...]
    score: Floats
    """What the scorer gave, in [0, 1]."""
    quality: Floats
    """What it was worth, in [0, 1]: graded, or agreement with the strongest arm."""
    cost_usd: Floats
    """Of asking the arm."""
    scorer_usd: float = 0.0
    """Of scoring one answer."""
    group: Integers | None = None
    """``[rows]``: rows of one group are alike, and stand on one side of any split; or None."""
    weight: Floats | None = None
    """What each row counts for, at least 0, ``[rows]``; None counts all alike."""

    def __post_init__(self) -> None:
        shape = (len(self.score), len(self.arms))
        for name in ("score", "quality", "cost_usd"):
            found = getattr(self, name)
            if found.shape != shape:
                raise ConfigError(f"{name} has shape {found.shape}; [rows, arms] is {shape}")
            if not np.isfinite(found).all():
                raise ConfigError(f"{name} has numbers missing; leave those rows or arms out")
        if not len(self.score):
            raise ConfigError("the table has no rows")
        if self.weight is not None and not (self.weight.min() >= 0.0 < self.weight.sum()):
            raise ConfigError("weights must be at least 0, and one of them above it")
        if not 0.0 <= self.scorer_usd < np.inf:
            raise ConfigError(f"scorer_usd must be at least 0; it is {self.scorer_usd}")

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.score)

    @property
    def shares(self) -> Floats:
        """What each row counts for, as shares of the number of rows, ``[rows]``."""
        if self.weight is None:
            return np.ones(len(self))
        return np.asarray(self.weight / self.weight.mean())

    @property
    def best_first(self) -> list[int]:
        """Columns of the arms, the best alone first; of equals, the cheapest."""
        means, costs = self.shares @ self.quality, self.shares @ self.cost_usd
        equal = np.round(means, 12)  # sums in another order differ in their last digits
        return [int(column) for column in np.lexsort((costs, -equal))]

    @property
    def best_single(self) -> int:
        """Column of the arm that is best alone."""
        return self.best_first[0]

    def take(self, rows: Integers) -> "ScoredTable":
        """Some rows: their places, or a mask."""
        return replace(
            self,
            score=self.score[rows],
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
            group=None if self.group is None else self.group[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def single(self, arm: int) -> Plan:
        """The plan that asks one arm alone; nobody scores what will be shown in any case."""
        return Plan(
            order=(self.arms[arm],),
            thresholds=(),
            quality=float((self.shares * self.quality[:, arm]).mean()),
            cost_usd=float((self.shares * self.cost_usd[:, arm]).mean()),
        )

    def columns(self, order: tuple[str, ...]) -> list[int]:
        """Columns of the arms of an order."""
        return [self.arms.index(arm) for arm in order]

    def played(self, plan: Plan) -> Played:
        """What the plan would have made of every row."""
        columns = self.columns(plan.order)
        scores = self.score[:, columns]
        rows = np.arange(len(self))
        passes, ends = np.zeros((2, *scores.shape), dtype=bool)
        passes[:, :-1] = scores[:, :-1] >= np.array(plan.thresholds)
        ends[:, -1] = True
        if plan.stop_below:
            ends[:, :-1] = scores[:, :-1] < np.array(plan.stop_below)
        asked = (passes | ends).argmax(axis=1) + 1
        passed = passes[rows, asked - 1]
        shown = np.where(passed, asked - 1, best_scored(scores, asked))
        paid = self.cost_usd[:, columns] + self.scorer_usd * (len(columns) > 1)
        chosen = np.array(columns)[shown]
        return Played(
            shown=chosen,
            asked=asked,
            quality=self.quality[rows, chosen],
            cost_usd=np.cumsum(paid, axis=1)[rows, asked - 1],
        )


def best_scored(scores: Floats, asked: Integers) -> Integers:
    """Place of the best score among the first ``asked`` of each row; of equals, the last.

    >>> best_scored(np.array([[0.4, 0.6, 0.9], [0.5, 0.5, 0.1]]), np.array([2, 3])).tolist()
    [1, 1]
    """
    there = np.arange(scores.shape[1]) < np.asarray(asked)[:, None]
    backwards = np.where(there, scores, -np.inf)[:, ::-1]
    return np.asarray(scores.shape[1] - 1 - backwards.argmax(axis=1))

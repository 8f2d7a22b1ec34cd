"""How sure a mean change is, tested by betting: valid for bounded changes of any number.

Changes lie in [-1, 1]; with x = (change + 1) / 2, somebody bets on x being above a mean m:

    wealth_n(m) = product over t <= n of (1 + b_t(m) (x_t - m)),   b_t(m) = min(b_t, 0.9 / m)
    b_t         = sqrt(2 ln(1/a) / (n v_{t-1})),   v_t = (1/4 + sum of (x_i - mean_i)^2) / (t + 1)

Were the true mean at most m, no bet would grow the wealth in the mean, so it would reach 1/a with a
chance of at most a (Ville's inequality), whatever the changes are made of. So one over the most
that it reached is a p-value, and the means at which it reaches 1/a are ruled out: the lowest that
is left bounds the mean from below. Each bet looks at earlier rows alone, and is the larger the less
these vary: paired changes are mostly zero, and a test that knows only their range would need ten
times as many rows. Unlike a t-interval it holds for few rows, too: nothing lost in 20 rows proves
little, in 200 it proves that hardly two in a hundred are lost.

Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, Journal of
the Royal Statistical Society B 86 (2024), arXiv 2010.09686.

>>> [round(lower_bound([0.0] * rows), 3) for rows in (20, 200, 2000)]
[-0.158, -0.017, -0.002]
>>> [round(p_above([0.0] * rows, bound=-0.02), 3) for rows in (20, 100, 200)]
[0.702, 0.175, 0.031]
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from pickllm.arrays import Floats
from pickllm.errors import ConfigError

__all__ = ["lower_bound", "p_above"]

_MOST_AT_STAKE = 0.9
"""Share of the wealth that may be lost on one row."""
_STEPS = 40
"""Halvings: the bound is exact to a billionth."""


def p_above(changes: ArrayLike, *, bound: float, confidence: float = 0.95) -> float:
    """How likely such changes are where their mean is at most ``bound``: an upper limit, in [0, 1].

    Args:
        changes: In [-1, 1], in an order that says nothing about them, ``[rows]``.
        bound: In (-1, 1).
        confidence: What the bets aim at, above 0 and below 1; the result is valid for any other.
    """
    x = _from_zero_to_one(changes)
    return math.exp(-_log_wealth(x, _bets(x, confidence), (bound + 1.0) / 2.0))


def lower_bound(changes: ArrayLike, *, confidence: float = 0.95) -> float:
    """What the mean change is not below, with that confidence; -1 where there are none.

    Args:
        changes: In [-1, 1], independent of each other, ``[rows]``.
        confidence: Above 0 and below 1.
    """
    x = _from_zero_to_one(changes)
    bets = _bets(x, confidence)
    low, high = 0.0, float(x.mean()) if len(x) else 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        ruled_out = _log_wealth(x, bets, middle) >= -math.log(1.0 - confidence)
        low, high = (middle, high) if ruled_out else (low, middle)
    return 2.0 * low - 1.0


def _from_zero_to_one(changes: ArrayLike) -> Floats:
    x: Floats = (np.asarray(changes, dtype=np.float64) + 1.0) / 2.0
    if not np.all((x >= 0.0) & (x <= 1.0)):
        raise ConfigError("changes must lie in [-1, 1]")
    return x


def _bets(x: Floats, confidence: float) -> Floats:
    """For each row what would be bet on it, were nobody ruined by that, ``[rows]``."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence must lie between 0 and 1; it is {confidence}")
    rows = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (rows + 1)
    spreads = (0.25 + np.cumsum((x - means) ** 2)) / (rows + 1)
    before = np.append(0.25, spreads)[: len(x)]
    bets: Floats = np.sqrt(-2.0 * math.log(1.0 - confidence) / (max(1, len(x)) * before))
    return bets


def _log_wealth(x: Floats, bets: Floats, mean: float) -> float:
    """The logarithm of the most that betting against ``mean`` reached, from 0 at the start."""
    stakes = np.minimum(bets, _MOST_AT_STAKE / max(mean, 1e-12))
    return float(np.cumsum(np.log1p(stakes * (x - mean))).max(initial=0.0))

"""How much an adaptation may cost in quality, at worst: a lower bound of a mean change.

Changes lie in [-1, 1]; with x = (change + 1) / 2, somebody bets on x being above a mean m:

    wealth_n(m) = product over t of (1 + b_t(m) (x_t - m)),   b_t(m) = min(b_t, 0.9 / m)
    b_t         = sqrt(2 ln(1/a) / (n v_{t-1})),   v_t = (1/4 + sum of (x_i - mean_i)^2) / (t + 1)

Were m the true mean, the wealth would reach 1/a with a chance of at most a, whatever the changes
are made of; so means at which it does are ruled out, and the lowest that is left is the bound.
Unlike a t-interval it holds for few rows and for changes that are mostly zero: nothing lost in 20
rows proves little, in 200 it proves that hardly two in a hundred are lost.

Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2020),
arXiv 2010.09686.

>>> [round(lower_bound([0.0] * rows), 3) for rows in (20, 200, 2000)]
[-0.158, -0.017, -0.002]
"""

from collections.abc import Sequence

import numpy as np

from pickllm.errors import ConfigError

__all__ = ["lower_bound"]

_MOST_AT_STAKE = 0.9
_STEPS = 40
"""Halvings: the bound is exact to a billionth."""


def lower_bound(changes: Sequence[float], *, confidence: float = 0.95) -> float:
    """What the mean change is not below, with that confidence; -1 where there are none.

    Args:
        changes: Each in [-1, 1]; independent of each other.
        confidence: Above 0 and below 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence must lie between 0 and 1; it is {confidence}")
    x = (np.asarray(changes, dtype=np.float64) + 1.0) / 2.0
    if not np.all((x >= 0.0) & (x <= 1.0)):
        raise ConfigError("changes must lie in [-1, 1]")
    if not len(x):
        return -1.0
    enough = np.log(1.0 / (1.0 - confidence))
    rows = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (rows + 1)
    spreads = (0.25 + np.cumsum((x - means) ** 2)) / (rows + 1)
    before = np.concatenate([[0.25], spreads[:-1]])
    bets = np.sqrt(2.0 * enough / (len(x) * before))
    low, high = 0.0, float(x.mean())
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        stakes = np.minimum(bets, _MOST_AT_STAKE / max(middle, 1e-12))
        ruled_out = np.cumsum(np.log1p(stakes * (x - middle))).max() >= enough
        low, high = (middle, high) if ruled_out else (low, middle)
    return 2.0 * low - 1.0

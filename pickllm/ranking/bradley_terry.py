"""Bradley-Terry: ratings of players from who beat whom, a tie being half a win for each.

    P(i beats j) = sigma(x_i - x_j)
    x = argmax   sum over i, j of  wins_ij * log sigma(x_i - x_j)  -  k/2 * sum of (x_i - prior_i)^2

The sum is concave in x, so Newton's method finds the one answer in a few steps. Ratings are told up
to a constant and have mean zero here. ``k``, in battles, draws them to a prior: without it a player
that never lost has no finite rating. On Elo's scale a rating is ``400 / ln 10`` times as much.

Sources: Bradley and Terry (1952); Hunter, MM Algorithms for Generalized Bradley-Terry Models
(2004).

>>> wins = np.array([[0.0, 3.0], [1.0, 0.0]])
>>> ratings = fit_ratings(wins)
>>> round(float(win_rate(ratings[0] - ratings[1])), 6)
0.75
"""

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError

__all__ = ["ELO_PER_UNIT", "expected_wins", "fit_ratings", "newton_ratings", "win_rate"]

ELO_PER_UNIT = 400.0 / float(np.log(10.0))
"""Points of Elo for one unit of rating."""

_LONGEST_STEP = 3.0
"""A rating moves no further at once: far from the answer Newton's step may overshoot."""
_FARTHEST = 30.0
"""Ratings end here where nothing holds a player that never lost: 1 chance in 10^13."""
_STIFFNESS = 1e-9
"""Part of the curvature that is added to it, for players who met none of the others."""


def win_rate(difference: Floats | float) -> Floats:
    """Chance to win for a player that is rated so much higher; any shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * np.asarray(difference)))


def fit_ratings(wins: Floats, *, prior: Floats | None = None, prior_battles: float = 0.0) -> Floats:
    """Ratings, with mean zero, ``[players]``.

    Args:
        wins: Weight of the wins of one player over another, ``[players, players]``.
        prior: What ratings are drawn to, ``[players]``; zeros where nothing is said.
        prior_battles: How strongly, at least 0.

    Raises:
        ConfigError: ``wins`` is not square, or not of numbers that are at least 0.
    """
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or not np.all(wins >= 0.0):
        raise ConfigError(f"wins must be a square of numbers from 0 on; its shape is {wins.shape}")
    centre = np.zeros(len(wins)) if prior is None else np.asarray(prior, dtype=np.float64)
    ratings = newton_ratings(
        np.asarray(wins, dtype=np.float64), centre, prior_battles=prior_battles, tolerance=1e-7
    )
    return np.asarray(ratings - ratings.mean())


def newton_ratings(
    wins: Floats,
    start: Floats,
    *,
    prior_battles: float = 0.0,
    tolerance: float = 1e-4,
    steps: int = 100,
) -> Floats:
    """Newton's method from ``start``, which is also the prior; nothing is checked.

    It ends with the step that is no longer than ``tolerance``. An error shrinks to about its square
    with each step, so what is left then is near ``tolerance ** 2``.
    """
    count = len(wins)
    diagonal, ones = slice(None, None, count + 1), np.ones(count)
    met = wins + wins.T
    level = 4.0 * float(met.sum()) / (count * count)  # along a shift of all the curve is flat else
    hold = 4.0 * prior_battles + _STIFFNESS * level
    ahead = 4.0 * (wins @ ones) - 2.0 * (met @ ones)
    ratings = start
    for _ in range(steps):  # slope and curve are four times what they are called
        half = 0.5 * ratings
        lead = np.tanh(half[:, None] - half)
        even = met * lead
        slope = ahead - 2.0 * (even @ ones)
        if prior_battles:
            slope -= 4.0 * prior_battles * (ratings - start)
        curve = even * lead - met
        bend = hold - curve @ ones
        curve += level
        curve.ravel()[diagonal] += bend
        step = np.linalg.solve(curve, slope)
        longest = float(np.abs(step).max())
        if longest > _LONGEST_STEP:
            step *= _LONGEST_STEP / longest
        ratings = ratings + step
        if longest < tolerance:
            break
        if np.abs(ratings).max() > _FARTHEST:
            return np.clip(ratings, -_FARTHEST, _FARTHEST)
    return ratings


def expected_wins(ratings: Floats) -> Floats:
    """Chance of each player to beat another drawn at random, in [0, 1]; ``[…, players]``."""
    count = ratings.shape[-1]
    if count < 2:
        return np.full(ratings.shape, 0.5)
    chances = win_rate(ratings[..., :, None] - ratings[..., None, :])
    return np.asarray((chances.sum(axis=-1) - 0.5) / (count - 1))

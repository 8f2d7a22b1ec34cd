"""Tiers: models of like strength grouped, so that few players share many battles.

Sorted by rating, the models are cut into tiers so that the sum of the variances within the tiers is
least. Such a cut is found by a dynamic programme over where each tier ends:

    least[t, j] = min over i of  least[t - 1, i] + variance(i .. j)

Source: RouteLLM (arXiv 2406.18665), which uses ten tiers for 64 models.

>>> tiers_of(np.array([1000.0, 1250.0, 1010.0, 1240.0, 1100.0]), tiers=3).tolist()
[0, 2, 0, 2, 1]
"""

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError

__all__ = ["tiers_of"]


def tiers_of(ratings: Floats, *, tiers: int) -> Integers:
    """Tier of each model, ``[models]``, 0 the weakest; a model each where there are enough tiers.

    Args:
        ratings: Ratings on any scale, ``[models]``.
        tiers: How many, at least 1.

    Raises:
        ConfigError: ``tiers`` is less than 1.
    """
    if tiers < 1:
        raise ConfigError(f"models go into at least one tier; tiers is {tiers}")
    order = np.argsort(ratings, kind="stable")
    found = np.empty(len(ratings), dtype=np.intp)
    found[order] = _cut(ratings[order] - ratings.mean(), min(tiers, len(ratings)))
    return found


def _cut(ratings: Floats, tiers: int) -> Integers:
    """Tier of each of the sorted ratings."""
    count = len(ratings)
    variance = _variances(ratings)
    least = variance[0]
    begins = np.zeros((tiers, count), dtype=np.intp)
    for tier in range(1, tiers):
        costs = np.concatenate(([np.inf], least[:-1]))[:, None] + variance
        begins[tier] = costs.argmin(axis=0)
        least = costs[begins[tier], np.arange(count)]
    found = np.empty(count, dtype=np.intp)
    end = count
    for tier in range(tiers - 1, -1, -1):
        begin = begins[tier, end - 1]
        found[begin:end] = tier
        end = begin
    return found


def _variances(ratings: Floats) -> Floats:
    """Variance of the ratings from one place to another, ``[begin, end]``; inf for end < begin."""
    count = len(ratings)
    sums = np.concatenate(([0.0], np.cumsum(ratings)))
    squares = np.concatenate(([0.0], np.cumsum(ratings**2)))
    sizes = np.arange(1, count + 1) - np.arange(count)[:, None]
    inside = sizes > 0
    size = np.where(inside, sizes, 1)
    mean = (sums[1:] - sums[:-1, None]) / size
    spread = (squares[1:] - squares[:-1, None]) / size - mean**2
    return np.where(inside, np.maximum(spread, 0.0), np.inf)

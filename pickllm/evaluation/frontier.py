"""Cost against quality: which arms are worth having, and what a coin between two of them buys.

The static hull is the best that can be had for a given mean cost without looking at any prompt:
always one arm, or one of two by the toss of a coin. A router that does not lie above it has learnt
nothing that a coin does not know.

>>> hull = static_hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.55, 0.9, 0.8]))
>>> hull.tolist()
[0, 2]
>>> quality_on_hull(2.0, np.array([1.0, 3.0]), np.array([0.5, 0.9]))
0.7
"""

import numpy as np
from numpy.typing import NDArray

from pickllm.evaluation.logged import Column

__all__ = ["quality_on_hull", "static_hull"]


def static_hull(cost_usd: Column, quality: Column) -> NDArray[np.intp]:
    """Arms on the upper hull, from the cheapest to the best; both are ``[arms]``."""
    order = np.lexsort((-quality, cost_usd))
    kept: list[int] = []
    for arm in order.tolist():
        if kept and quality[arm] <= quality[kept[-1]]:
            continue
        while len(kept) > 1 and _lies_below(kept[-2], kept[-1], arm, cost_usd, quality):
            kept.pop()
        kept.append(arm)
    return np.array(kept, dtype=np.intp)


def quality_on_hull(budget_usd: float, cost_usd: Column, quality: Column) -> float:
    """Best mean quality at a mean cost of ``budget_usd``, for arms ``[hull]`` by rising cost."""
    return float(np.interp(budget_usd, cost_usd, quality))


def _lies_below(one: int, middle: int, other: int, x: Column, y: Column) -> bool:
    """Whether ``middle`` is no better than a mixture of its neighbours."""
    rise = (y[other] - y[one]) * (x[middle] - x[one])
    return bool((y[middle] - y[one]) * (x[other] - x[one]) <= rise)

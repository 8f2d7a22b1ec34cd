"""Any number of models and routers: quality against cost, and what mixing alone would give.

Whoever flips a coin between two models lands on the straight line between them. So the models alone
already give every point under the upper hull of theirs, the static hull, and a router is worth its
keep only above it. With q(c) the non-decreasing upper hull of a router's own points,

    AIQ = (1 / (c_high - c_low)) * integral of q(c) from c_low to c_high

Left of a hull's cheapest point nothing can be had, and its quality there counts as 0; right of its
dearest point quality stays as it is, for nobody has to spend more.

Sources: AIQ, Hu et al., RouterBench (arXiv 2403.12031); the arena's score, Lu et al., RouterArena
(arXiv 2510.00202).

>>> models = upper_hull(np.array([1.0, 2.0, 5.0]), np.array([0.5, 0.4, 0.9]))
>>> models.quality_at(3.0), models.quality_at(9.0), aiq(models, low=1.0, high=5.0)
(0.7, 0.9, 0.7)
>>> round(arena_score(quality=0.7, cost_usd_per_1000=0.5), 4)
0.6843
"""

from dataclasses import dataclass
from math import log2

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError

__all__ = ["Hull", "above", "aiq", "arena_score", "upper_hull"]

_ARENA_LOW, _ARENA_HIGH = 0.0044, 200.0
"""USD per 1,000 prompts that RouterArena gives full and no marks for cost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hull:
    """The best that mixtures of some points give: straight lines, rising ever less steeply."""

    cost: Floats
    """Strictly rising, ``[points]``."""
    quality: Floats
    """Strictly rising, ``[points]``."""

    def quality_at(self, cost: float) -> float:
        """Best quality for a mean cost; 0 where it does not pay for the cheapest point."""
        return float(np.interp(cost, self.cost, self.quality, left=0.0))

    def cost_at(self, quality: float) -> float:
        """Least mean cost of a quality; NaN where no mixture has it."""
        return float(np.interp(quality, self.quality, self.cost, right=np.nan))


def upper_hull(cost: Floats, quality: Floats) -> Hull:
    """The non-decreasing upper hull of points; of single models it is the static hull.

    Args:
        cost: Mean cost of each point, ``[points]``.
        quality: Mean quality of each point, ``[points]``.

    Raises:
        ConfigError: There is no point, or a number is not finite.
    """
    if not len(cost) or not (np.isfinite(cost).all() and np.isfinite(quality).all()):
        raise ConfigError("a hull needs at least one point, with finite cost and quality")
    kept: list[tuple[float, float]] = []
    for index in np.lexsort((-quality, cost)):
        point = float(cost[index]), float(quality[index])
        if kept and point[1] <= kept[-1][1]:
            continue
        while len(kept) > 1 and _under(kept[-1], kept[-2], point):
            kept.pop()
        kept.append(point)
    costs, qualities = np.array(kept).T
    return Hull(cost=costs, quality=qualities)


def aiq(hull: Hull, *, low: float, high: float) -> float:
    """Average improvement in quality: the hull's mean quality over costs from low to high.

    Raises:
        ConfigError: ``high`` is not above ``low``.
    """
    if not high > low:
        raise ConfigError(f"AIQ needs a range of costs; from {low} to {high} is none")
    start = max(low, float(hull.cost[0]))
    if start >= high:
        return 0.0
    inside = hull.cost[(hull.cost > start) & (hull.cost < high)]
    marks = np.concatenate(([start], inside, [high]))
    return float(np.trapezoid(np.interp(marks, hull.cost, hull.quality), marks) / (high - low))


def above(hull: Hull, cost: Floats, quality: Floats) -> Floats:
    """How far each point lies above a hull, in quality, ``[points]``; below it, less than 0."""
    return np.asarray(quality - np.interp(cost, hull.cost, hull.quality, left=0.0))


def arena_score(*, quality: float, cost_usd_per_1000: float, beta: float = 0.1) -> float:
    """RouterArena's score: a weighted harmonic mean of accuracy and of cheapness on a log scale.

    Args:
        quality: Mean accuracy, in [0, 1].
        cost_usd_per_1000: USD for 1,000 prompts, above 0; beyond the arena's anchors it is clipped.
        beta: Above 0; the smaller, the more accuracy weighs.
    """
    cost = min(max(cost_usd_per_1000, _ARENA_LOW), _ARENA_HIGH)
    cheapness = (log2(_ARENA_HIGH) - log2(cost)) / (log2(_ARENA_HIGH) - log2(_ARENA_LOW))
    weighted = beta * quality + cheapness
    return (1.0 + beta) * quality * cheapness / weighted if weighted else 0.0


def _under(
    middle: tuple[float, float], left: tuple[float, float], right: tuple[float, float]
) -> bool:
    """Whether a point lies on or under the line between its neighbours."""
    rise = (right[1] - left[1]) * (middle[0] - left[0])
    return (middle[1] - left[1]) * (right[0] - left[0]) <= rise

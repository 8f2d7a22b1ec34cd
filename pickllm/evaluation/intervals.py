"""How sure a metric is: 95 % bootstrap intervals over prompts, alone and paired.

Prompts are drawn again with replacement, the metric is taken of each draw, and the interval is the
middle 95 %. Two routers on the same prompts are compared by the interval of their *difference*: it
is far narrower than their own intervals, for what is hard to one is hard to the other.

Draws on which the metric is NaN (no gap between weak and strong) say nothing and are left out.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

>>> hits = np.array([1.0, 0.0, 1.0, 1.0])
>>> f"{bootstrap(lambda rows: hits[rows].mean(), prompts=4, rng=np.random.default_rng(0)):.2f}"
'0.75 (0.25 to 1.00)'
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Floats
from pickllm.evaluation.metrics import apgr, routing_curve
from pickllm.evaluation.sessions import Interval

__all__ = ["Metric", "Rows", "apgr_difference", "apgr_interval", "bootstrap"]

Rows: TypeAlias = NDArray[np.intp]
"""Places of prompts, ``[prompts]``; in a draw some come twice and some not at all."""

Metric: TypeAlias = Callable[[Rows], float]
"""A number that describes some of the prompts."""


def bootstrap(
    metric: Metric, *, prompts: int, rng: np.random.Generator, draws: int = 1_000
) -> Interval:
    """A metric of all prompts, and its 95 % interval.

    Args:
        metric: What is measured, given the rows that count.
        prompts: How many there are.
        rng: Draws the prompts.
        draws: How often; the interval's ends move by a few per cent of its width at 1,000.
    """
    found = [metric(rng.integers(prompts, size=prompts)) for _ in range(draws)]
    defined = [each for each in found if not np.isnan(each)]
    low, high = np.quantile(defined, [0.025, 0.975]) if defined else (np.nan, np.nan)
    return Interval(mean=float(metric(np.arange(prompts))), low=float(low), high=float(high))


def apgr_interval(
    scores: Floats, weak: Floats, strong: Floats, *, rng: np.random.Generator, draws: int = 1_000
) -> Interval:
    """A router's APGR; arrays ``[prompts]`` as in `routing_curve`."""

    def measured(rows: Rows) -> float:
        return apgr(routing_curve(scores[rows], weak[rows], strong[rows]))

    return bootstrap(measured, prompts=len(scores), rng=rng, draws=draws)


def apgr_difference(
    scores: Floats,
    baseline: Floats,
    weak: Floats,
    strong: Floats,
    *,
    rng: np.random.Generator,
    draws: int = 1_000,
) -> Interval:
    """A router's APGR less that of ``baseline`` scores, paired on the same prompts."""

    def measured(rows: Rows) -> float:
        curves = (
            routing_curve(each[rows], weak[rows], strong[rows]) for each in (scores, baseline)
        )
        ours, theirs = map(apgr, curves)
        return ours - theirs

    return bootstrap(measured, prompts=len(scores), rng=rng, draws=draws)

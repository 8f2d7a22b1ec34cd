"""From scores to decisions: thresholds for a share or a quality, drift, and honest probabilities.

    threshold_for_share   strong calls for this share of prompts, by quantile of your own prompts
    threshold_for_gain    the threshold at CPT(x), from graded prompts
    ShareWatch            says when live traffic no longer has the share that was calibrated for
    Platt, Isotonic       scores as probabilities that hold: of 100 prompts at 0.7, 70 win

A threshold holds for prompts like those that it came from. Published thresholds come from the
arena's prompts, and on other traffic their share is another one; hence the watch.

>>> scores = np.array([0.1, 0.2, 0.3, 0.4])
>>> threshold_for_share(scores, 0.5)
0.3
>>> watch = ShareWatch(share=0.5)
>>> for _ in range(40):
...     watch = watch.seen(strong=True)
>>> watch.drifted
True
"""

from dataclasses import dataclass, replace
from math import nextafter, sqrt

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.evaluation.metrics import cpt, routing_curve

__all__ = [
    "Isotonic",
    "Platt",
    "ShareWatch",
    "fit_isotonic",
    "fit_platt",
    "threshold_for_gain",
    "threshold_for_share",
]

_Z_999 = 3.29
"""Half the width, in standard errors, of an interval that chance leaves once in 1,000 times."""
_LEAST_SEEN = 30
"""Calls before a watch says anything."""


def threshold_for_share(scores: Floats, share: float) -> float:
    """The threshold that sends a share of these prompts to the strong model, ``score >= it``.

    Where scores are equal the share can not be had exactly; it is then the nearest one below, for a
    budget is a limit. A share of 0 gives a threshold above every score.

    Args:
        scores: A router's scores of prompts like those to come, ``[prompts]``.
        share: In [0, 1].

    Raises:
        ConfigError: There is no score, one is not finite, or the share is none.
    """
    if not len(scores) or not np.isfinite(scores).all() or not 0.0 <= share <= 1.0:
        raise ConfigError("a threshold needs finite scores, at least one, and a share in [0, 1]")
    ordered = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    calls = int(share * len(ordered) + 1e-9)
    if calls == len(ordered):
        return float(ordered[-1])
    kept = ordered[:calls][ordered[:calls] > ordered[calls]]
    return float(kept[-1]) if len(kept) else nextafter(float(ordered[0]), np.inf)


def threshold_for_gain(scores: Floats, weak: Floats, strong: Floats, *, recovered: float) -> float:
    """The threshold whose share of strong calls is CPT(x), rounded up to whole prompts.

    Args:
        scores: A router's scores, ``[prompts]``.
        weak: Quality of the weak model's answers, ``[prompts]``.
        strong: Quality of the strong model's answers, ``[prompts]``.
        recovered: Wanted PGR, in [0, 1].

    Raises:
        ConfigError: The strong model is no better here, so there is no gap to recover.
    """
    share = cpt(routing_curve(scores, weak, strong), recovered)
    if np.isnan(share):
        raise ConfigError(
            "on these prompts no share of strong calls recovers that much of the gap: the strong "
            "model may be no better than the weak one here"
        )
    ordered = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    calls = int(np.ceil(share * len(ordered) - 1e-9))
    return float(ordered[calls - 1]) if calls else nextafter(float(ordered[0]), np.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareWatch:
    """Whether live traffic still has the share of strong calls that a threshold was set for.

    Counts the newest calls, older ones fading, and compares with the share by a test that a right
    threshold fails in about one of 1,000 moments. When it has drifted, take the scores of recent
    prompts and calibrate again.
    """

    share: float
    """What was calibrated for, in [0, 1]."""
    memory: int = 1_000
    """About how many of the newest calls count, at least 1."""
    tolerance: float = 0.0
    """A share that is off by no more than this is right all the same, at least 0."""
    calls: float = 0.0
    strong_calls: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or self.memory < 1 or not self.tolerance >= 0.0:
            raise ConfigError("share must lie in [0, 1], memory be at least 1, tolerance 0 or more")

    def seen(self, *, strong: bool) -> "ShareWatch":
        """The watch after one more call."""
        fade = 1.0 - 1.0 / self.memory
        return replace(
            self,
            calls=fade * self.calls + 1.0,
            strong_calls=fade * self.strong_calls + float(strong),
        )

    @property
    def live_share(self) -> float:
        """Share of strong calls of late; NaN before the first."""
        return self.strong_calls / self.calls if self.calls else float("nan")

    @property
    def drifted(self) -> bool:
        """Whether the live share is another one than was calibrated for."""
        if self.calls < _LEAST_SEEN:
            return False
        # Wilson's margin: at a share of 0 or 1, too, it is no wider and no narrower than it should
        square = _Z_999**2 / self.calls
        middle = (self.live_share + 0.5 * square) / (1.0 + square)
        spread = self.live_share * (1.0 - self.live_share) / self.calls
        margin = _Z_999 * sqrt(spread + 0.25 * square / self.calls) / (1.0 + square)
        return abs(self.share - middle) > margin + self.tolerance


@dataclass(frozen=True, kw_only=True, slots=True)
class Platt:
    """Probability ``sigma(slope * score + offset)``: for scores that only have the wrong scale.

    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999).
    """

    slope: float
    offset: float

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities of scores, of the same shape."""
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * (self.slope * scores + self.offset)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Isotonic:
    """A rising line through the means of neighbouring scores: for many prompts, of any shape.

    Source: Zadrozny and Elkan, Transforming Classifier Scores into Probability Estimates (2002).
    """

    scores: Floats
    """Rising, ``[points]``."""
    probabilities: Floats
    """Not falling, ``[points]``."""

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities of scores, of the same shape; beyond the ends as at the ends."""
        return np.asarray(np.interp(scores, self.scores, self.probabilities))


def fit_platt(scores: Floats, won: Floats, *, steps: int = 100) -> Platt:
    """Logistic regression of what was won, in [0, 1], on scores; both ``[prompts]``.

    As Platt has it, targets are drawn a little to the middle, so that separable scores have a
    finite slope.

    Raises:
        ConfigError: There is no score, or what was won is not in [0, 1].
    """
    _check(scores, won)
    wins = float(np.sum(won))
    losses = len(won) - wins
    high, low = (wins + 1.0) / (wins + 2.0), 1.0 / (losses + 2.0)
    wanted = low + (high - low) * np.asarray(won, dtype=np.float64)
    scale = float(np.std(scores)) or 1.0
    rows = np.stack([(scores - np.mean(scores)) / scale, np.ones(len(scores))], axis=1)
    found = np.zeros(2)
    for _ in range(steps):
        chance = 0.5 + 0.5 * np.tanh(0.5 * (rows @ found))
        slope = rows.T @ (wanted - chance)
        curve = (rows * (chance * (1.0 - chance))[:, None]).T @ rows + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        found = found + step * min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    per_score = float(found[0]) / scale
    return Platt(slope=per_score, offset=float(found[1]) - per_score * float(np.mean(scores)))


def fit_isotonic(scores: Floats, won: Floats) -> Isotonic:
    """The non-falling line nearest to what was won, by pooling adjacent violators.

    Raises:
        ConfigError: There is no score, or what was won is not in [0, 1].
    """
    _check(scores, won)
    values, place = np.unique(scores, return_inverse=True)
    weight = np.bincount(place).astype(np.float64)
    means = np.bincount(place, won) / weight
    pools: list[tuple[float, float, int]] = []
    for mean, mass in zip(means.tolist(), weight.tolist(), strict=True):
        pool = (mean, mass, 1)
        while pools and pools[-1][0] >= pool[0]:
            earlier = pools.pop()
            total = earlier[1] + pool[1]
            pooled = (earlier[0] * earlier[1] + pool[0] * pool[1]) / total
            pool = (pooled, total, earlier[2] + pool[2])
        pools.append(pool)
    level = np.repeat([pool[0] for pool in pools], [pool[2] for pool in pools])
    return Isotonic(scores=values, probabilities=level)


def _check(scores: Floats, won: Floats) -> None:
    if not len(scores) or np.shape(scores) != np.shape(won) or not np.isfinite(scores).all():
        raise ConfigError("calibration needs finite scores, and what was won for each of them")
    if not (np.all(won >= 0.0) and np.all(won <= 1.0)):
        raise ConfigError("what was won must be numbers in [0, 1]")

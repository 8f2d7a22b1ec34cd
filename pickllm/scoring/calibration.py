"""What a score is worth as a probability: Platt's sigmoid, isotonic steps, one for each arm.

    Platt       p = sigmoid(slope * score + intercept)
    Isotonic    p = the best non-decreasing steps through the labels, linear between them

A judge's 0.8 need not mean that four in five such answers are right, and need not mean the same for
two arms: one may simply write more. Fit on pairs of a score and a label (right or wrong, or a grade
in [0, 1]) which somebody better informed has given, and compare arms by what the scores then mean.
Platt wants tens of labels and suits logits; isotonic wants about a thousand, and suits anything
that rises (Niculescu-Mizil and Caruana 2005). What is fitted is a plain value.

References: Platt, Probabilistic outputs for support vector machines (1999), fitted as in Lin, Lin
and Weng, A note on Platt's probabilistic outputs (2007), with their smoothed targets; Ayer et al.,
An empirical distribution function for sampling with incomplete information (1955), for the steps.

>>> isotonic = Isotonic.fit([0.1, 0.2, 0.3, 0.9], [0.0, 1.0, 0.0, 1.0])
>>> isotonic(0.1), isotonic(0.25), isotonic(0.9)
(0.0, 0.5, 1.0)
>>> round(Platt.fit([0.1, 0.2, 0.3, 0.9], [0.0, 1.0, 0.0, 1.0])(0.9), 3)
0.737
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pickllm.errors import ConfigError
from pickllm.protocols import Asking
from pickllm.scoring.rules import ScorerLike, scorer_of
from pickllm.types import Reply, Request

__all__ = ["ByArm", "Calibrated", "Calibration", "Isotonic", "Platt"]

Floats: TypeAlias = NDArray[np.float64]

Calibration: TypeAlias = Callable[[float], float]
"""From a score to a probability."""

_STEPS = 100
_SMALLEST_GAIN = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Platt:
    """A sigmoid over the scores. The default squashes a logit and trusts it as it is."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> "Platt":
        """The likeliest sigmoid for ``scores`` and ``labels``, both ``[pairs]``.

        Labels lie in [0, 1]; they are drawn in a little, so that the fit stays finite where scores
        separate them perfectly.
        """
        given, wanted = _pairs(scores, labels)
        center, spread = float(given.mean()), float(given.std()) or 1.0
        right = float(wanted.sum())
        high, low = (right + 1.0) / (right + 2.0), 1.0 / (len(wanted) - right + 2.0)
        targets = low + wanted * (high - low)
        slope, intercept = _likeliest_sigmoid((given - center) / spread, targets)
        return cls(slope=slope / spread, intercept=intercept - slope * center / spread)

    def __call__(self, score: float) -> float:
        """Probability, in [0, 1]."""
        logit = self.slope * score + self.intercept
        if logit >= 0.0:  # never the exponential of a large number
            return 1.0 / (1.0 + math.exp(-logit))
        grown = math.exp(logit)
        return grown / (1.0 + grown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Isotonic:
    """Steps that never fall; straight lines between them, and level beyond the ends."""

    scores: tuple[float, ...] = (0.0, 1.0)
    """Where the steps begin and end, rising."""
    probabilities: tuple[float, ...] = (0.0, 1.0)
    """As many, not falling."""

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.probabilities):
            raise ConfigError("isotonic steps need as many scores as probabilities, at least one")

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> "Isotonic":
        """Least squares among all functions that never fall; ``scores``, ``labels`` ``[pairs]``."""
        given, wanted = _pairs(scores, labels)
        places, inverse = np.unique(given, return_inverse=True)
        counts = np.bincount(inverse).astype(np.float64)
        means = np.bincount(inverse, weights=wanted) / counts
        steps = _pooled(means, counts)
        level = np.repeat([mean for mean, _ in steps], [length for _, length in steps])
        ends = np.cumsum([length for _, length in steps])
        kept = sorted({*(ends - 1).tolist(), 0, *ends[:-1].tolist()})
        return cls(scores=tuple(places[kept].tolist()), probabilities=tuple(level[kept].tolist()))

    def __call__(self, score: float) -> float:
        """Probability, in [0, 1]."""
        return float(np.interp(score, self.scores, self.probabilities))


@dataclass(frozen=True, kw_only=True, slots=True)
class ByArm:
    """A calibration for each arm, and one for the arms that have too few labels for their own."""

    pooled: Calibration
    arm_to_calibration: Mapping[str, Calibration] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        fit: Callable[[Floats, Floats], Calibration],
        *,
        arms: Sequence[str],
        scores: ArrayLike,
        labels: ArrayLike,
        least: int = 50,
    ) -> "ByArm":
        """Fit ``fit``, such as ``Platt.fit``, on the pairs of each arm with ``least`` of them.

        ``arms``, ``scores`` and ``labels`` are ``[pairs]``.
        """
        given, wanted = _pairs(scores, labels)
        if len(arms) != len(given):
            raise ConfigError(f"{len(arms)} arms and {len(given)} scores; give an arm to each")
        names = np.asarray(arms)
        enough = [arm for arm in dict.fromkeys(arms) if np.sum(names == arm) >= least]
        arm_to_mask = {arm: names == arm for arm in enough}
        return cls(
            pooled=fit(given, wanted),
            arm_to_calibration={
                arm: fit(given[mask], wanted[mask]) for arm, mask in arm_to_mask.items()
            },
        )

    def of(self, arm: str) -> Calibration:
        """The arm's own, or the pooled one."""
        return self.arm_to_calibration.get(arm, self.pooled)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """A scorer whose scores mean probabilities, whichever arm has answered."""

    scorer: ScorerLike
    calibration: "Calibration | ByArm"

    def __post_init__(self) -> None:
        scorer_of(self.scorer)

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """The scorer's own score, calibrated for the arm that answered."""
        score = yield from scorer_of(self.scorer).score(request, reply)
        if score is None:
            return None
        own = self.calibration
        return (own.of(reply.arm) if isinstance(own, ByArm) else own)(score)


def _pairs(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    try:
        given = np.asarray(scores, dtype=np.float64)
        wanted = np.asarray(labels, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "scores and labels must be lists of numbers: say 1.0 for right and 0.0 for wrong"
        ) from error
    if given.ndim != 1 or given.shape != wanted.shape or not given.size:
        raise ConfigError(
            f"a calibration needs as many labels as scores, in two lists; their shapes are "
            f"{given.shape} and {wanted.shape}"
        )
    if not (np.isfinite(given).all() and np.all((wanted >= 0.0) & (wanted <= 1.0))):
        raise ConfigError("scores must be finite, and labels numbers in [0, 1]")
    return given, wanted


def _likeliest_sigmoid(scores: Floats, targets: Floats) -> tuple[float, float]:
    """Newton's method with a line search on the cross-entropy; ``[pairs]`` each."""
    columns = np.stack([scores, np.ones_like(scores)], axis=1)
    mean = float(np.clip(targets.mean(), 1e-6, 1.0 - 1e-6))
    weights = np.array([0.0, math.log(mean / (1.0 - mean))])
    loss = _cross_entropy(columns @ weights, targets)
    for _ in range(_STEPS):
        shares = 1.0 / (1.0 + np.exp(-np.clip(columns @ weights, -500.0, 500.0)))
        slope = columns.T @ (shares - targets)
        curve = (columns * (shares * (1.0 - shares))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step, size = np.linalg.solve(curve, slope), 1.0
        while size > 1e-10 and _cross_entropy(columns @ (weights - size * step), targets) > loss:
            size /= 2.0
        weights = weights - size * step
        before, loss = loss, _cross_entropy(columns @ weights, targets)
        if before - loss < _SMALLEST_GAIN:
            break
    return float(weights[0]), float(weights[1])


def _cross_entropy(logits: Floats, targets: Floats) -> float:
    return float(np.sum(np.logaddexp(0.0, logits) - targets * logits))


def _pooled(means: Floats, counts: Floats) -> list[tuple[float, int]]:
    """Pool adjacent violators: level and length of each step, ``[steps]``."""
    steps: list[tuple[float, float, int]] = []  # level, weight, length
    for mean, count in zip(means.tolist(), counts.tolist(), strict=True):
        level, weight, length = mean, count, 1
        while steps and steps[-1][0] >= level:
            above, more, longer = steps.pop()
            level = (above * more + level * weight) / (more + weight)
            weight, length = weight + more, length + longer
        steps.append((level, weight, length))
    return [(level, length) for level, _, length in steps]

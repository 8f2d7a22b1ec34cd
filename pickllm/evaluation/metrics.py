"""How well a router spends its strong calls: arrays in, floats out.

A router gives every prompt a score; the prompts with the highest scores go to the strong model, the
rest to the weak one. With n prompts there are n + 1 ways to cut, and they make one curve:

    c      cost efficiency: the share of prompts that went to the strong model
    r(c)   quality: the mean score of the answers that were then given
    PGR    performance gap recovered: (r - r_weak) / (r_strong - r_weak)
    APGR   its average over c, the area under PGR
    CPT(x) the least c whose PGR reaches x
    AUC    the area under r, so APGR = (AUC - r_weak) / (r_strong - r_weak)

Prompts of equal score can not be told apart, so a cut inside them is a straight line between its
ends: what a coin would give on average. A router that scores all prompts alike therefore has an
APGR of exactly one half. The curve need not rise; CPT is where it first reaches x.

Where the strong model is not better than the weak one there is no gap to recover, and PGR, APGR and
CPT are NaN.

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 3. Its code measures at eleven thresholds
instead of all; see `pickllm.evaluation.routellm_metrics`.

>>> weak, strong = np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
>>> curve = routing_curve(np.array([0.1, 0.9, 0.8, 0.3]), weak, strong)
>>> apgr(curve), cpt(curve, 0.5), cpt(curve, 0.8)
(0.75, 0.25, 0.4)
"""

from dataclasses import dataclass

import numpy as np

from pickllm.arrays import Floats, unit_rows
from pickllm.errors import ConfigError

__all__ = [
    "RoutingCurve",
    "apgr",
    "area_under_curve",
    "cost_efficiency",
    "cpt",
    "dataset_similarity",
    "performance_gap_recovered",
    "quality_at",
    "routing_curve",
    "share_at",
]

_ROUNDING = 1e-12
"""The strong model's own quality counts as reached, however its sum was rounded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingCurve:
    """Quality over the share of strong calls: straight lines between these points.

    The first point is the weak model alone, the last the strong one alone.
    """

    share: Floats
    """Share of strong calls, ``[points]``, rising from 0 to 1."""
    quality: Floats
    """Mean quality of the answers, ``[points]``."""

    @property
    def gap(self) -> float:
        """How much better the strong model is than the weak one; NaN where it is not."""
        gap = float(self.quality[-1] - self.quality[0])
        return gap if gap > 0.0 else float("nan")


def routing_curve(scores: Floats, weak: Floats, strong: Floats) -> RoutingCurve:
    """The curve of a router that sends the highest scores to the strong model.

    Args:
        scores: What the router says of each prompt, ``[prompts]``; only their order counts.
        weak: Quality of the weak model's answers, ``[prompts]``.
        strong: Quality of the strong model's answers, ``[prompts]``.

    Raises:
        ConfigError: There is no prompt, shapes differ, or a number is not finite.
    """
    _check(scores, weak, strong)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    gained = np.cumsum(np.asarray(strong, float)[order] - np.asarray(weak, float)[order])
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(scores) - 1)
    count = len(scores)
    share = np.concatenate(([0.0], (ends + 1) / count))
    quality = float(np.mean(weak)) + np.concatenate(([0.0], gained[ends] / count))
    return RoutingCurve(share=share, quality=quality)


def cost_efficiency(scores: Floats, threshold: float) -> float:
    """c: the share of prompts that score at least ``threshold`` and so cost a strong call."""
    return float(np.mean(scores >= threshold))


def quality_at(curve: RoutingCurve, share: float) -> float:
    """r(c): mean quality at a share of strong calls in [0, 1]."""
    return float(np.interp(share, curve.share, curve.quality))


def performance_gap_recovered(curve: RoutingCurve, share: float) -> float:
    """PGR at a share of strong calls: 0 is the weak model, 1 the strong one, more is possible."""
    return (quality_at(curve, share) - float(curve.quality[0])) / curve.gap


def area_under_curve(curve: RoutingCurve) -> float:
    """Mean quality over all shares of strong calls."""
    return float(np.trapezoid(curve.quality, curve.share))


def apgr(curve: RoutingCurve) -> float:
    """Average PGR over all shares: 0.5 is chance, an oracle may pass 1."""
    return (area_under_curve(curve) - float(curve.quality[0])) / curve.gap


def cpt(curve: RoutingCurve, recovered: float) -> float:
    """CPT(x): the least share of strong calls whose PGR reaches ``recovered``, in [0, 1].

    Exact on the straight lines between points. NaN where the curve never gets there.
    """
    if np.isnan(curve.gap):
        return float("nan")
    return share_at(curve, float(curve.quality[0]) + recovered * curve.gap)


def share_at(curve: RoutingCurve, quality: float) -> float:
    """The least share of strong calls that gives ``quality``; NaN where none does."""
    there = np.flatnonzero(curve.quality >= quality - _ROUNDING)
    if not len(there):
        return float("nan")
    first = int(there[0])
    if first == 0:
        return 0.0
    before, after = curve.quality[first - 1], curve.quality[first]
    part = min((quality - before) / (after - before), 1.0)
    return float(curve.share[first - 1] + part * (curve.share[first] - curve.share[first - 1]))


def dataset_similarity(
    evaluated: Floats, training: Floats, *, prompts_at_once: int = 1024
) -> Floats:
    """Cosine of each evaluated prompt to the training prompt nearest to it, ``[evaluated]``.

    Its mean is the paper's benchmark-dataset similarity; where it is 0.95 or more, the prompt has
    leaked into the training data.

    Args:
        evaluated: Embeddings of the prompts to be judged, ``[evaluated, dim]``.
        training: Embeddings of the prompts that were learnt from, ``[training, dim]``.
        prompts_at_once: How many rows are compared in one product; bounds the memory.

    Raises:
        ConfigError: Either holds no prompt.
    """
    if not len(evaluated) or not len(training):
        raise ConfigError("similarity of data sets needs prompts on both sides; one is empty")
    known = unit_rows(training)
    parts = [
        (unit_rows(evaluated[start : start + prompts_at_once]) @ known.T).max(axis=1)
        for start in range(0, len(evaluated), prompts_at_once)
    ]
    return np.concatenate(parts).astype(np.float64)


def _check(scores: Floats, weak: Floats, strong: Floats) -> None:
    if not len(scores):
        raise ConfigError("a routing curve needs at least one prompt")
    if not np.shape(scores) == np.shape(weak) == np.shape(strong) == (len(scores),):
        raise ConfigError(
            f"scores, weak and strong must all have shape [prompts]; they have "
            f"{np.shape(scores)}, {np.shape(weak)} and {np.shape(strong)}"
        )
    if not all(np.isfinite(each).all() for each in (scores, weak, strong)):
        raise ConfigError("scores and qualities must be finite: drop prompts that were not graded")

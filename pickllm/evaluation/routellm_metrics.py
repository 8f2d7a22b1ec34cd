"""The same metrics as RouteLLM's own evaluator counts them, for figures that stand beside theirs.

It cuts at eleven thresholds: the deciles of the scores, with ``score >= threshold``, the last one
with ``>``. Two things follow, and are kept here:

* APGR is an area under ten straight lines instead of the whole curve, and starts at a share of 1
  going down; with few prompts the two differ in the third digit.
* CPT reads the share off with a linear interpolation that takes quality to rise with the share.
  Where it does not, the answer is no crossing of the curve at all. `pickllm.evaluation.metrics.cpt`
  finds the first crossing.

Where many prompts score alike the evaluator stops with an error; here equal thresholds give equal
points. Source: ``routellm/evals/evaluate.py`` and ``benchmarks.py`` of lm-sys/RouteLLM (2024).

>>> weak, strong = np.zeros(100), np.ones(100)
>>> curve = decile_curve(np.linspace(0.0, 1.0, 100), weak, strong)
>>> round(decile_apgr(curve), 6), decile_cpt(curve, 0.5)
(0.5, 0.5)
"""

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.evaluation.metrics import RoutingCurve

__all__ = ["decile_apgr", "decile_cpt", "decile_curve"]


def decile_curve(scores: Floats, weak: Floats, strong: Floats, *, cuts: int = 10) -> RoutingCurve:
    """Share of strong calls and quality at ``cuts + 1`` thresholds, from no strong call to all.

    Args:
        scores: What the router says of each prompt, ``[prompts]``.
        weak: Quality of the weak model's answers, ``[prompts]``.
        strong: Quality of the strong model's answers, ``[prompts]``.
        cuts: Into how many parts of equal size the scores are cut.

    Raises:
        ConfigError: There is no prompt.
    """
    if not len(scores):
        raise ConfigError("a routing curve needs at least one prompt")
    edges = np.quantile(scores, np.linspace(0.0, 1.0, cuts + 1))[::-1]
    calls = scores >= edges[:, None]
    calls[0] = scores > edges[0]
    quality = np.where(calls, strong, weak).mean(axis=1)
    return RoutingCurve(share=calls.mean(axis=1), quality=quality)


def decile_apgr(curve: RoutingCurve) -> float:
    """Area between the curve and the weak model's quality, as a part of the whole gap."""
    area = np.trapezoid(curve.quality, curve.share)
    return float((area - curve.quality[0]) / curve.gap)


def decile_cpt(curve: RoutingCurve, recovered: float) -> float:
    """Share of strong calls at a PGR, by interpolation over quality, in [0, 1]."""
    wanted = curve.quality[0] + recovered * curve.gap
    return float(np.interp(wanted, curve.quality, curve.share))

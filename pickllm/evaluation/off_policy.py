"""What another policy would have earned, from the log of the one that was live.

``p`` is the logged probability of the arm ``a`` that was drawn, ``pi`` the other policy's, ``r``
what came of it, ``q`` a prediction of that for any arm, and ``w = pi(a) / p(a)`` the weight:

    ips     mean of w r                                   unbiased, and wild: for comparison only
    snips   sum of w r / sum of w                         the mean over those who would agree
    dm      mean over prompts of E_pi[q]                  as good as the prediction, and no better
    dr      mean of  E_pi[q] + w (r - q(a))               right if either p or q is
    sndr    mean of E_pi[q]  +  sum of w (r - q(a)) / sum of w
    dros    dr with weights drawn in:  w' = shrink w / (w^2 + shrink)

Weights above ``clip`` count as ``clip``: a little bias for much less spread. By default that is the
square root of the number of rows. 95 % intervals are normal ones, with Student's t for the
effective sample size, or percentile bootstrap over rows. They are as wide as without the clip, and
dm and dros borrow dr's: what is gained by looking away shall not look like certainty. No interval
knows of what no row shows, so ``unsupported`` says how much of the other policy's probability lies
on arms that had none.

References: Horvitz and Thompson (1952) for ips; Swaminathan and Joachims, The self-normalized
estimator (2015); Dudík, Langford and Li, Doubly robust policy evaluation and learning (2011), arXiv
1103.4601; Su et al., Doubly robust off-policy evaluation with shrinkage (2020), arXiv 1907.09623;
Ionides, Truncated importance sampling (2008) for the clip. The formulas are those of Open Bandit
Pipeline and, for ips, snips and dr, of Vowpal Wabbit.

>>> evidence = Evidence(
...     target=np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]),
...     probabilities=np.full((4, 2), 0.5),
...     chosen=np.array([0, 1, 1, 0]),
...     outcome=np.array([0.0, 1.0, 0.5, 0.0]),
... )
>>> estimate(evidence, "snips").value, estimate(evidence, "ips", clip=None).value
(0.75, 0.75)
>>> estimate(evidence, "snips").ess
2.0
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from pickllm.errors import ConfigError
from pickllm.evaluation.evidence import Evidence
from pickllm.evaluation.logged import Column

__all__ = ["METHODS", "Estimate", "Interval95", "Method", "estimate"]

Method: TypeAlias = Literal["ips", "snips", "dm", "dr", "sndr", "dros"]
"""How the value is estimated; see above."""

Interval95: TypeAlias = Literal["normal", "bootstrap"]
"""Where the interval comes from."""

_Z = 1.959963984540054
_BIASED: tuple[Method, ...] = ("dm", "dros")
"""Their own spread is small because they look away: that of dr on raw weights stands in for it."""

_FEW = 50.0
"""Effective decisions below which an estimate is told to be weak."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What another policy would have earned, and how far that can be relied on."""

    method: Method
    value: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    standard_error: float
    decisions: int
    ess: float
    """How many decisions of the other policy's own the log is worth: ``(sum w)^2 / sum w^2``."""
    clip_rate: float
    """Share of the decisions whose weight was clipped."""
    unsupported: float
    """Share of the other policy's probability on arms that could not have been drawn."""
    warnings: tuple[str, ...] = ()

    def __format__(self, spec: str) -> str:
        """The value and both ends, each formatted by ``spec``."""
        return f"{self.value:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


Part: TypeAlias = tuple[Column, Column]
"""Of a value that is a sum of ratios: numerators and denominators, ``[decisions]`` each."""


def _ips(evidence: Evidence, weights: Column) -> list[Part]:
    rows = evidence.rows
    return [(rows * weights * evidence.outcome, rows)]


def _snips(evidence: Evidence, weights: Column) -> list[Part]:
    rows = evidence.rows
    return [(rows * weights * evidence.outcome, rows * weights)]


def _direct(evidence: Evidence, _weights: Column) -> list[Part]:
    rows = evidence.rows
    return [(rows * evidence.predictions()[0], rows)]


def _doubly_robust(evidence: Evidence, weights: Column) -> list[Part]:
    rows = evidence.rows
    hoped, expected = evidence.predictions()
    return [(rows * (hoped + weights * (evidence.outcome - expected)), rows)]


def _self_normalised(evidence: Evidence, weights: Column) -> list[Part]:
    rows = evidence.rows
    hoped, expected = evidence.predictions()
    return [
        (rows * hoped, rows),
        (rows * weights * (evidence.outcome - expected), rows * weights),
    ]


METHODS: Mapping[Method, Callable[[Evidence, Column], list[Part]]] = MappingProxyType(
    {
        "ips": _ips,
        "snips": _snips,
        "dm": _direct,
        "dr": _doubly_robust,
        "sndr": _self_normalised,
        "dros": _doubly_robust,
    }
)
"""Name to the ratios that the value is the sum of."""


def estimate(
    evidence: Evidence,
    method: Method = "dr",
    *,
    clip: float | Literal["sqrt"] | None = "sqrt",
    shrink: float | None = None,
    interval: Interval95 = "normal",
    resamples: int = 1_000,
    seed: int = 0,
) -> Estimate:
    """What the other policy would have earned.

    Args:
        evidence: The log, and the other policy's probabilities.
        method: One of ``METHODS``.
        clip: The largest weight, above 0; "sqrt" is the square root of the rows, None does not
            clip. ``dros`` does not clip: it draws all weights in.
        shrink: Of ``dros``, above 0; None is the number of rows, infinite leaves weights alone.
        interval: Where the 95 % interval comes from.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    if method not in METHODS:
        raise ConfigError(f"no method is called {method!r}; there are {list(METHODS)}")
    raw = evidence.weights
    weights, clip_rate = _tamed(raw, method, clip=clip, shrink=shrink)
    parts = METHODS[method](evidence, weights)
    value = _value(parts)
    ess = float(raw.sum() ** 2 / (raw**2).sum()) if raw.any() else 0.0
    uncertain = METHODS["dr" if method in _BIASED else method](evidence, raw)
    spread = _spread(uncertain)
    if interval == "bootstrap":
        low, high = _bootstrap(uncertain, resamples, seed) + value - _value(uncertain)
    else:
        low, high = value + np.array([-1.0, 1.0]) * _student(ess) * spread
    return Estimate(
        method=method,
        value=value,
        low=float(low),
        high=float(high),
        standard_error=spread,
        decisions=len(raw),
        ess=ess,
        clip_rate=clip_rate,
        unsupported=evidence.unsupported,
        warnings=_warnings(evidence, raw, ess=ess, clip_rate=clip_rate),
    )


def _tamed(
    raw: Column, method: Method, *, clip: float | Literal["sqrt"] | None, shrink: float | None
) -> tuple[Column, float]:
    """The weights that count, and the share of those that were clipped."""
    if method == "dros":
        most = float(len(raw)) if shrink is None else shrink
        if not most > 0.0:
            raise ConfigError(f"shrink must be above 0; it is {shrink}")
        return (raw if math.isinf(most) else most * raw / (raw**2 + most)), 0.0
    if clip is None or method == "dm":
        return raw, 0.0
    largest = math.sqrt(len(raw)) if clip == "sqrt" else clip
    if not largest > 0.0:
        raise ConfigError(f"clip must be above 0; it is {clip}")
    return np.minimum(raw, largest), float(np.mean(raw > largest))


def _value(parts: list[Part]) -> float:
    """NaN where nobody would have agreed, and the method has nothing else to go by."""
    sums = [(float(above.sum()), float(below.sum())) for above, below in parts]
    return math.fsum(above / below if below > 0.0 else math.nan for above, below in sums)


def _spread(parts: list[Part]) -> float:
    """Standard error, by linearising each ratio around its value."""
    influence = np.zeros(len(parts[0][0]))
    for above, below in parts:
        total = float(below.sum())
        if total <= 0.0:
            return math.nan
        influence += (above - above.sum() / total * below) / total
    rows = len(influence)
    return float(np.sqrt((influence**2).sum() * rows / max(rows - 1, 1)))


def _bootstrap(parts: list[Part], resamples: int, seed: int) -> Column:
    """Both ends of the interval."""
    rng, rows = np.random.default_rng(seed), len(parts[0][0])
    values = np.zeros(resamples)
    for number in range(resamples):
        counts = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        sums = [(float(counts @ above), float(counts @ below)) for above, below in parts]
        values[number] = sum(a / b if b > 0.0 else math.nan for a, b in sums)
    known = values[~np.isnan(values)]
    return np.percentile(known, (2.5, 97.5)) if known.size else np.full(2, np.nan)


def _student(effective: float) -> float:
    """The 97.5 % quantile of Student's t with as many degrees of freedom, less one; at least 2.

    By the expansion of Cornish and Fisher: 4.30 for 2 comes out as 4.06, 2.228 for 10 exactly.
    """
    nu = max(effective - 1.0, 2.0)
    return (
        _Z
        + (_Z**3 + _Z) / (4.0 * nu)
        + (5.0 * _Z**5 + 16.0 * _Z**3 + 3.0 * _Z) / (96.0 * nu**2)
        + (3.0 * _Z**7 + 19.0 * _Z**5 + 17.0 * _Z**3 - 15.0 * _Z) / (384.0 * nu**3)
    )


def _warnings(evidence: Evidence, raw: Column, *, ess: float, clip_rate: float) -> tuple[str, ...]:
    told = []
    if evidence.unsupported > 1e-3:
        told.append(
            f"{evidence.unsupported:.1%} of its choices are arms that could not have been drawn: "
            "nothing in the log tells what they earn"
        )
    if ess < _FEW:
        told.append(f"the log is worth only {ess:.0f} decisions of this policy's own")
    if clip_rate > 0.01:
        told.append(f"{clip_rate:.1%} of the weights are clipped: expect a bias")
    spread = float(raw.std()) / math.sqrt(len(raw))
    if evidence.unsupported <= 1e-3 and abs(raw.mean() - 1.0) > 4.0 * spread + 1e-6:
        told.append(
            f"the weights have mean {raw.mean():.2f} in place of 1: the logged probabilities are "
            "not the ones that arms were drawn with"
        )
    return tuple(told)

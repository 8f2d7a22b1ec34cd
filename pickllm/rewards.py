"""Score, cost and latency in one number.

The default is bounded, monotone in each of the three, and works with any weight at zero:

    c = clip( ln(max(cost, c_lo) / c_lo) / ln(c_hi / c_lo), 0, 1 )
    l = clip( ln(max(latency, l_lo) / l_lo) / ln(l_hi / l_lo), 0, 1 )
    r = ( w_q * q + w_c * (1 - c) + w_l * (1 - l) ) / ( w_q + w_c + w_l )

The anchors ``c_lo, c_hi, l_lo, l_hi`` are settings, never a running minimum or maximum: that would
change what old rewards mean.

>>> reward = WeightedReward(weights=Weights(quality=1.0, cost=1.0, latency=0.0))
>>> reward(score=1.0, cost_usd=1e-6, latency_s=3.0), reward(score=1.0, cost_usd=0.1, latency_s=3.0)
(1.0, 0.5)
"""

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal

import numpy as np

from pickllm.errors import ConfigError
from pickllm.types import Anchors, Weights

__all__ = ["PaperReward", "WeightedReward", "checked_score"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedReward:
    """The default: a weighted mean of quality, cheapness and speed, each in [0, 1].

    A cost of None is unknown: its term is left out and the other weights fill its place.
    """

    weights: Weights = field(default_factory=Weights)
    anchors: Anchors = field(default_factory=Anchors)

    def __call__(self, *, score: float, cost_usd: float | None, latency_s: float) -> float:
        """Reward in [0, 1]; a score, cost or latency that is no finite number is an error."""
        terms = [
            (self.weights.quality, checked_score(score)),
            (self.weights.latency, 1.0 - self.latency_share(latency_s)),
        ]
        if cost_usd is not None:
            terms.append((self.weights.cost, 1.0 - self.cost_share(cost_usd)))
        total = math.fsum(weight for weight, _ in terms)
        if total == 0.0:
            raise ConfigError(
                "only cost has a weight, and the cost of this call is unknown: state the arm's "
                "price, or give quality or latency a weight"
            )
        return min(math.fsum(weight * term for weight, term in terms) / total, 1.0)

    def cost_share(self, cost_usd: float) -> float:
        """Cost between the anchors, 0 cheap to 1 dear, on a logarithmic scale."""
        return _log_share(cost_usd, self.anchors.cost_lo_usd, self.anchors.cost_hi_usd)

    def latency_share(self, latency_s: float) -> float:
        """Latency between the anchors, 0 fast to 1 slow, on a logarithmic scale."""
        return _log_share(latency_s, self.anchors.latency_lo_s, self.anchors.latency_hi_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperReward:
    """The PickLLM paper's reward (arXiv 2412.12170), clamped so that a learner survives it.

    The transcriptions of its formula disagree, so both readings are here:

        quotient    R = (w_a * a - w_c * c) / (w_l * log10(l) / t_scaling)
        product     R = w_a * a - w_c * c * w_l * log10(l) * t_scaling

    with accuracy a in [0, 1], cost c in USD and latency l. In seconds both lose their meaning at
    one second, where the logarithm crosses zero and flips the sign; so l is in milliseconds and
    never taken below 10, which keeps the logarithm at 1 or above. The result is clipped to [0, 1].
    The weights of cost and latency do not separate in either; for new work take `WeightedReward`.
    An unknown cost counts as 0 here, as for the paper's local models.
    """

    reading: Literal["quotient", "product"] = "quotient"
    weights: Weights = field(default_factory=lambda: Weights(quality=1.0, cost=1.0, latency=1.0))
    latency_scaling: float = 1.0
    """The paper's t_scaling, above 0."""

    def __post_init__(self) -> None:
        if self.reading not in ("quotient", "product"):
            raise ConfigError(f"reading is 'quotient' or 'product', not {self.reading!r}")
        if not 0.0 < self.latency_scaling < math.inf:
            raise ConfigError(f"latency_scaling must be above 0, not {self.latency_scaling}")
        if self.reading == "quotient" and self.weights.latency == 0.0:
            raise ConfigError("the quotient divides by the weight of latency: it must not be zero")

    def __call__(self, *, score: float, cost_usd: float | None, latency_s: float) -> float:
        """Reward in [0, 1]."""
        worth = self.weights.quality * checked_score(score)
        price = self.weights.cost * _checked("cost", cost_usd or 0.0)
        slow = math.log10(max(_checked("latency", latency_s) * 1e3, 10.0))
        if self.reading == "quotient":
            value = (worth - price) / (self.weights.latency * slow / self.latency_scaling)
        else:
            value = worth - price * self.weights.latency * slow * self.latency_scaling
        return min(max(value, 0.0), 1.0)


def checked_score(score: float, *, what: str = "score") -> float:
    """The score as a float, or `ConfigError` when it is not a number in [0, 1]."""
    if isinstance(score, Real | np.bool_) and 0.0 <= score <= 1.0:
        return float(score)
    shown = repr(score) if isinstance(score, Real) else type(score).__name__
    raise ConfigError(f"a {what} must be a number in [0, 1]; this one is {shown}")


def _checked(what: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigError(f"{what} must be a number of at least 0; this one is {value!r}")
    return value


def _log_share(value: float, lo: float, hi: float) -> float:
    share = math.log(max(_checked("cost or latency", value), lo) / lo) / math.log(hi / lo)
    return min(max(share, 0.0), 1.0)

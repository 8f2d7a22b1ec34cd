"""How far scores may be taken for probabilities: calibration error and Brier score.

    ECE   = sum over bins of (pairs in bin / pairs) * | mean label - mean probability |
    Brier = mean of (probability - label) ** 2

Bins hold equally many pairs, so that crowded scores do not hide in one of them. Few pairs in a bin
make an ECE above zero even where nothing is wrong: with labels that are coin tosses, about
``0.4 / sqrt(pairs in a bin)``. So compare it between calibrations, on pairs none of them has seen.

References: Naeini et al., Obtaining well calibrated probabilities using Bayesian binning (2015);
Brier, Verification of forecasts expressed in terms of probability (1950).

>>> measured = reliability([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 0], bins=2)
>>> round(measured.ece, 3), round(measured.brier, 3)
(0.25, 0.19)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pickllm.errors import ConfigError

__all__ = ["Bin", "Reliability", "reliability"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Pairs of about the same probability."""

    probability: float
    """Their mean."""
    label: float
    """The mean of their labels."""
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """How well probabilities were kept."""

    ece: float
    brier: float
    bins: tuple[Bin, ...]
    """By rising probability."""


def reliability(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> Reliability:
    """Measure ``probabilities`` against ``labels``, both ``[pairs]``, in [0, 1]."""
    given = np.asarray(probabilities, dtype=np.float64)
    wanted = np.asarray(labels, dtype=np.float64)
    if given.ndim != 1 or given.shape != wanted.shape or not given.size or bins < 1:
        raise ConfigError(
            "reliability needs as many labels as probabilities, at least one, and a bin"
        )
    if not all(np.all((each >= 0.0) & (each <= 1.0)) for each in (given, wanted)):
        raise ConfigError("probabilities and labels must be numbers in [0, 1]")
    order = np.argsort(given, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(given))) if part.size]
    made = tuple(
        Bin(
            probability=float(given[part].mean()),
            label=float(wanted[part].mean()),
            count=len(part),
        )
        for part in parts
    )
    gaps = [each.count * abs(each.label - each.probability) for each in made]
    return Reliability(
        ece=sum(gaps) / len(given), brier=float(np.mean((given - wanted) ** 2)), bins=made
    )

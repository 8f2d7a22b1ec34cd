"""How sure the arm itself was: log-probabilities of the tokens of its answer, where it gives them.

    statistic = sum over features f of weight_f * standardised(f)
    f         = quantiles 0, 0.1, 0.25, 0.5, 0.9 of the tokens' log-probabilities, mean, log length
    score     = Platt of that arm (statistic)

A sum of log-probabilities favours short answers and a mean hides the one bad token; quantiles tell
more than both. What they are worth depends on the arm, so all is fitted on labels; unfitted, the
quantile 0.1 is taken as it is, which orders answers of one arm and means nothing as a probability.
No further call is made. An answer without log-probabilities, or where one of them is above 0 or no
number, is not judged: put another scorer behind this one in `FirstOf`.

How they are read is a function of the framework's message: `langchain_pickllm.log_probabilities`
and `llamaindex_pickllm.log_probabilities` have one. The arm must be told to give them, such as
``ChatOpenAI(logprobs=True)``.

References: Gupta et al., Language model cascades: token-level uncertainty and beyond (2024), arXiv
2404.10136; Platt's calibration is in `calibration.py`.

>>> sure, unsure = [-0.01, -0.2, -0.01], [-0.01, -3.0, -0.4]
>>> fitted = fit_log_probabilities([sure, unsure] * 20, [1.0, 0.0] * 20, ["small"] * 40)
>>> fitted.chance(sure, "small") > 0.9, fitted.chance(unsure, "small") < 0.1
(True, True)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.scoring.calibration import ByArm, Platt
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["FittedLogProbabilities", "LogProbabilities", "Read", "fit_log_probabilities"]

Read: TypeAlias = Callable[[Any], Sequence[float] | None]
"""From a framework's message to the log-probability of each token; None where it has none."""

_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.9)
_LOWEST = -20.0
_ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedLogProbabilities:
    """What log-probabilities mean for some arms. As it stands it is the quantile 0.1, squashed."""

    center: tuple[float, ...] = (0.0,) * (len(_QUANTILES) + 2)
    scale: tuple[float, ...] = (0.0, 1.0, *(0.0,) * len(_QUANTILES))
    """What each feature counts for, its spread divided out."""
    pooled: Platt = field(default_factory=lambda: Platt(slope=1.0, intercept=2.0))
    arm_to_platt: Mapping[str, Platt] = field(default_factory=dict)

    def chance(self, log_probabilities: Sequence[float], arm: str) -> float:
        """Probability that an answer of these tokens is right, in [0, 1]."""
        moved = _features(log_probabilities) - np.array(self.center)
        statistic = float(moved @ np.array(self.scale))
        return self.arm_to_platt.get(arm, self.pooled)(statistic)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogProbabilities(TextScorer):
    """Scores an answer by how sure its arm was of each token."""

    read: Read
    fitted: FittedLogProbabilities = field(default_factory=FittedLogProbabilities)

    def judged(self, request: Request, reply: Reply) -> float | None:
        """The chance that it is right; None where the answer has no log-probabilities."""
        found = self.read(reply.message)
        return self.fitted.chance(found, reply.arm) if found and _readable(found) else None


def fit_log_probabilities(
    answers: Sequence[Sequence[float]],
    labels: ArrayLike,
    arms: Sequence[str],
    *,
    least: int = 50,
) -> FittedLogProbabilities:
    """Learn what log-probabilities mean: one direction for all arms, a sigmoid for each.

    Args:
        answers: Log-probabilities of each answer's tokens, at least one for each.
        labels: In [0, 1], ``[answers]``.
        arms: Who answered, ``[answers]``.
        least: An arm with fewer labels shares its sigmoid with the others.
    """
    if not answers or not all(len(answer) for answer in answers):
        raise ConfigError("there must be answers, and of each at least one token")
    if not all(map(_readable, answers)):
        raise ConfigError("log-probabilities must be numbers of at most 0; leave out other answers")
    rows = np.array([_features(answer) for answer in answers])
    wanted = np.asarray(labels, dtype=np.float64)
    center, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    standard = (rows - center) / spread
    square = standard.T @ standard + 1.0 * np.eye(rows.shape[1])
    scale = np.linalg.solve(square, standard.T @ (wanted - wanted.mean())) / spread
    statistic = (rows - center) @ scale
    found = ByArm.fit(Platt.fit, arms=arms, scores=statistic, labels=wanted, least=least)
    pooled = found.pooled
    return FittedLogProbabilities(
        center=tuple(center.tolist()),
        scale=tuple(scale.tolist()),
        pooled=pooled if isinstance(pooled, Platt) else Platt(),
        arm_to_platt={
            arm: platt
            for arm, platt in found.arm_to_calibration.items()
            if isinstance(platt, Platt)
        },
    )


def _readable(log_probabilities: Sequence[float]) -> bool:
    """Whether all are logarithms of probabilities, but for what rounding adds to a certainty."""
    return all(each <= _ROUNDING for each in log_probabilities)  # false of NaN


def _features(log_probabilities: Sequence[float]) -> NDArray[np.float64]:
    tokens: Floats = np.clip(np.array(log_probabilities, dtype=np.float64), _LOWEST, 0.0)
    quantiles = np.quantile(tokens, _QUANTILES)
    return np.array([*quantiles, tokens.mean(), np.log1p(len(tokens))], dtype=np.float64)

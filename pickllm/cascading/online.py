"""A cascade kept current: thresholds fitted anew on recent requests whose drafts were all judged.

    weight of a request = 1 / P(all arms of the order were asked)
                        = 1 / prod over stages that passed of explore

Where the first arm's answers pass, the others are asked in a share ``explore`` of the cases alone;
these count that much more, so that a threshold is judged by all prompts and not by the hard ones
(inverse propensity). Requests of which some draft was never bought or never judged tell nothing of
other thresholds, and are left out. So without ``explore`` nothing can be fitted anew.

What is remembered is a plain value; nothing is written into the cascade that runs.

>>> cascade = ThresholdCascade(
...     order=("small", "large"), thresholds=(0.3,), scorer=lambda prompt, answer: 1.0, explore=0.1
... )
>>> recent = Recent()
>>> for score, right in ((0.9, 1.0), (0.8, 1.0), (0.5, 0.0), (0.4, 0.0), (0.2, 0.0)):
...     recent = recent.plus(
...         JudgedRequest(
...             arm_to_score={"small": score, "large": 0.9},
...             arm_to_label={"small": right, "large": 1.0},
...             arm_to_cost_usd={"small": 0.001, "large": 0.01},
...         )
...     )
>>> refitted(cascade, recent, mean_usd=0.008, least=5).thresholds
(0.8,)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from pickllm.cascading.scored import ScoredTable
from pickllm.cascading.sweep import Sweep, best_within, frontier
from pickllm.cascading.thresholds import ThresholdCascade
from pickllm.errors import ConfigError
from pickllm.types import Outcome

__all__ = [
    "JudgedRequest",
    "Recent",
    "judged_of",
    "recent_of",
    "refitted",
    "refitted_on",
    "scored_of",
]

_STAGES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRequest:
    """One request, with what is known of each arm's answer."""

    arm_to_score: Mapping[str, float]
    """What the cascade's scorer gave it."""
    arm_to_label: Mapping[str, float]
    """What it was worth, in [0, 1]: said by a user or a grader, or agreement with the last arm."""
    arm_to_cost_usd: Mapping[str, float]
    propensity: float | None = None
    """Probability that all these arms were asked, as it was when they were; None works it out from
    the cascade as it is now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recent:
    """The newest judged requests, oldest first."""

    judged: tuple[JudgedRequest, ...] = field(default=(), repr=False)

    def plus(self, judged: JudgedRequest, *, most: int = 2_000) -> "Recent":
        """With one more, and at most so many."""
        return Recent(judged=(*self.judged, judged)[-most:])


def judged_of(outcome: Outcome, arm_to_label: Mapping[str, float] | None = None) -> JudgedRequest:
    """What a ledger's outcome says of a request.

    Labels are those given, or how far each answer agrees with that of the last arm asked, which was
    noted when it was given.
    """
    answered = [each for each in outcome.attempts if each.status in {"ok", "rejected"}]
    if arm_to_label is None:
        arm_to_label = {each.arm: each.agreement for each in answered if each.agreement is not None}
    return JudgedRequest(
        arm_to_score={each.arm: each.score for each in answered if each.score is not None},
        arm_to_label=arm_to_label,
        arm_to_cost_usd={each.arm: each.cost_usd for each in answered if each.cost_usd is not None},
        propensity=prod(each.propensity for each in answered),
    )


def recent_of(outcomes: Iterable[Outcome], *, most: int = 2_000) -> Recent:
    """The newest of a ledger's outcomes, oldest first, labelled by agreement with the last arm."""
    judged = [judged_of(outcome) for outcome in outcomes if len(outcome.attempts) > 1]
    return Recent(judged=tuple(judged[-most:]))


def scored_of(cascade: ThresholdCascade, recent: Recent) -> ScoredTable | None:
    """The requests for which all arms of its order were asked and judged; None where none is such.

    Each counts the more, the more seldom it was explored.

    Raises:
        ConfigError: The cascade explores nothing, or has other than two or three arms.
    """
    if not cascade.explore or not 2 <= len(cascade.order) <= _STAGES:
        raise ConfigError("a cascade of two or three arms with explore above 0 can be fitted anew")
    whole = [each for each in recent.judged if _is_whole(each, cascade.order)]
    if not whole:
        return None
    return ScoredTable(
        arms=cascade.order,
        score=_matrix([each.arm_to_score for each in whole], cascade.order),
        quality=_matrix([each.arm_to_label for each in whole], cascade.order),
        cost_usd=_matrix([each.arm_to_cost_usd for each in whole], cascade.order),
        weight=np.array([1.0 / _probability(each, cascade) for each in whole]),
    )


def refitted(
    cascade: ThresholdCascade,
    recent: Recent,
    *,
    mean_usd: float,
    least: int = 200,
) -> ThresholdCascade:
    """The cascade with the thresholds that were best on recent requests.

    Args:
        cascade: Of two or three arms; its order stays.
        recent: Judged requests.
        mean_usd: What a request may cost in the mean.
        least: With fewer requests to learn from, the cascade stays as it is.

    Raises:
        ConfigError: It explores nothing, has other than two or three arms, or no threshold is
            so cheap.
    """
    table = scored_of(cascade, recent)
    if table is None or len(table) < least:
        return cascade
    return refitted_on(table, cascade, mean_usd=mean_usd)


def refitted_on(
    table: ScoredTable, cascade: ThresholdCascade, *, mean_usd: float
) -> ThresholdCascade:
    """The same, by a table of the cascade's arms in their order."""
    sweep = Sweep(arms=len(cascade.order))
    best = best_within(frontier(table, sweep, orders=[cascade.order]), mean_usd=mean_usd)
    return replace(cascade, thresholds=best.thresholds, stop_below=())


def _probability(judged: JudgedRequest, cascade: ThresholdCascade) -> float:
    """That all arms of the order were asked."""
    if judged.propensity is not None:
        return judged.propensity
    return prod(
        cascade.explore
        for arm, threshold in zip(cascade.order[:-1], cascade.thresholds, strict=False)
        if judged.arm_to_score[arm] >= threshold
    )


def _is_whole(judged: JudgedRequest, order: tuple[str, ...]) -> bool:
    known = (judged.arm_to_score, judged.arm_to_label, judged.arm_to_cost_usd)
    return all(arm in each for arm in order for each in known)


def _matrix(rows: list[Mapping[str, float]], order: tuple[str, ...]) -> np.ndarray:
    return np.array([[row[arm] for arm in order] for row in rows])

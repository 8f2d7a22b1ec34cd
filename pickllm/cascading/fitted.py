"""From recorded answers to a cascade that may be run: the scorer, the search, the confirmation.

    prompts shared out ──► fit:      the scorer learns; arms that others beat in all are left out
                       ├─► tune:     cascades are tried, and a predictive one's model is fitted
                       └─► confirm:  what was found is tested against the best single arm

Each prompt serves one of the three alone, and prompts of a group go together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Floats, Integers
from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.quality_model import fit_quality_model
from pickllm.cascading.scored import Plan, Played, ScoredTable
from pickllm.cascading.selection import CascadeSelection, Confirmed, Recorded, parts_of
from pickllm.cascading.thresholds import ThresholdCascade
from pickllm.errors import ConfigError
from pickllm.features import default_features
from pickllm.scoring.final_answer import same_answer
from pickllm.scoring.fitting import AnswerScoring, GradedAnswers
from pickllm.scoring.learned import LearnedScorer
from pickllm.scoring.matching import Similarity

__all__ = [
    "AnswerTable",
    "CascadeFitting",
    "FittedCascade",
    "agreement_with",
    "pairwise_agreement",
    "worth_asking",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTable:
    """Recorded answers of all arms to all prompts."""

    arms: tuple[str, ...]
    prompts: tuple[str, ...] = field(repr=False)
    """``[rows]``."""
    answers: tuple[tuple[str, ...], ...] = field(repr=False)
    """``[rows][arms]``."""
    quality: Floats
    """In [0, 1], ``[rows, arms]``: grades; or `agreement_with` where nobody graded anything."""
    cost_usd: Floats
    """``[rows, arms]``."""
    group: Integers | None = None
    """``[rows]``: prompts of one group are alike, and never parted; or None."""

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.arms))
        if self.quality.shape != shape or self.cost_usd.shape != shape:
            raise ConfigError(f"quality and cost_usd must be of shape [rows, arms], {shape}")
        if any(len(row) != len(self.arms) for row in self.answers) or len(self.answers) != shape[0]:
            raise ConfigError("answers must be one for each prompt and arm")
        if not ((self.quality >= 0.0) & (self.quality <= 1.0)).all():
            raise ConfigError("quality must lie in [0, 1]; leave out rows that lack a grade")
        if not ((self.cost_usd >= 0.0) & np.isfinite(self.cost_usd)).all():
            raise ConfigError("cost_usd must be at least 0; leave out rows that lack a cost")

    def of(self, arms: Sequence[str]) -> "AnswerTable":
        """The table of some arms alone."""
        columns = [self.arms.index(arm) for arm in arms]
        return AnswerTable(
            arms=tuple(arms),
            prompts=self.prompts,
            answers=tuple(tuple(row[column] for column in columns) for row in self.answers),
            quality=self.quality[:, columns],
            cost_usd=self.cost_usd[:, columns],
            group=self.group,
        )

    def take(self, rows: Integers) -> "AnswerTable":
        """Some rows: their places, or a mask."""
        places = np.arange(len(self.prompts))[rows].tolist()
        return AnswerTable(
            arms=self.arms,
            prompts=tuple(self.prompts[row] for row in places),
            answers=tuple(self.answers[row] for row in places),
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
            group=None if self.group is None else self.group[rows],
        )

    def graded(self) -> GradedAnswers:
        """All answers one below the other, for a scorer to learn from."""
        return GradedAnswers(
            prompts=tuple(prompt for prompt in self.prompts for _ in self.arms),
            answers=tuple(answer for row in self.answers for answer in row),
            arms=self.arms * len(self.prompts),
            labels=np.asarray(self.quality, dtype=np.float64).ravel(),
        )

    def scored(self, scorer: LearnedScorer) -> ScoredTable:
        """What the scorer gives every answer."""
        graded = self.graded()
        scores = scorer.scores(graded.prompts, graded.answers, graded.arms)
        return ScoredTable(
            arms=self.arms,
            score=scores.reshape(self.quality.shape),
            quality=self.quality,
            cost_usd=self.cost_usd,
            group=self.group,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedCascade:
    """A cascade with what is known of it."""

    cascade: ThresholdCascade | PredictiveCascade
    confirmed: Confirmed
    confirm: Recorded = field(repr=False)
    """The confirming rows of the arms that were considered."""

    @property
    def played(self) -> Played:
        """What it made of the confirming rows."""
        choice = self.confirmed.choice
        if isinstance(choice, Plan):
            return self.confirm.table.played(choice)
        return self.confirm.played(choice)


@dataclass(frozen=True, kw_only=True, slots=True)
class CascadeFitting:
    """Settings of the whole."""

    selection: CascadeSelection = field(default_factory=CascadeSelection)
    scoring: AnswerScoring = field(default_factory=AnswerScoring)
    shares: tuple[float, float, float] = (0.5, 0.25, 0.25)
    """Of the prompts: to fit, to tune, to confirm."""
    most_arms: int = 5
    """At most so many arms are considered, at least 2."""
    predictive: bool = False
    """Whether a `PredictiveCascade` is fitted in place of thresholds."""
    similarity: Similarity = same_answer
    """How far two answers agree, for a predictive one."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most_arms < 2:
            raise ConfigError(f"most_arms must be at least 2; it is {self.most_arms}")

    def fit(self, table: AnswerTable) -> FittedCascade:
        """Fit, tune and confirm."""
        rows = len(table.prompts)
        parts = parts_of(rows, self.shares, seed=self.seed, group=table.group)
        if not all(part.any() for part in parts):
            raise ConfigError(f"{rows} prompts are too few to fit, to tune and to confirm on")
        fit, tune, confirm = (table.take(part) for part in parts)
        arms = worth_asking(fit, self.most_arms)
        fit, tune, confirm = (part.of(arms) for part in (fit, tune, confirm))
        scorer = self.scoring.fit(fit.graded())
        tuned, confirming = self._recorded(tune, scorer), self._recorded(confirm, scorer)
        if self.predictive:
            model = fit_quality_model(tuned.table, tuned.features, agreement=tuned.agreement)
            cascade = PredictiveCascade(
                model=model, scorer=scorer, usd_per_quality=1.0, similarity=self.similarity
            )
            found = self.selection.select_predictive(cascade, tuned, confirming, seed=self.seed)
        else:
            found = self.selection.select(tuned.table, confirming.table, seed=self.seed)
        return FittedCascade(
            cascade=_cascade(found.choice, scorer), confirmed=found, confirm=confirming
        )

    def _recorded(self, table: AnswerTable, scorer: LearnedScorer) -> Recorded:
        """A table as cascades are tried on it; what only predictive ones read is left out else."""
        scored = table.scored(scorer)
        if not self.predictive:
            return Recorded(table=scored, features=np.zeros((len(scored), 0)))
        featurizer = default_features()
        return Recorded(
            table=scored,
            features=np.array([featurizer.features(prompt) for prompt in table.prompts]),
            agreement=pairwise_agreement(table.answers, self.similarity),
        )


def agreement_with(
    answers: Sequence[Sequence[str]], column: int, similarity: Similarity = same_answer
) -> NDArray[np.float64]:
    """How far each answer agrees with that of the strongest arm: a label where there are no grades.

    What is learnt from it can be as good as that arm, and no better: it is never wrong by this.

    Args:
        answers: ``[rows][arms]``.
        column: Of the strongest arm.
        similarity: From two answers to [0, 1].

    """
    return np.array([[similarity(answer, row[column]) for answer in row] for row in answers])


def pairwise_agreement(
    answers: Sequence[Sequence[str]], similarity: Similarity = same_answer
) -> NDArray[np.float64]:
    """How far each two answers agree, ``[rows, arms, arms]``."""
    arms = len(answers[0])
    found = np.ones((len(answers), arms, arms))
    for row, said in enumerate(answers):
        for one in range(arms):
            for other in range(one):
                found[row, one, other] = found[row, other, one] = similarity(said[one], said[other])
    return found


def worth_asking(table: AnswerTable, most: int) -> tuple[str, ...]:
    """Arms that no arm beats which is as cheap, the best of them; the best two in any case.

    What is left out never pays by itself. A search over all orders grows with the cube of the arms.
    """
    quality, cost = table.quality.mean(axis=0), table.cost_usd.mean(axis=0)
    order = np.lexsort((-quality, cost)).tolist()
    highest = np.maximum.accumulate(quality[order])
    front = [
        column
        for place, column in enumerate(order)
        if not place or highest[place] > highest[place - 1]
    ]
    front += [column for column in np.argsort(-quality).tolist() if column not in front]
    kept = front[: max(2, sum(np.diff(highest) > 0) + 1)]
    best = sorted(kept, key=lambda column: -quality[column])[:most]
    return tuple(table.arms[column] for column in sorted(best, key=lambda column: cost[column]))


def _cascade(
    choice: Plan | PredictiveCascade, scorer: LearnedScorer
) -> ThresholdCascade | PredictiveCascade:
    if isinstance(choice, PredictiveCascade):
        return choice
    return ThresholdCascade(
        order=choice.order,
        thresholds=choice.thresholds,
        stop_below=choice.stop_below,
        scorer=scorer,
    )

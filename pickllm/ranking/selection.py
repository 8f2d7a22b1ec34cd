"""Choosing among rankers by battles that they were not fitted on.

    prompts ──► folds that keep near-duplicates together
    for each fold: fit on the others, rank this one  ──► out-of-fold strengths [prompts, arms]
    their APGR for a pair of arms, or their squared error over all arms ──► which is best

For a pair, quality of the two models is taken from their battles: what the strong one won, and what
the weak one did. A metric of routing depends on their difference alone, so it is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.duplicates import group_folds, near_duplicate_groups
from pickllm.data.preferences import PreferenceTable
from pickllm.embedding.hashing import HashingEmbedder
from pickllm.errors import ConfigError
from pickllm.evaluation.metrics import apgr, routing_curve
from pickllm.ranking.contract import FittedRanker, Prompts, Ranker

__all__ = [
    "Contender",
    "best_of",
    "contender",
    "grid",
    "out_of_fold",
    "pair_apgr",
    "prompt_folds",
    "squared_error",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A ranker, and how well it did on battles that it had not seen."""

    name: str
    ranker: Ranker[Any]
    apgr: float
    """For the pair that was asked for; NaN without one."""
    squared_error: float
    """Mean over prompts and arms."""


def grid(ranker: Ranker[Any], **choices: Sequence[Any]) -> dict[str, Ranker[Any]]:
    """A ranker's settings in all combinations, by a name that tells them.

    >>> from pickllm.ranking.similarity import SimilarityBradleyTerry
    >>> list(grid(SimilarityBradleyTerry(), gamma=[2.0, 3.0], dimensions=[32]))
    ['gamma=2.0 dimensions=32', 'gamma=3.0 dimensions=32']
    """
    found = {}
    for values in product(*choices.values()):
        change = dict(zip(choices, values, strict=True))
        name = " ".join(f"{key}={value}" for key, value in change.items())
        fields = {key: getattr(ranker, key) for key in ranker.__dataclass_fields__}  # type: ignore[attr-defined]  # rankers are settings
        found[name] = type(ranker)(**{**fields, **change})
    return found


def prompt_folds(prompts: Prompts, *, folds: int, rng: np.random.Generator) -> Integers:
    """Fold of each prompt, ``[prompts]``; near-duplicates stay together.

    By their vectors, and by their words where they have none: a ranker of words would be praised
    for what it has seen.
    """
    bare = not prompts.vectors.shape[1]
    vectors = HashingEmbedder().embed(prompts.texts) if bare else prompts.vectors
    return group_folds(near_duplicate_groups(vectors), folds=folds, rng=rng)


def out_of_fold(
    ranker: Ranker[Any], table: PreferenceTable, prompts: Prompts, folds: Integers
) -> Floats:
    """Strengths from fits that have not seen the prompt's fold, ``[prompts, arms]``."""
    found = np.full((len(prompts), len(table.arms)), np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        fitted: FittedRanker = ranker.fit(table.of_prompts(~held), prompts)
        found[held] = fitted.strengths(prompts.take(held))
    return found


def pair_apgr(strengths: Floats, table: PreferenceTable, *, strong: str, weak: str) -> float:
    """APGR of strengths ``[prompts, arms]`` on the battles of two arms."""
    battles = table.between(strong, weak)
    one, other = table.arm(strong), table.arm(weak)
    scores = (strengths[:, one] - strengths[:, other])[battles.prompt]
    won = np.where(battles.first == one, battles.won, 1.0 - battles.won)
    return apgr(routing_curve(scores, 1.0 - won, won))


def squared_error(strengths: Floats, table: PreferenceTable) -> float:
    """Mean square of what strengths miss of the points, over prompts and arms."""
    return float(np.nanmean((strengths - table.points()) ** 2))


def best_of(
    rankers: Mapping[str, Ranker[Any]],
    table: PreferenceTable,
    prompts: Prompts,
    *,
    pair: tuple[str, str] | None = None,
    folds: int = 5,
    rng: np.random.Generator,
) -> list[Contender]:
    """Rankers by what they do on held-out battles, the best first.

    Args:
        rankers: By name.
        table: Battles to fit on and to judge by.
        prompts: Those of the table.
        pair: The strong arm and the weak one, where APGR decides; None lets the error decide.
        folds: How many parts are held out in turn.
        rng: Deals the prompts into folds.

    Raises:
        ConfigError: There is no ranker.
    """
    if not rankers:
        raise ConfigError("there are no rankers to choose from")
    dealt = prompt_folds(prompts, folds=folds, rng=rng)
    contenders = [
        contender(name, ranker, table, prompts, dealt, pair=pair)
        for name, ranker in rankers.items()
    ]
    return sorted(contenders, key=lambda each: -each.apgr if pair else each.squared_error)


def contender(
    name: str,
    ranker: Ranker[Any],
    table: PreferenceTable,
    prompts: Prompts,
    dealt: Integers,
    *,
    pair: tuple[str, str] | None,
) -> Contender:
    """What one ranker does on folds ``[prompts]`` that were dealt beforehand."""
    strengths = out_of_fold(ranker, table, prompts, dealt)
    score = pair_apgr(strengths, table, strong=pair[0], weak=pair[1]) if pair else np.nan
    error = squared_error(strengths, table)
    return Contender(name=name, ranker=ranker, apgr=float(score), squared_error=error)

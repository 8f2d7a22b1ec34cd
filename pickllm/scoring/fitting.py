"""How the learned scorer is fitted: penalised likelihood, calibrated on prompts held out.

    min over b, c, offset of  sum_i cross_entropy(label_i, logit_i) + penalty / 2 * (|b|² + |c|²)

Arms with many labels have weights of their own, the others share theirs. What a logit means is
fitted for each arm apart, on answers whose prompts the weights had not seen. A label is a grade in
[0, 1]: "right"; or "what keeping it gains", (1 + own grade - the strongest arm's) / 2, which is
what a cascade wants to know; or agreement with the strongest arm where nobody graded anything.

>>> graded = GradedAnswers(
...     prompts=tuple(f"What is {n} + 1?" for n in range(40)),
...     answers=tuple(f"{n} + 1 = {n + 1 + n % 2}" for n in range(40)),
...     arms=("small",) * 40,
...     labels=np.array([1.0 - n % 2 for n in range(40)]),
... )
>>> scorer = AnswerScoring(bits=10).fit(graded)
>>> scorer.scores(("What is 8 + 9?",) * 2, ("8 + 9 = 17", "8 + 9 = 18"), ("small",) * 2).round()
array([1., 0.])
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError, MissingExtra
from pickllm.scoring.answer_features import answer_features
from pickllm.scoring.answer_words import hashed_pair
from pickllm.scoring.calibration import Platt
from pickllm.scoring.learned import AnswerWeights, LearnedScorer, standardised

__all__ = ["AnswerRows", "AnswerScoring", "GradedAnswers", "logits_of"]

_STEPS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class GradedAnswers:
    """Answers to learn from. All ``[answers]``."""

    prompts: tuple[str, ...] = field(repr=False)
    answers: tuple[str, ...] = field(repr=False)
    arms: tuple[str, ...]
    labels: NDArray[np.float64]
    """In [0, 1]."""

    def __post_init__(self) -> None:
        sizes = {len(self.prompts), len(self.answers), len(self.arms), len(self.labels)}
        if len(sizes) != 1 or not self.prompts:
            raise ConfigError("prompts, answers, arms and labels must be as many, and at least one")
        if not np.all((self.labels >= 0.0) & (self.labels <= 1.0)):
            raise ConfigError("labels must be numbers in [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRows:
    """Answers as a learner reads them, made once however often it is fitted."""

    starts: Integers
    """Where the places of each answer begin, and the end, ``[answers + 1]``."""
    places: Integers
    """``[words]``."""
    counts: Floats
    """``[words]``."""
    looks: Floats
    """``[answers, features]``."""
    bits: int

    @classmethod
    def of(cls, prompts: Sequence[str], answers: Sequence[str], *, bits: int) -> "AnswerRows":
        """Hash the words and look at the surfaces."""
        pairs = list(zip(prompts, answers, strict=True))
        rows = [hashed_pair(prompt, answer, bits=bits) for prompt, answer in pairs]
        return cls(
            starts=np.cumsum([0, *(len(places) for places, _ in rows)]),
            places=np.concatenate([places for places, _ in rows]).astype(np.int32),
            counts=np.concatenate([counts for _, counts in rows]).astype(np.float32),
            looks=np.array([answer_features(*pair, cut_off=False) for pair in pairs]),
            bits=bits,
        )

    def take(self, used: Integers) -> "AnswerRows":
        """Some of the answers: places, or a mask."""
        rows = np.arange(len(self.looks))[used]
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        words = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], sizes)
        return AnswerRows(
            starts=starts,
            places=self.places[words],
            counts=self.counts[words],
            looks=self.looks[rows],
            bits=self.bits,
        )

    @property
    def idf(self) -> Floats:
        """How rare the words of each place are, ``[places]``."""
        seen = np.bincount(self.places, minlength=1 << self.bits)
        return np.asarray(1.0 + np.log((1.0 + len(self.looks)) / (1.0 + seen)))

    def words(self, idf: Floats) -> Any:
        """TF-IDF as a sparse matrix ``[answers, places]``."""
        from scipy.sparse import csr_matrix

        values = (1.0 + np.log(self.counts)) * idf[self.places]
        answer = np.repeat(np.arange(len(self.looks)), np.diff(self.starts))
        text = 2 * answer + (self.places >= len(idf) // 2)  # its question, and itself
        squares = np.bincount(text, weights=values**2, minlength=2 * len(self.looks))
        values /= np.sqrt(np.maximum(squares, 1e-30))[text]
        return csr_matrix((values, self.places, self.starts), shape=(len(self.looks), len(idf)))


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerScoring:
    """Settings of the learning."""

    penalty: float = 1.0
    """On the squares of the weights, above 0: more for fewer labels."""
    surface: float = 0.2
    """How much the features of the surface count beside words, above 0."""
    bits: int = 15
    """2 to this power is how many places words fall into, from 8 to 22."""
    folds: int = 5
    """Parts of the prompts that are held out in turn for the calibration, at least 2."""
    least: int = 100
    """An arm with fewer labels shares its calibration with the others."""
    own_least: int = 1_000
    """An arm with fewer labels shares its weights with the others."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.penalty > 0.0 and self.surface > 0.0 and 8 <= self.bits <= 22):
            raise ConfigError("penalty and surface must be above 0, and bits lie from 8 to 22")
        if self.folds < 2:
            raise ConfigError(f"folds must be at least 2; it is {self.folds}")

    def fit(self, graded: GradedAnswers) -> LearnedScorer:
        """Learn the weights, and on prompts held out what their logits mean.

        Raises:
            ConfigError: There are fewer prompts than folds, or all labels are the same.
            MissingExtra: scipy, which solves it, is not installed.
        """
        if len(graded.labels) > 1 and np.ptp(graded.labels) == 0.0:
            raise ConfigError(
                f"all {len(graded.labels)} labels are {graded.labels[0]:g}, which tells nothing of "
                "what makes an answer right: add answers that are better, or worse"
            )
        rows = AnswerRows.of(graded.prompts, graded.answers, bits=self.bits)
        return self.fit_rows(rows, graded)

    def fit_rows(self, rows: AnswerRows, graded: GradedAnswers) -> LearnedScorer:
        """The same, of answers that were read before."""
        names = np.array(graded.arms)
        counts = {arm: int(np.sum(names == arm)) for arm in dict.fromkeys(graded.arms)}
        logits = self.held_out_logits(rows, graded)
        return LearnedScorer(
            weights=self.weights(rows, names, graded.labels),
            arm_to_weights=self._own_weights(rows, names, graded.labels),
            pooled=Platt.fit(logits, graded.labels),
            arm_to_platt={
                arm: Platt.fit(logits[names == arm], graded.labels[names == arm])
                for arm, count in counts.items()
                if count >= self.least
            },
        )

    def held_out_logits(self, rows: AnswerRows, graded: GradedAnswers) -> NDArray[np.float64]:
        """What weights say of answers whose prompts they were not fitted on, ``[answers]``."""
        prompts, prompt_of = np.unique(graded.prompts, return_inverse=True)
        if len(prompts) < self.folds:
            raise ConfigError(f"{len(prompts)} prompts cannot make {self.folds} folds: add some")
        rng = np.random.default_rng(self.seed)
        fold_of = (rng.permutation(len(prompts)) % self.folds)[prompt_of]
        names = np.array(graded.arms)
        logits = np.zeros(len(names))
        for fold in range(self.folds):
            held = fold_of == fold
            kept = rows.take(~held), names[~held], graded.labels[~held]
            own = self._own_weights(*kept)
            for arm, weights in own.items():
                mine = held & (names == arm)
                logits[mine] = logits_of(weights, rows.take(mine), names[mine])
            rest = held & ~np.isin(names, list(own))
            if rest.any():
                logits[rest] = logits_of(self.weights(*kept), rows.take(rest), names[rest])
        return logits

    def _own_weights(
        self, rows: AnswerRows, names: Integers, labels: NDArray[np.float64]
    ) -> dict[str, AnswerWeights]:
        """Weights of the arms with labels enough, where there are several arms."""
        arms, counts = np.unique(names, return_counts=True)
        masks = {str(arm): names == arm for arm in arms[counts >= self.own_least]}
        if len(arms) == 1:
            return {}
        return {
            arm: self.weights(rows.take(mask), names[mask], labels[mask])
            for arm, mask in masks.items()
        }

    def weights(
        self, rows: AnswerRows, arms: Integers, labels: NDArray[np.float64]
    ) -> AnswerWeights:
        """The likeliest weights, given the penalty."""
        names = tuple(dict.fromkeys(map(str, arms)))
        spread = rows.looks.std(axis=0)
        spread = np.where(spread > 1e-6, spread, np.inf)
        idf, center = rows.idf, rows.looks.mean(axis=0)
        looks = self.surface * standardised(rows.looks, center, spread)
        own = (arms[:, None] == np.array(names)).astype(np.float64)
        found, offset = _likeliest(rows.words(idf), np.hstack([looks, own]), labels, self.penalty)
        words, surface, offsets = np.split(found, [len(idf), len(idf) + len(center)])
        return AnswerWeights(
            bits=self.bits,
            idf=idf.astype(np.float32),
            words=words.astype(np.float32),
            center=center.astype(np.float32),
            spread=spread.astype(np.float32),
            surface=(self.surface * surface).astype(np.float32),
            offset=offset,
            arm_to_offset=dict(zip(names, offsets.tolist(), strict=True)),
        )


def logits_of(
    weights: AnswerWeights, rows: AnswerRows, arms: Sequence[str] | Integers
) -> NDArray[np.float64]:
    """What weights say of many answers at once, ``[answers]``."""
    looks = standardised(rows.looks, weights.center, weights.spread)
    own = [weights.arm_to_offset.get(arm, 0.0) for arm in arms]
    found = rows.words(weights.idf) @ weights.words + looks @ weights.surface
    return np.asarray(found + weights.offset + np.array(own), dtype=np.float64)


def _likeliest(
    words: Any, rest: Floats, labels: Floats, penalty: float
) -> tuple[NDArray[np.float64], float]:
    """Weights of all columns, ``[places + columns]``, and the offset, which is not penalised."""
    try:
        from scipy.optimize import minimize
        from scipy.sparse import csr_matrix, hstack
    except ImportError as error:
        raise MissingExtra("to fit a scorer", extra="ranking") from error
    matrix = hstack([words, csr_matrix(rest)]).tocsr()
    loss = partial(_loss, matrix=matrix, transposed=matrix.T.tocsr(), labels=labels)
    start = np.zeros(matrix.shape[1] + 1)
    found = minimize(
        partial(loss, penalty=penalty),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "ftol": 1e-5},
    ).x
    return np.asarray(found[:-1]), float(found[-1])


def _loss(
    weights: Floats, *, matrix: Any, transposed: Any, labels: Floats, penalty: float
) -> tuple[float, Floats]:
    """Penalised cross-entropy and its slope."""
    logits = matrix @ weights[:-1] + weights[-1]
    entropy = np.sum(np.logaddexp(0.0, logits) - labels * logits)
    wrong = 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0))) - labels
    slope = np.append(transposed @ wrong + penalty * weights[:-1], wrong.sum())
    return float(entropy + 0.5 * penalty * weights[:-1] @ weights[:-1]), slope

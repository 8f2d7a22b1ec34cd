"""The default scorer of cascades: a logistic regression on words and looks, learned from labels.

    logit = offset_arm + sum over words w of x_w * b_w + sum over features f of z_f * c_f
    score = calibration of that arm (logit)

x are the hashed TF-IDF words of question and answer, z the standardised features of how the answer
looks. No model is run: a score takes part of a millisecond and costs nothing. `fitting.py` learns
the numbers.

After the scoring function of Chen, Zaharia and Zou, FrugalGPT (2023), arXiv 2305.05176, which is a
DistilBERT there (`answer_classifier.py` has that); Platt's calibration is in `calibration.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Floats, Integers
from pickllm.errors import StateConflict
from pickllm.plain import from_plain, to_plain
from pickllm.scoring.answer_features import answer_features
from pickllm.scoring.answer_words import hashed_pair
from pickllm.scoring.calibration import Platt
from pickllm.scoring.rules import TextScorer
from pickllm.scoring.signals import ReplySignals
from pickllm.types import Reply, Request

__all__ = [
    "AnswerWeights",
    "LearnedScorer",
    "load_scorer",
    "save_scorer",
    "standardised",
    "weighed",
]

_FORMAT = 1
_FAR = 4.0
"""Standardised features end here: one odd answer must not decide alone."""
_CUT_OFF = ReplySignals(empty=None, refused=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerWeights:
    """What was learnt: a number for each place, feature and arm."""

    bits: int
    idf: NDArray[np.float32]
    """``[places]``."""
    words: NDArray[np.float32]
    """``[places]``."""
    center: NDArray[np.float32]
    """Mean of each feature of the surface, ``[features]``."""
    spread: NDArray[np.float32]
    """Its standard deviation, ``[features]``; infinite for one that never differed."""
    surface: NDArray[np.float32]
    """``[features]``."""
    offset: float
    arm_to_offset: Mapping[str, float]

    def logit(self, prompt: str, answer: str, arm: str, *, cut_off: bool = False) -> float:
        """How likely the label is 1, as a logit."""
        places, counts = hashed_pair(prompt, answer, bits=self.bits)
        values = weighed(places, counts, self.idf)
        looks = answer_features(prompt, answer, cut_off=cut_off)
        found = values @ self.words[places]
        found += standardised(looks, self.center, self.spread) @ self.surface
        return float(found) + self.offset + self.arm_to_offset.get(arm, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedScorer(TextScorer):
    """Scores answers by their words and looks. `AnswerScoring` learns one from labels."""

    weights: AnswerWeights
    pooled: Platt
    """For arms without a calibration of their own."""
    arm_to_platt: Mapping[str, Platt]

    @property
    def name(self) -> str:
        """Name and arms in one line."""
        return f"learned_scorer(arms={', '.join(self.weights.arm_to_offset)})"

    def judged(self, request: Request, reply: Reply) -> float:
        """Probability that the label is 1, in [0, 1]."""
        cut_off = _CUT_OFF.judged(request, reply) is not None
        logit = self.weights.logit(request.text, reply.text, reply.arm, cut_off=cut_off)
        return self.platt(reply.arm)(logit)

    def platt(self, arm: str) -> Platt:
        """What the logits of an arm's answers mean."""
        return self.arm_to_platt.get(arm, self.pooled)

    def scores(
        self, prompts: Sequence[str], answers: Sequence[str], arms: Sequence[str]
    ) -> NDArray[np.float64]:
        """The scores of many answers, ``[answers]``."""
        return np.array(
            [
                self.platt(arm)(self.weights.logit(prompt, answer, arm))
                for prompt, answer, arm in zip(prompts, answers, arms, strict=True)
            ]
        )


def save_scorer(file: str | Path, scorer: LearnedScorer) -> None:
    """Write what was learnt to a file, as versioned JSON."""
    document = {"pickllm_scorer": _FORMAT, "scorer": to_plain(scorer)}
    Path(file).write_text(json.dumps(document), encoding="utf-8")


def load_scorer(file: str | Path) -> LearnedScorer:
    """Read it back.

    Raises:
        StateConflict: There is none, it is damaged, or it is of another version.
    """
    try:
        document = json.loads(Path(file).read_text(encoding="utf-8"))
        if document["pickllm_scorer"] != _FORMAT:
            raise StateConflict(f"{file} holds a scorer of another version; fit it anew")
        return from_plain(LearnedScorer, document["scorer"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateConflict(f"{file} holds no learned scorer: {type(error).__name__}") from error


def weighed(places: Integers, counts: Floats, idf: Floats) -> Floats:
    """TF-IDF of counted words, the lower half of the places scaled to length one, and the upper."""
    values = (1.0 + np.log(counts)) * idf[places]
    split = int(np.searchsorted(places, len(idf) // 2))
    parts = (values[:split], values[split:])
    return np.concatenate([part / max(float(np.sqrt(part @ part)), 1e-30) for part in parts])


def standardised(looks: Floats, center: Floats, spread: Floats) -> Floats:
    """Features of the surface, ``[…, features]``, in standard deviations from what is usual."""
    return np.asarray(np.clip((looks - center) / spread, -_FAR, _FAR))

"""How good an answer is: a number in [0, 1], or None when nobody can tell.

rules.py         a function of yours; the base of all that look at an answer's text
matching.py      beside a reference: exactly, nearly, in its words, in meaning
formats.py       a pattern, JSON, JSON of a schema
signals.py       cut off, refused, empty; copied, regenerated, not parsed
judge.py         a model grades by a rubric
reward_model.py  a reward model of `transformers` gives a logit
agreement.py     other models give the same answer, or another
combinations.py  the first that can tell; a weighted mean
calibration.py   Platt and isotonic, for each arm: scores that mean probabilities
reliability.py   whether they do: calibration error and Brier score
asking.py        models that scorers ask, and what that costs
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily
from pickllm.scoring.reliability import Reliability, reliability  # named as its module: not lazy

if TYPE_CHECKING:
    from pickllm.scoring.agreement import Agreement, agreements
    from pickllm.scoring.asking import Ask, Expenses, Spent
    from pickllm.scoring.calibration import ByArm, Calibrated, Calibration, Isotonic, Platt
    from pickllm.scoring.combinations import FirstOf, Weighted
    from pickllm.scoring.formats import JSONMatch, RegexMatch
    from pickllm.scoring.judge import CORRECTNESS, QUALITY, LLMJudge, Rubric
    from pickllm.scoring.matching import (
        EmbeddingMatch,
        ReferenceMatch,
        exact_match,
        fuzzy_match,
        word_match,
    )
    from pickllm.scoring.reward_model import OPEN_ASSISTANT, RewardModel
    from pickllm.scoring.rules import FunctionScorer, Grade, ScorerLike, TextScorer, scorer_of
    from pickllm.scoring.signals import ReplySignals, is_refusal, signal_score
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "agreement": "Agreement agreements",
            "asking": "Ask Expenses Spent",
            "calibration": "ByArm Calibrated Calibration Isotonic Platt",
            "combinations": "FirstOf Weighted",
            "formats": "JSONMatch RegexMatch",
            "judge": "CORRECTNESS QUALITY LLMJudge Rubric",
            "matching": "EmbeddingMatch ReferenceMatch exact_match fuzzy_match word_match",
            "reward_model": "OPEN_ASSISTANT RewardModel",
            "rules": "FunctionScorer Grade ScorerLike TextScorer scorer_of",
            "signals": "ReplySignals is_refusal signal_score",
        },
    )

__all__ = [
    "CORRECTNESS",
    "OPEN_ASSISTANT",
    "QUALITY",
    "Agreement",
    "Ask",
    "ByArm",
    "Calibrated",
    "Calibration",
    "EmbeddingMatch",
    "Expenses",
    "FirstOf",
    "FunctionScorer",
    "Grade",
    "Isotonic",
    "JSONMatch",
    "LLMJudge",
    "Platt",
    "ReferenceMatch",
    "RegexMatch",
    "Reliability",
    "ReplySignals",
    "RewardModel",
    "Rubric",
    "ScorerLike",
    "Spent",
    "TextScorer",
    "Weighted",
    "agreements",
    "exact_match",
    "fuzzy_match",
    "is_refusal",
    "reliability",
    "scorer_of",
    "signal_score",
    "word_match",
]

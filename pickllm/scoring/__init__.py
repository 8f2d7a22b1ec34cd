"""How good an answer is: a number in [0, 1], or None when nobody can tell.

rules.py         a function of yours; the base of all that look at an answer's text
matching.py      beside a reference: exactly, nearly, in its words, in meaning
formats.py       a pattern, JSON, JSON of a schema
signals.py       cut off, refused, empty; copied, regenerated, not parsed
judge.py         a model grades by a rubric
reward_model.py  a reward model of `transformers` gives a logit
agreement.py     other models give the same answer, or another
self_consistency.py  the same model gives it again
p_true.py        a model says whether it is right
log_probabilities.py  how sure the arm was of its tokens
learned.py       words and looks of an answer, learnt from labels; fitting.py learns them
answer_classifier.py  a fine-tuned encoder reads question and answer
final_answer.py  what an answer comes to, and whether two come to the same
combinations.py  the first that can tell; a weighted mean
calibration.py   Platt and isotonic, for each arm: scores that mean probabilities
reliability.py   whether they do: calibration error and Brier score
asking.py        models that scorers ask, and what that costs
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily
from pickllm.scoring.final_answer import final_answer, same_answer  # as its module: not lazy
from pickllm.scoring.reliability import Reliability, reliability  # as above

if TYPE_CHECKING:
    from pickllm.scoring.agreement import Agreement, agreements
    from pickllm.scoring.answer_classifier import AnswerClassifier
    from pickllm.scoring.asking import Ask, Expenses, Spent
    from pickllm.scoring.calibration import ByArm, Calibrated, Calibration, Isotonic, Platt
    from pickllm.scoring.combinations import FirstOf, Weighted
    from pickllm.scoring.fitting import AnswerScoring, GradedAnswers
    from pickllm.scoring.formats import JSONMatch, RegexMatch
    from pickllm.scoring.judge import CORRECTNESS, QUALITY, LLMJudge, Rubric
    from pickllm.scoring.learned import LearnedScorer, load_scorer, save_scorer
    from pickllm.scoring.log_probabilities import (
        FittedLogProbabilities,
        LogProbabilities,
        fit_log_probabilities,
    )
    from pickllm.scoring.matching import (
        EmbeddingMatch,
        ReferenceMatch,
        exact_match,
        fuzzy_match,
        word_match,
    )
    from pickllm.scoring.p_true import PTrue
    from pickllm.scoring.reward_model import OPEN_ASSISTANT, RewardModel
    from pickllm.scoring.rules import FunctionScorer, Grade, ScorerLike, TextScorer, scorer_of
    from pickllm.scoring.self_consistency import SelfConsistency
    from pickllm.scoring.signals import ReplySignals, is_refusal, signal_score
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "agreement": "Agreement agreements",
            "answer_classifier": "AnswerClassifier",
            "asking": "Ask Expenses Spent",
            "calibration": "ByArm Calibrated Calibration Isotonic Platt",
            "combinations": "FirstOf Weighted",
            "fitting": "AnswerScoring GradedAnswers",
            "formats": "JSONMatch RegexMatch",
            "judge": "CORRECTNESS QUALITY LLMJudge Rubric",
            "learned": "LearnedScorer load_scorer save_scorer",
            "log_probabilities": "FittedLogProbabilities LogProbabilities fit_log_probabilities",
            "matching": "EmbeddingMatch ReferenceMatch exact_match fuzzy_match word_match",
            "p_true": "PTrue",
            "reward_model": "OPEN_ASSISTANT RewardModel",
            "rules": "FunctionScorer Grade ScorerLike TextScorer scorer_of",
            "self_consistency": "SelfConsistency",
            "signals": "ReplySignals is_refusal signal_score",
        },
    )

__all__ = [
    "CORRECTNESS",
    "OPEN_ASSISTANT",
    "QUALITY",
    "Agreement",
    "AnswerClassifier",
    "AnswerScoring",
    "Ask",
    "ByArm",
    "Calibrated",
    "Calibration",
    "EmbeddingMatch",
    "Expenses",
    "FirstOf",
    "FittedLogProbabilities",
    "FunctionScorer",
    "Grade",
    "GradedAnswers",
    "Isotonic",
    "JSONMatch",
    "LLMJudge",
    "LearnedScorer",
    "LogProbabilities",
    "PTrue",
    "Platt",
    "ReferenceMatch",
    "RegexMatch",
    "Reliability",
    "ReplySignals",
    "RewardModel",
    "Rubric",
    "ScorerLike",
    "SelfConsistency",
    "Spent",
    "TextScorer",
    "Weighted",
    "agreements",
    "exact_match",
    "final_answer",
    "fit_log_probabilities",
    "fuzzy_match",
    "is_refusal",
    "load_scorer",
    "reliability",
    "same_answer",
    "save_scorer",
    "scorer_of",
    "signal_score",
    "word_match",
]

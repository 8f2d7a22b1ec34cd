"""Cascades: ask a cheap arm, look at its answer, and ask a better one only where it pays.

thresholds.py     show the first answer that scores well enough; the cascade of FrugalGPT, mended
predictive.py     weigh at each step what another answer would add against what it costs
quality_model.py  what it weighs by: qualities, scores, costs and agreement as one Gaussian
fitted.py         from recorded answers to a cascade that may be run; begin here
scored.py         recorded answers with scores, and what a cascade would have made of them
sweep.py          every order of up to three arms, every threshold
selection.py      the cheapest that is confirmed by betting, on rows not searched
online.py         thresholds fitted anew on what came in of late
saved.py          a cascade in a folder, and back
"""

from pickllm.cascading.fitted import (
    AnswerTable,
    CascadeFitting,
    FittedCascade,
    agreement_with,
    pairwise_agreement,
)
from pickllm.cascading.online import JudgedRequest, Recent, judged_of, recent_of, refitted
from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.quality_model import QualityModel, fit_quality_model
from pickllm.cascading.saved import load_cascade, save_cascade
from pickllm.cascading.scored import Plan, Played, ScoredTable
from pickllm.cascading.selection import CascadeSelection, Confirmed, Recorded, parts_of
from pickllm.cascading.sweep import Sweep, best_within, cheapest_reaching, frontier
from pickllm.cascading.thresholds import HOLD_BACK_CHARS, ThresholdCascade

__all__ = [
    "HOLD_BACK_CHARS",
    "AnswerTable",
    "CascadeFitting",
    "CascadeSelection",
    "Confirmed",
    "FittedCascade",
    "JudgedRequest",
    "Plan",
    "Played",
    "PredictiveCascade",
    "QualityModel",
    "Recent",
    "Recorded",
    "ScoredTable",
    "Sweep",
    "ThresholdCascade",
    "agreement_with",
    "best_within",
    "cheapest_reaching",
    "fit_quality_model",
    "frontier",
    "judged_of",
    "load_cascade",
    "pairwise_agreement",
    "parts_of",
    "recent_of",
    "refitted",
    "save_cascade",
]

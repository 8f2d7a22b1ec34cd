"""Rankers: who answers this prompt best, learnt from preferences before anything is paid.

contract.py         what every ranker is: fit(table, prompts) gives strengths [prompts, arms]

similarity.py       similarity-weighted Bradley-Terry, RouteLLM's and ours
  bradley_terry.py  ratings from wins; tiers.py groups arms; projection.py cuts vectors
  battle_sums.py    battles as cells, summed exactly; multipole.py by clusters
factorisation.py    matrix factorisation, RouteLLM's and ours
classifier.py       an encoder with three labels; causal.py a language model with five score tokens
  fine_tuning.py    the training that both share; tokens.py what goes in and comes out
  exported.py       a classifier served without torch
regression.py       nearest neighbours and a ridge on vectors
words.py            a ridge on hashed words, no vector needed
boosting.py         trees on what a prompt looks like; surface.py says what that is
stack.py            several as one, weighted out of fold

routing.py          rankers as policies of a router: a threshold, a utility, a beginning
  threshold.py      RouteLLM's rule; following.py keeps its share as traffic changes
  features.py       strengths as features
selection.py        which settings are best on battles that were held out
calibration.py      thresholds for a share or a gain, drift, probabilities
candidates.py       rankers by name, with settings worth trying
comparison.py       routers on graded answers, beside what is not kind: figures and a page
saved.py            a router on disk: ranker, embedder, threshold
state.py            what was learnt, on disk: mapped, versioned, checked
"""

from pickllm.ranking.boosting import Boosting
from pickllm.ranking.calibration import (
    ShareWatch,
    fit_isotonic,
    fit_platt,
    threshold_for_gain,
    threshold_for_share,
)
from pickllm.ranking.candidates import KINDS, candidates, try_all
from pickllm.ranking.causal import CausalClassifier, CausalSettings
from pickllm.ranking.classifier import Classifier, ClassifierSettings
from pickllm.ranking.contract import (
    FittedRanker,
    Prompts,
    Ranker,
    embedded_prompts,
    pair_scores,
    prompts_of,
)
from pickllm.ranking.exported import OnnxClassifier, export_classifier
from pickllm.ranking.factorisation import Factorisation, published_factorisation
from pickllm.ranking.features import RankedFeatures
from pickllm.ranking.following import FollowingThreshold
from pickllm.ranking.regression import Neighbours, Ridge
from pickllm.ranking.routing import RankedContextual, ranked, ranked_contextual, routellm
from pickllm.ranking.saved import RouterCard, SavedRouter, load_router, save_router
from pickllm.ranking.selection import best_of, grid
from pickllm.ranking.similarity import (
    SimilarityBradleyTerry,
    load_similarity,
    routellm_similarity,
)
from pickllm.ranking.stack import Stack
from pickllm.ranking.state import load_fitted, save_fitted
from pickllm.ranking.threshold import WinRateThreshold, win_rates
from pickllm.ranking.words import WordRidge

__all__ = [
    "KINDS",
    "Boosting",
    "CausalClassifier",
    "CausalSettings",
    "Classifier",
    "ClassifierSettings",
    "Factorisation",
    "FittedRanker",
    "FollowingThreshold",
    "Neighbours",
    "OnnxClassifier",
    "Prompts",
    "RankedContextual",
    "RankedFeatures",
    "Ranker",
    "Ridge",
    "RouterCard",
    "SavedRouter",
    "ShareWatch",
    "SimilarityBradleyTerry",
    "Stack",
    "WinRateThreshold",
    "WordRidge",
    "best_of",
    "candidates",
    "embedded_prompts",
    "export_classifier",
    "fit_isotonic",
    "fit_platt",
    "grid",
    "load_fitted",
    "load_router",
    "load_similarity",
    "pair_scores",
    "prompts_of",
    "published_factorisation",
    "ranked",
    "ranked_contextual",
    "routellm",
    "routellm_similarity",
    "save_fitted",
    "save_router",
    "threshold_for_gain",
    "threshold_for_share",
    "try_all",
    "win_rates",
]

"""Measuring: what a policy makes of a table of outcomes, beside chance and hindsight.

table.py      OutcomeTable: what every arm did on every prompt
replay.py     a policy over a table, through the very router that serves
sessions.py   many replays of one policy, with intervals
baselines.py  each single arm, random, and the per-prompt oracle
metrics.py    two models: the curve of a router, PGR, APGR, CPT, AUC
frontier.py   any number of models: hulls over cost, AIQ, RouterArena's score
intervals.py  how sure a metric is, alone and against another router
routellm_metrics.py  the two-model metrics as RouteLLM's evaluator counts them
plots.py      the paper's figures as PNG
page.py       plots and tables on one self-contained HTML page
"""

from pickllm.evaluation.baselines import always, best_arm, oracle, random_mixture
from pickllm.evaluation.replay import Session, replay
from pickllm.evaluation.sessions import (
    Interval,
    SessionsSummary,
    mean_interval,
    replay_many,
    sessions_summary,
)
from pickllm.evaluation.table import OutcomeTable, Summary

__all__ = [
    "Interval",
    "OutcomeTable",
    "Session",
    "SessionsSummary",
    "Summary",
    "always",
    "best_arm",
    "mean_interval",
    "oracle",
    "random_mixture",
    "replay",
    "replay_many",
    "sessions_summary",
]

"""Measuring: what a policy makes of a table of outcomes, beside chance and hindsight.

table.py          OutcomeTable: what every arm did on every prompt
table_files.py    such tables in CSV and Parquet
replay.py         a policy over a table, through the very router that serves
sessions.py       many replays of one policy, with intervals
baselines.py      each single arm, random, and the per-prompt oracle
journal.py        decisions of all workers on a store
log.py            decisions of a live router as JSON lines
logged.py         a log as arrays: probabilities, arms drawn, rewards
outcome_model.py  what each arm would have earned, predicted and cross-fitted
evidence.py       a log beside another policy's probabilities
off_policy.py     what another policy would have earned: SNIPS, doubly robust, intervals
what_if.py        the same for policies that learn on the way
metrics.py        two models: the curve of a router, PGR, APGR, CPT, AUC
routellm_metrics.py  the same as RouteLLM's evaluator counts them
frontier.py       any number of models: hulls over cost, AIQ, RouterArena's score
intervals.py      how sure a metric is, alone and against another router
comparison.py     policies beside single arms, random and the live one, as rows
plots.py          the paper's figures as PNG
log_figures.py    a log's figures as PNG
log_report.py     a log on one page
drawing.py        what all figures share
page.py           plots and tables on one self-contained HTML page
"""

from pickllm.evaluation.baselines import always, best_arm, oracle, random_mixture
from pickllm.evaluation.evidence import Evidence
from pickllm.evaluation.journal import read_journal, read_ledger
from pickllm.evaluation.log import LogEntry, entry_of, read_log, write_log
from pickllm.evaluation.logged import LoggedDecisions, logged_from_table
from pickllm.evaluation.off_policy import Estimate, estimate
from pickllm.evaluation.outcome_model import cross_fitted
from pickllm.evaluation.replay import Session, replay
from pickllm.evaluation.sessions import (
    Interval,
    SessionsSummary,
    mean_interval,
    replay_many,
    sessions_summary,
)
from pickllm.evaluation.table import OutcomeTable, Summary
from pickllm.evaluation.table_files import read_table
from pickllm.evaluation.what_if import WhatIf, what_if, what_if_fixed

__all__ = [
    "Estimate",
    "Evidence",
    "Interval",
    "LogEntry",
    "LoggedDecisions",
    "OutcomeTable",
    "Session",
    "SessionsSummary",
    "Summary",
    "WhatIf",
    "always",
    "best_arm",
    "cross_fitted",
    "entry_of",
    "estimate",
    "logged_from_table",
    "mean_interval",
    "oracle",
    "random_mixture",
    "read_journal",
    "read_ledger",
    "read_log",
    "read_table",
    "replay",
    "replay_many",
    "sessions_summary",
    "what_if",
    "what_if_fixed",
    "write_log",
]

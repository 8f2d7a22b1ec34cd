"""Measuring: what a policy makes of a table of outcomes, beside chance and hindsight.

table.py      OutcomeTable: what every arm did on every prompt
replay.py     a policy over a table, through the very router that serves
baselines.py  each single arm, random, and the per-prompt oracle
plots.py      the paper's figures as PNG
page.py       plots and tables on one self-contained HTML page
"""

from pickllm.evaluation.baselines import always, oracle, random_mixture
from pickllm.evaluation.replay import Session, replay
from pickllm.evaluation.table import OutcomeTable, Summary

__all__ = [
    "OutcomeTable",
    "Session",
    "Summary",
    "always",
    "oracle",
    "random_mixture",
    "replay",
]

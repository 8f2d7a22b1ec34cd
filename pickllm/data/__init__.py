"""Readers of public tables, from the user's own copy, and tables to learn from.

hc3.py          Human ChatGPT Comparison Corpus: questions with answers of people and of ChatGPT
preferences.py  PreferenceTable: who answered better, from outcomes, votes or verdicts
arena.py        readers of Chatbot Arena exports and of an LLM judge's verdicts
traffic.py      battles of live traffic: two arms' answers to one prompt, and what was said of them
judging.py      battles bought from a judge: pairs of answers, each asked in both orders
duplicates.py   near-duplicates, leaks, and folds that keep them together
"""

from pickllm.data.arena import read_arena, read_judgements, write_judgements
from pickllm.data.duplicates import group_folds, leaked, near_duplicate_groups
from pickllm.data.hc3 import HC3_SUBSETS, HC3Row, read_hc3
from pickllm.data.judging import AnswerPair, PairJudge, judged_table
from pickllm.data.preferences import (
    MARK,
    Battle,
    PreferenceTable,
    from_grades,
    from_outcomes,
    join,
    preference_table,
)
from pickllm.data.traffic import TrafficBattles, traffic_battles

__all__ = [
    "HC3_SUBSETS",
    "MARK",
    "AnswerPair",
    "Battle",
    "HC3Row",
    "PairJudge",
    "PreferenceTable",
    "TrafficBattles",
    "from_grades",
    "from_outcomes",
    "group_folds",
    "join",
    "judged_table",
    "leaked",
    "near_duplicate_groups",
    "preference_table",
    "read_arena",
    "read_hc3",
    "read_judgements",
    "traffic_battles",
    "write_judgements",
]

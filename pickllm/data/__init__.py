"""Readers of public tables, from the user's own copy, and tables to learn from.

hc3.py          Human ChatGPT Comparison Corpus: questions with answers of people and of ChatGPT
preferences.py  PreferenceTable: who answered better, from outcomes, votes or verdicts
arena.py        readers of Chatbot Arena exports and of an LLM judge's verdicts
duplicates.py   near-duplicates, leaks, and folds that keep them together
"""

from pickllm.data.arena import read_arena, read_judgements
from pickllm.data.duplicates import group_folds, leaked, near_duplicate_groups
from pickllm.data.hc3 import HC3_SUBSETS, HC3Row, read_hc3
from pickllm.data.preferences import (
    MARK,
    Battle,
    PreferenceTable,
    from_grades,
    from_outcomes,
    join,
    preference_table,
)

__all__ = [
    "HC3_SUBSETS",
    "MARK",
    "Battle",
    "HC3Row",
    "PreferenceTable",
    "from_grades",
    "from_outcomes",
    "group_folds",
    "join",
    "leaked",
    "near_duplicate_groups",
    "preference_table",
    "read_arena",
    "read_hc3",
    "read_judgements",
]

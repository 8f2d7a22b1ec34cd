"""Readers of public tables, from the user's own copy.

hc3.py    Human ChatGPT Comparison Corpus: questions with answers of people and of ChatGPT
"""

from pickllm.data.hc3 import HC3_SUBSETS, HC3Row, read_hc3

__all__ = ["HC3_SUBSETS", "HC3Row", "read_hc3"]

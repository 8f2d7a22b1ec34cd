"""Answers given before, for requests that ask the same, and never for those that only look alike.

answers.py      AnswerCache: what a user meets
partition.py    what keeps answers apart: tenant, system, tools, sampling, earlier turns
exact.py        when two texts are the same
reading.py      a question without how it is put;   words.py  the tables behind it
gate.py         whether two questions can ask the same
semantic.py     the nearest questions of a partition
acceptance.py   when a near answer will do, learnt to a stated bound
verifying.py    which near answers may serve, which are asked anew, and what came of it
agreeing.py     whether two answers say the same
entry.py        an answer as bytes: JSON, sealed
shelf.py        where answers stand: sqlite.py (memory, too), redis.py
"""

from pickllm.cache.acceptance import Acceptance
from pickllm.cache.answers import AnswerCache
from pickllm.cache.finding import Finding
from pickllm.cache.rows import Placed, Row
from pickllm.cache.shelf import Shelf, ShelfLike, shelf_of

__all__ = [
    "Acceptance",
    "AnswerCache",
    "Finding",
    "Placed",
    "Row",
    "Shelf",
    "ShelfLike",
    "shelf_of",
]

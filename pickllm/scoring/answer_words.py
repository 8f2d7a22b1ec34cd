"""Words of a question and of its answer as hashed places: what a linear scorer adds up.

Words, pairs and (of the answer) triples of neighbouring words, all lower case, numbers by their
number of digits alone; question and answer fall into places of their own. Weights are those of
TF-IDF, ``(1 + ln count) * idf``, and each of the two texts has length one.

>>> places, counts = hashed_pair("How many?", "It is 12.", bits=8)
>>> len(places), counts.tolist()
(5, [1.0, 1.0, 1.0, 1.0, 1.0])
>>> hashed_pair("How many?", "It is 47.", bits=8)[0].tolist() == places.tolist()
True
"""

import re
from itertools import pairwise
from zlib import crc32

import numpy as np

from pickllm.arrays import Floats, Integers

__all__ = ["hashed_pair"]

_TOKEN = re.compile(r"\d[\d.,]*|[^\W\d]+|[^\w\s]")
_MOST_CHARS = 4_000
_DIGITS = ("0", "00", "000", "0000")


def hashed_pair(question: str, answer: str, *, bits: int) -> tuple[Integers, Floats]:
    """Places of the two texts' words and how often each occurs; the answer's in the upper half.

    Args:
        question: Of a long one, its beginning and its end are read.
        answer: As the question.
        bits: Two to this power is how many places there are.

    """
    half = 1 << (bits - 1)
    asked, said = _tokens(question), _tokens(answer)
    first = _counted([*asked, *map(" ".join, pairwise(asked))], half)
    triples = map(" ".join, zip(said, said[1:], said[2:], strict=False))
    second = _counted([*said, *map(" ".join, pairwise(said)), *triples], half)
    return np.concatenate((first[0], second[0] + half)), np.concatenate((first[1], second[1]))


def _tokens(text: str) -> list[str]:
    short = text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS // 2] + text[-2_000:]
    return [
        _DIGITS[min(len(token), 4) - 1] if token[0].isdigit() else token
        for token in _TOKEN.findall(short.lower())
    ]


def _counted(words: list[str], places: int) -> tuple[Integers, Floats]:
    hashes = [crc32(word.encode(errors="surrogatepass")) for word in words]
    found, counts = np.unique(np.array(hashes, dtype=np.intp) % places, return_counts=True)
    return found, counts.astype(np.float64)

"""How alike an answer and a reference are: exactly, nearly, in their words, or in meaning.

    exact_match    1 where they are the same but for case, spaces and a full stop at the end
    fuzzy_match    2 * LCS / (len(answer) + len(reference)),  LCS the longest common subsequence
    word_match     F1 of the words they share, whatever their order, as SQuAD counts
    EmbeddingMatch cosine of their embeddings, negative ones as 0

`fuzzy_match` is the normalised indel similarity, the number of `rapidfuzz.fuzz.ratio`; the
bit-parallel form of Hyyrö (2004) makes it fast enough in plain Python: a thousand letters
against a thousand take less than a millisecond.

>>> exact_match(" Paris.", "paris"), exact_match("Rome", "paris")
(1.0, 0.0)
>>> round(fuzzy_match("the capital is Paris", "capital: Paris"), 3)
0.765
>>> word_match("Paris, the capital", "capital Paris")
0.8
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pickllm.protocols import Featurizer
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = [
    "EmbeddingMatch",
    "ReferenceMatch",
    "References",
    "Similarity",
    "exact_match",
    "fuzzy_match",
    "word_match",
]

Similarity: TypeAlias = Callable[[str, str], float]
"""How alike two texts are, in [0, 1]."""

References: TypeAlias = (
    Mapping[str, str | Sequence[str]] | Callable[[str], str | Sequence[str] | None]
)
"""From a prompt to its reference, or to several of which any will do; None where there is none."""


def exact_match(answer: str, reference: str) -> float:
    """1 where the two are the same but for case, spaces around and a full stop at the end."""
    return float(_plain(answer) == _plain(reference))


def fuzzy_match(answer: str, reference: str) -> float:
    """Share of letters that the two have in common, in their order; case and spaces aside."""
    one, other = _plain(answer), _plain(reference)
    letters = len(one) + len(other)
    return 2.0 * _common_letters(one, other) / letters if letters else 1.0


def word_match(answer: str, reference: str) -> float:
    """F1 of the words that the two share, case and punctuation aside."""
    one, other = (Counter(re.findall(r"\w+", text.casefold())) for text in (answer, reference))
    words = one.total() + other.total()
    return 2.0 * (one & other).total() / words if words else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceMatch(TextScorer):
    """How well an answer matches the best of its references; silent where there is none."""

    references: References
    similarity: Similarity = exact_match

    def judged(self, request: Request, reply: Reply) -> float | None:
        """The highest similarity to a reference of the prompt."""
        find = self.references
        found = find.get(request.text) if isinstance(find, Mapping) else find(request.text)
        wanted = [found] if isinstance(found, str) else list(found or ())
        return max((self.similarity(reply.text, each) for each in wanted), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingMatch:
    """A similarity: the cosine of two embeddings, with negative ones as 0."""

    featurizer: Featurizer

    def __call__(self, answer: str, reference: str) -> float:
        """In [0, 1]; two texts without any feature are as alike as nothing."""
        one, other = (
            self.featurizer.features(text).astype(np.float64) for text in (answer, reference)
        )
        lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(np.clip(one @ other / lengths, 0.0, 1.0)) if lengths > 0.0 else 0.0


def _common_letters(one: str, other: str) -> int:
    """Length of the longest common subsequence: a bit of ``open_`` falls for each letter of it."""
    letter_to_places: dict[str, int] = {}
    for place, letter in enumerate(one):
        letter_to_places[letter] = letter_to_places.get(letter, 0) | (1 << place)
    all_places = (1 << len(one)) - 1
    open_ = all_places
    for letter in other:
        met = open_ & letter_to_places.get(letter, 0)
        open_ = ((open_ + met) | (open_ - met)) & all_places
    return len(one) - open_.bit_count()


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(".").casefold()

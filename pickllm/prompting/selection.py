"""Example selection: of many worked examples, those that pay for their tokens.

What an example brings to a question hangs on how near it is, how useful it has been, and what
those that are chosen already have brought:

    gain_i = worth_i * similarity(question, question_i)^sharpness
                     * (1 - redundancy * max over chosen j of similarity(i, j))

Chosen is, one after another, the example with the highest gain per token that still fits into the
budget; until nothing fits, ``most`` are chosen, or the next would bring less than ``least_gain`` of
what the first brought. A single example that brings more than all of these takes their place:
greed alone would fill a budget with short ones.

Similarity is the cosine of features, negative ones as 0: of words unless you give an embedding.
``worth`` is 1/2 for all until it is learnt (`Usefulness`).

Sources: Liu et al., What Makes Good In-Context Examples for GPT-3? (2021), arXiv 2101.06804, for
nearness; Chen et al., FrugalGPT (2023), arXiv 2305.05176, "prompt selection"; Khuller, Moss and
Naor, The budgeted maximum coverage problem (1999), for the greedy rule.

>>> best_value(
...     np.array([0.9, 0.8, 0.2]), np.eye(3), [10, 10, 10],
...     budget_tokens=20, most=5, redundancy=0.5, least_gain=0.1,
... )
[0, 1]
>>> shop = Selected(examples=[Example(question="When do you open?", answer="At nine."),
...                           Example(question="Do you take cards?", answer="Yes.")], most=1)
>>> request = Request(text="", turns=(Said(role="user", text="May I pay with cards?", at=0),))
>>> [said.text for said in shop.adapted(request, Arm())]
['Do you take cards?', 'Yes.', 'May I pay with cards?']
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.features import HashedText
from pickllm.numeric import check_counts, check_numbers
from pickllm.prompting.conversation import (
    CountTokens,
    about_tokens,
    question_place,
    text_digest,
    tokens_of,
)
from pickllm.prompting.examples import Example, pairs, with_examples
from pickllm.prompting.usefulness import Usefulness
from pickllm.protocols import Featurizer
from pickllm.types import Arm, Request, Said

__all__ = ["Examples", "Selected", "best_value"]

Examples: TypeAlias = Sequence[Example] | Callable[[str], Sequence[Example]]
"""Examples, or a function that brings those for a question, such as an index of many."""

_SHORTLIST = 100
"""Candidates that are weighed against each other: those with the highest gains alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """An `Adaptation`: puts in the examples that pay, and leaves out marked ones that do not.

    Examples come from ``examples``, and from the conversation itself where its user/assistant
    pairs begin with ``marked``. A function in place of examples is asked with each question; what
    it brings is chosen from in the same way.
    """

    examples: Examples = field(default=(), repr=False)
    marked: str = ""
    """What a user's message begins with that is an example, such as "Example:"; empty is none."""
    budget_tokens: int = 1_000
    """For all examples together, at least 1."""
    most: int = 8
    """Examples, at least 1."""
    sharpness: float = 2.0
    """Above 0: the higher, the more near examples count over short ones."""
    least_similarity: float = 0.1
    """In [0, 1): an example that is less like the question brings nothing."""
    redundancy: float = 0.5
    """In [0, 1]: how much of its gain an example loses that says what a chosen one says."""
    least_gain: float = 0.05
    """In [0, 1): as a share of what the first brought."""
    usefulness: Usefulness = field(default_factory=Usefulness, repr=False)
    featurizer: Featurizer = field(default_factory=lambda: HashedText(dim=512), repr=False)
    count_tokens: CountTokens = field(default=about_tokens, repr=False)
    _given: "_Candidates" = field(init=False, repr=False, compare=False)
    """The examples given, looked at once."""

    def __post_init__(self) -> None:
        if not callable(self.examples) and not self.examples and not self.marked:
            raise ConfigError("give examples to select from, or say how those in a prompt begin")
        check_counts(budget_tokens=self.budget_tokens, most=self.most)
        check_numbers(
            sharpness=self.sharpness,
            least_similarity=self.least_similarity,
            redundancy=self.redundancy,
            least_gain=self.least_gain,
        )
        if self.budget_tokens < 1 or self.most < 1 or not self.sharpness > 0.0:
            raise ConfigError("budget_tokens and most must be at least 1, sharpness above 0")
        if not (0.0 <= self.least_similarity < 1.0 and 0.0 <= self.least_gain < 1.0):
            raise ConfigError("least_similarity and least_gain must lie in [0, 1)")
        if not 0.0 <= self.redundancy <= 1.0:
            raise ConfigError(f"redundancy must lie in [0, 1]; it is {self.redundancy}")
        listed = () if callable(self.examples) else self.examples
        given = tuple(listed) if isinstance(listed, Iterable) else (listed,)
        if not all(isinstance(each, Example) for each in given):
            raise ConfigError(
                "examples are pickllm.prompting.Example(question=…, answer=…), or a function that "
                "brings such"
            )
        object.__setattr__(self, "_given", self._looked_at(given))

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        if callable(self.examples):
            source = getattr(self.examples, "name", type(self.examples).__name__)
        else:
            source = f"{len(self.examples)} {text_digest(*(each.key for each in self.examples))}"
        learnt = text_digest(repr(sorted(self.usefulness.key_to_sum.items())))
        return (
            f"selected({source}, marked={self.marked!r}, tokens={self.budget_tokens}, "
            f"most={self.most}, sharpness={self.sharpness}, similarity={self.least_similarity}, "
            f"redundancy={self.redundancy}, least_gain={self.least_gain}, learnt={learnt})"
        )

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation with the examples that pay, before its last question."""
        turns = request.turns
        place = question_place(turns)
        if place is None:
            return turns
        question = turns[place].text
        found = pairs(turns, marked=self.marked) if self.marked else []
        in_prompt = [Example(question=turns[a].text, answer=turns[b].text) for a, b in found]
        given = self._looked_at(self.examples(question)) if callable(self.examples) else self._given
        candidates = self._looked_at(in_prompt).and_(given) if in_prompt else given
        chosen = self._chosen(question, candidates)
        dropped = {place for i, pair in enumerate(found) if i not in chosen for place in pair}
        kept = [said for place, said in enumerate(turns) if place not in dropped]
        # the nearest stands last, next to the question
        added = [candidates.examples[i] for i in reversed(chosen) if i >= len(found)]
        return with_examples(kept, added) if added or dropped else turns

    def _chosen(self, question: str, candidates: "_Candidates") -> list[int]:
        """Places of the candidates that pay, the most similar first."""
        if not candidates.examples:
            return []
        similarity = np.clip(candidates.vectors @ self._embedded(question), 0.0, 1.0)
        near = similarity >= self.least_similarity
        gains = near * candidates.worths * similarity**self.sharpness
        short = np.argsort(-gains, kind="stable")[:_SHORTLIST]
        vectors = candidates.vectors[short]
        chosen = best_value(
            gains[short],
            np.clip(vectors @ vectors.T, 0.0, 1.0),
            candidates.tokens[short],
            budget_tokens=self.budget_tokens,
            most=self.most,
            redundancy=self.redundancy,
            least_gain=self.least_gain,
        )
        return sorted((int(short[i]) for i in chosen), key=lambda i: -float(similarity[i]))

    def _looked_at(self, examples: Sequence[Example]) -> "_Candidates":
        vectors = [self._embedded(each.question) for each in examples]
        lengths = [tokens_of(each.turns, self.count_tokens) for each in examples]
        return _Candidates(
            examples=tuple(examples),
            vectors=np.array(vectors) if vectors else np.zeros((0, self.featurizer.dim)),
            tokens=np.array(lengths, dtype=np.float64),
            worths=np.array([self.usefulness.of(each) for each in examples], dtype=np.float64),
        )

    def _embedded(self, text: str) -> Floats:
        vector = self.featurizer.features(text).astype(np.float64)
        length = float(np.linalg.norm(vector))
        return vector / length if length > 0.0 else vector


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidates:
    """Examples, and what of them does not hang on the question."""

    examples: tuple[Example, ...]
    vectors: Floats
    """``[examples, dim]``, of length one."""
    tokens: Floats
    """``[examples]``, with those of the messages around them."""
    worths: Floats
    """``[examples]``, in [0, 1]."""

    def and_(self, others: "_Candidates") -> "_Candidates":
        """These, and behind them the others."""
        return _Candidates(
            examples=self.examples + others.examples,
            vectors=np.concatenate([self.vectors, others.vectors]),
            tokens=np.concatenate([self.tokens, others.tokens]),
            worths=np.concatenate([self.worths, others.worths]),
        )


def best_value(
    gains: Floats,
    alike: Floats,
    tokens: Floats | Sequence[int],
    *,
    budget_tokens: int,
    most: int,
    redundancy: float,
    least_gain: float,
) -> list[int]:
    """Places of what to keep, in the order of choice.

    Args:
        gains: What each brings alone, ``[candidates]``, at least 0.
        alike: How much two say the same, ``[candidates, candidates]``, in [0, 1].
        tokens: What each takes, ``[candidates]``, at least 1.
        budget_tokens: For all together.
        most: How many at most.
        redundancy: Share of its gain that a candidate loses to one just like it.
        least_gain: Share of the first one's gain below which another does not pay.
    """
    lengths = np.asarray(tokens, dtype=np.float64)
    chosen: list[int] = []
    total, left, least = 0.0, float(budget_tokens), 0.0
    fresh = np.array(gains, dtype=np.float64)
    open_ = fresh > 0.0
    while len(chosen) < most:
        open_ &= (lengths <= left) & (fresh >= least)
        if not open_.any():
            break
        best = int(np.argmax(np.where(open_, fresh / lengths, -1.0)))
        chosen.append(best)
        open_[best] = False
        least = least or least_gain * float(fresh[best])
        total += float(fresh[best])
        left -= lengths[best]
        fresh = np.minimum(fresh, gains * (1.0 - redundancy * alike[best]))
    alone = np.where(lengths <= budget_tokens, gains, -1.0)
    if len(alone) and float(alone.max()) > total:
        return [int(alone.argmax())]
    return chosen

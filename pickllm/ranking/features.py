"""What a ranker says of a prompt, as the features of a policy: strengths first, then the rest.

    prompt ──► embedder ──► ranker ──► strengths [arms] ──┐
       │                                                  ├──► features [arms + base]
       └─────► base (words, surface, an embedding, …) ────┘

The prompt is the last turn of the conversation with what it hangs on: see `Conversation`. A single
turn is itself, as rankers are fitted on. A ranker runs where featurizers run: off the loop unless
it is instant, in a thread, counted and passed over where it fails. And what it said is kept with
each decision, for feedback that comes later, for logs and for replays.

>>> from pickllm.data import Battle, preference_table
>>> from pickllm.ranking.contract import prompts_of
>>> from pickllm.ranking.words import WordRidge
>>> table = preference_table([
...     Battle(prompt="add 2 and 3", first="large", second="small", winner="first"),
...     Battle(prompt="a poem, please", first="large", second="small", winner="tie"),
... ])
>>> fitted = WordRidge(bits=10, penalty=1.0).fit(table, prompts_of(table))
>>> [f"{value:.2f}" for value in RankedFeatures(ranker=fitted).features("add 2 and 4")]
['0.83', '0.17']
"""

from dataclasses import dataclass, field

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.preferences import MARK
from pickllm.embedding.contract import check_embedder
from pickllm.errors import ConfigError
from pickllm.features import Conversation, featurizer_name
from pickllm.protocols import Featurizer
from pickllm.ranking.contract import FittedRanker, Prompts
from pickllm.types import Request, Vector

__all__ = ["RankedFeatures"]

_NONE = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedFeatures:
    """Strengths of the ranker's arms, then the features of ``base``."""

    ranker: FittedRanker
    embedder: Featurizer | None = None
    """Makes the vectors that the ranker reads: the one that it was fitted on."""
    base: Featurizer | None = None
    """What else there is to look at; None for nothing."""
    reads: Conversation = field(default_factory=Conversation)
    """What of a conversation is the prompt."""
    title: str = ""
    """What this fit is called in names and logs; by default its type."""

    def __post_init__(self) -> None:
        if self.ranker.dim and self.embedder is None:
            raise ConfigError(
                f"{type(self.ranker).__name__} reads vectors of {self.ranker.dim} numbers: give "
                "the embedder that it was fitted on"
            )
        if self.embedder is not None:
            check_embedder(self.embedder, method="features")

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms whose strengths lead the features; the mark of graded answers is none."""
        return tuple(arm for arm in self.ranker.arms if arm != MARK)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return len(self.arms) + (self.base.dim if self.base else 0)

    @property
    def name(self) -> str:
        """The ranker, its arms, and the features beside it."""
        ranker = f"{self.title or type(self.ranker).__name__} of {', '.join(self.arms)}"
        return f"{ranker} + {featurizer_name(self.base)}" if self.base else ranker

    @property
    def instant(self) -> bool:
        """Whether ranker, embedder and base all are."""
        read = [self.embedder] if self.ranker.dim else []
        parts = (self.ranker, self.base or self.ranker, *read)
        return all(getattr(part, "instant", False) for part in parts)

    def text_of(self, request: Request) -> str:
        """What is ranked of a request."""
        return self.reads.text_of(request)

    def features(self, text: str) -> Vector:
        """The prompt's features, ``[dim]`` float32."""
        vector = self.embedder.features(text) if self.embedder and self.ranker.dim else _NONE
        strengths = self._strengths(Prompts(texts=(text,), vectors=vector[None, :]))[0]
        if self.base is None:
            return np.asarray(strengths)
        seen = vector if self.base is self.embedder and len(vector) else self.base.features(text)
        return np.concatenate((strengths, seen), dtype=np.float32)

    def __deepcopy__(self, memo: object) -> "RankedFeatures":
        """Itself: a copy of a router does not copy what a ranker has learnt."""
        return self

    def _strengths(self, prompts: Prompts) -> Floats:
        found = np.asarray(self.ranker.strengths(prompts), dtype=np.float32)
        return found if MARK not in self.ranker.arms else found[:, self._kept()]

    def _kept(self) -> Integers:
        return np.array([arm != MARK for arm in self.ranker.arms])

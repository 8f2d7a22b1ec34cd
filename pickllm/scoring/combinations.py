"""Several scorers as one: the first that can tell, or a weighted mean of all that can.

    FirstOf(scorers=(ReplySignals(), ReferenceMatch(references=known), judge))

asks the judge, which costs money, only where no cheaper scorer has an opinion.

>>> from pickllm.scoring.rules import FunctionScorer
>>> from pickllm.types import Reply, Request
>>> silent, half, one = (FunctionScorer(grade=lambda *_, s=s: s) for s in (None, 0.5, 1.0))
>>> def answer(asking):
...     try:
...         step = next(asking)
...         while True:
...             step = asking.send(step.run())
...     except StopIteration as stop:
...         return stop.value
>>> answer(FirstOf(scorers=(silent, half, one)).score(Request(text="?"), Reply(text="!")))
0.5
>>> both = Weighted(parts=((half, 3.0), (one, 1.0), (silent, 9.0)))
>>> answer(both.score(Request(text="?"), Reply(text="!")))
0.625
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.protocols import Asking
from pickllm.scoring.rules import ScorerLike, scorer_of
from pickllm.types import Reply, Request

__all__ = ["FirstOf", "Weighted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstOf:
    """What the first scorer says that can tell; those after it are not asked."""

    scorers: Sequence[ScorerLike]

    def __post_init__(self) -> None:
        if not self.scorers:
            raise ConfigError("FirstOf has no scorers; give at least one")
        for scorer in self.scorers:
            scorer_of(scorer)

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """Ask one after another."""
        for scorer in self.scorers:
            score = yield from scorer_of(scorer).score(request, reply)
            if score is not None:
                return score
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """The weighted mean of those that can tell: the weights of the others are left out."""

    parts: Sequence[tuple[ScorerLike, float]]
    """Scorers with their weights, each above 0."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("Weighted has no parts; give at least one scorer with its weight")
        for scorer, weight in self.parts:
            scorer_of(scorer)
            if not 0.0 < weight < math.inf:
                raise ConfigError(f"the weight of a scorer must be above 0; one is {weight!r}")

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """Ask all of them."""
        told: list[tuple[float, float]] = []
        for scorer, weight in self.parts:
            score = yield from scorer_of(scorer).score(request, reply)
            if score is not None:
                told.append((score, weight))
        total = math.fsum(weight for _, weight in told)
        return math.fsum(score * weight for score, weight in told) / total if told else None

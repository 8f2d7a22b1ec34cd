"""A policy that is a function of yours.

>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> by_length = FunctionPolicy(function=lambda s: "large" if len(s.request.text) > 99 else "small")
>>> by_length.decide(None, situation("small", "large"), Rng(seed=1, number=1)).probabilities
(1.0, 0.0)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pickllm.errors import ConfigError
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Situation

__all__ = ["Chooser", "FunctionPolicy"]

Chooser: TypeAlias = Callable[[Situation], str | Mapping[str, float]]
"""Gets the situation; returns the name of an arm, or weights by name: then one is drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionPolicy:
    """Asks a function; learns nothing."""

    function: Chooser

    @property
    def name(self) -> str:
        """Name of the function."""
        return f"function({getattr(self.function, '__qualname__', type(self.function).__name__)})"

    def init(self, arms: Sequence[str], dim: int) -> None:
        """There is no state."""

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        """What the function says, checked: it may name eligible arms only."""
        answer = self.function(situation)
        if not isinstance(answer, str | Mapping):
            raise ConfigError(
                f"{self.name} must return an arm or weights by name, not {type(answer).__name__}"
            )
        weights = {answer: 1.0} if isinstance(answer, str) else dict(answer)
        unknown = [arm for arm in weights if arm not in situation.arms]
        total = math.fsum(weights.values())
        if unknown or not 0.0 < total < math.inf or min(weights.values()) < 0.0:
            raise ConfigError(
                f"{self.name} must return the name of an eligible arm, or weights of at least 0 "
                f"(one above it) by name; it returned {answer!r}, and eligible are "
                f"{list(situation.arms)}"
            )
        return Choice(probabilities=tuple(weights.get(arm, 0.0) / total for arm in situation.arms))

    def learn(self, state: None, experience: Experience) -> None:
        """Nothing is learnt."""

"""A policy that is only watched: one arm serves, and what the policy would have done is logged.

It learns from the answers of the arm that serves. `Decision.shadow` holds the probabilities that it
would have drawn with, so that a logged ledger says what switching it on would mean.

>>> from pickllm.policies.fixed import Random
>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> policy = Watched(policy=Random(), incumbent="a")
>>> choice = policy.decide(None, situation("a", "b"), Rng(seed=1, number=1))
>>> choice.probabilities, choice.shadow
((1.0, 0.0), (0.5, 0.5))
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pickllm.policies.wrapped import Wrapped
from pickllm.rng import Rng
from pickllm.types import Choice, Situation

__all__ = ["Watched"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched(Wrapped):
    """``incumbent`` serves every request; where it is not eligible, the policy does."""

    incumbent: str

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"watched behind {self.incumbent!r}: {self.inner.name}"

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The incumbent, and the inner policy's."""
        return (self.incumbent, *super(Watched, self).names_arms)

    def init(self, arms: Sequence[str], dim: int) -> Any:
        """The policy's own start."""
        return self.inner.init(arms, dim)

    def decide(self, state: Any, situation: Situation, rng: Rng) -> Choice:
        """All probability on the incumbent; what the policy says beside it."""
        choice = self.inner.decide(state, situation, rng)
        if self.incumbent not in situation.arms:
            return choice
        served = tuple(float(arm == self.incumbent) for arm in situation.arms)
        return replace(choice, probabilities=served, shadow=choice.probabilities)

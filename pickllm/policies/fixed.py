"""Policies that learn nothing: one arm always, or any arm at random. The baselines of every table.

>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> Random().decide(None, situation("a", "b"), Rng(seed=1, number=1)).probabilities
(0.5, 0.5)
>>> Fixed(arm="b").decide(None, situation("a", "b"), Rng(seed=1, number=1)).probabilities
(0.0, 1.0)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Situation

__all__ = ["Fixed", "Random"]


class _LearnsNothing:
    """The half of a policy that a policy without state has no use for."""

    __slots__ = ()

    def init(self, arms: Sequence[str], dim: int) -> None:
        """There is no state."""

    def learn(self, state: None, experience: Experience) -> None:
        """Nothing is learnt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed(_LearnsNothing):
    """One arm for every request; where it is not eligible, any other at random."""

    arm: str

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"fixed(arm={self.arm!r})"

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The arm."""
        return (self.arm,)

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        """All the probability on the arm."""
        if self.arm not in situation.arms:
            return _uniform(situation)
        return Choice(probabilities=tuple(float(arm == self.arm) for arm in situation.arms))


@dataclass(frozen=True, kw_only=True, slots=True)
class Random(_LearnsNothing):
    """Any eligible arm, all equally likely: the baseline that every router must beat."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return "random()"

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        """The same probability for all."""
        return _uniform(situation)


def _uniform(situation: Situation) -> Choice:
    return Choice(probabilities=(1.0 / len(situation.arms),) * len(situation.arms))

"""A policy made of two blocks: an estimator values the arms, an explorer chooses among them.

>>> from pickllm.estimators import RunningMean
>>> from pickllm.explorers import EpsilonGreedy
>>> ValuePolicy(estimator=RunningMean(), explorer=EpsilonGreedy(epsilon=0.2)).name
'epsilon_greedy(epsilon=0.2, decay=1.0, least=0.0) over running_mean(step=None, initial=None)'
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pickllm.errors import ConfigError
from pickllm.protocols import Additive, Estimator, Explorer, Renewable, is_additive
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Situation

__all__ = ["ValuePolicy", "ValueState"]

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueState(Generic[S]):
    """What the estimator has learnt, and from how many rewards."""

    estimates: S
    steps: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ValuePolicy(Generic[S]):
    """Estimator and explorer, put together."""

    estimator: Estimator[S]
    explorer: Explorer
    title: str = ""
    """The published name of the two together, where it has one."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        parts = f"{self.explorer.name} over {self.estimator.name}"
        return f"{self.title}: {parts}" if self.title else parts

    @property
    def state_name(self) -> str:
        """The explorer is no part of what is learnt."""
        return f"value of {getattr(self.estimator, 'state_name', self.estimator.name)}"

    @property
    def looks_at_prompt(self) -> bool:
        """Whether the estimator reads features, so that a router should have some."""
        return bool(getattr(self.estimator, "looks_at_prompt", False))

    def model_updated(self, state: ValueState[Any], arm: str, time_s: float) -> ValueState[Any]:
        """The estimator is told, where it listens."""
        if not isinstance(self.estimator, Renewable):
            return state
        estimates = self.estimator.model_updated(state.estimates, arm, time_s)
        return ValueState(estimates=estimates, steps=state.steps)

    def init(self, arms: Sequence[str], dim: int) -> ValueState[S]:
        """The estimator's own start."""
        return ValueState(estimates=self.estimator.init(arms, dim))

    def decide(self, state: ValueState[S], situation: Situation, rng: Rng) -> Choice:
        """Estimate, then explore."""
        estimate = self.estimator.estimate(state.estimates, situation)
        probabilities = self.explorer.probabilities(estimate, state.steps, rng)
        return Choice(probabilities=probabilities, values=estimate.means)

    def learn(self, state: ValueState[S], experience: Experience) -> ValueState[S]:
        """The estimator learns; the steps are counted."""
        estimates = self.estimator.learn(state.estimates, experience)
        return ValueState(estimates=estimates, steps=state.steps + 1)

    def unlearn(self, state: ValueState[S], experience: Experience) -> ValueState[S]:
        """The estimator unlearns, where it can; see ``additive``."""
        estimates = self._additive.unlearn(state.estimates, experience)
        return ValueState(estimates=estimates, steps=state.steps - 1)

    def merge(self, states: Sequence[ValueState[S]]) -> ValueState[S]:
        """The estimator merges, where it can; see ``additive``."""
        estimates = self._additive.merge([state.estimates for state in states])
        return ValueState(estimates=estimates, steps=sum(state.steps for state in states))

    @property
    def additive(self) -> bool:
        """Whether the estimator is: then order means nothing."""
        return is_additive(self.estimator)

    @property
    def _additive(self) -> Additive[S]:
        if not isinstance(self.estimator, Additive):
            raise ConfigError(f"{self.estimator.name} can neither unlearn nor merge")
        return self.estimator

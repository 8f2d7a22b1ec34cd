"""What policies around another policy share: they change its choice, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pickllm.errors import ConfigError
from pickllm.protocols import Additive, Observer, Policy, Renewable, is_additive, state_name
from pickllm.types import Experience, Observation

__all__ = ["Wrapped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrapped:
    """Passes on to ``policy`` all but its choice."""

    policy: Policy[Any]

    @property
    def state_name(self) -> str:
        """The inner policy's: what it has learnt can be kept when the wrapper goes."""
        return state_name(self.policy)

    @property
    def looks_at_prompt(self) -> bool:
        """Whether the inner policy does."""
        return bool(getattr(self.policy, "looks_at_prompt", False))

    @property
    def additive(self) -> bool:
        """Whether the inner policy is."""
        return is_additive(self.policy)

    def learn(self, state: Any, experience: Experience) -> Any:
        """The inner policy learns."""
        return self.policy.learn(state, experience)

    def observe(self, state: Any, observation: Observation) -> Any:
        """The inner policy books, where it does."""
        if isinstance(self.policy, Observer):
            return self.policy.observe(state, observation)
        return state

    def unlearn(self, state: Any, experience: Experience) -> Any:
        """The inner policy unlearns, where it can."""
        return self._additive.unlearn(state, experience)

    def merge(self, states: Sequence[Any]) -> Any:
        """The inner policy merges, where it can."""
        return self._additive.merge(states)

    def model_updated(self, state: Any, arm: str, time_s: float) -> Any:
        """The inner policy is told, where it listens."""
        if isinstance(self.policy, Renewable):
            return self.policy.model_updated(state, arm, time_s)
        return state

    @property
    def _additive(self) -> Additive[Any]:
        if not isinstance(self.policy, Additive):
            raise ConfigError(f"{self.policy.name} can neither unlearn nor merge")
        return self.policy

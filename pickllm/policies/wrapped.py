"""What policies around another policy share: they change its choice, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from pickllm.errors import ConfigError
from pickllm.policies.function import Chooser
from pickllm.protocols import Additive, Observer, Policy, Renewable, is_additive, state_name
from pickllm.types import Experience, Observation

__all__ = ["Wrapped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrapped:
    """Passes on to ``policy`` all but its choice."""

    policy: Policy[Any] | Chooser | str
    """A policy, a function that chooses, or a policy's name, as `Router` takes it."""

    def __post_init__(self) -> None:
        from pickllm.policies import policy_of  # which knows the wrappers, too

        object.__setattr__(self, "policy", policy_of(self.policy))

    @property
    def inner(self) -> Policy[Any]:
        """The policy, whichever way it was given."""
        return cast("Policy[Any]", self.policy)

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The inner policy's."""
        return tuple(getattr(self.inner, "names_arms", ()))

    @property
    def state_name(self) -> str:
        """The inner policy's: what it has learnt can be kept when the wrapper goes."""
        return state_name(self.inner)

    @property
    def looks_at_prompt(self) -> bool:
        """Whether the inner policy does."""
        return bool(getattr(self.inner, "looks_at_prompt", False))

    @property
    def additive(self) -> bool:
        """Whether the inner policy is."""
        return is_additive(self.inner)

    def learn(self, state: Any, experience: Experience) -> Any:
        """The inner policy learns."""
        return self.inner.learn(state, experience)

    def observe(self, state: Any, observation: Observation) -> Any:
        """The inner policy books, where it does."""
        if isinstance(self.inner, Observer):
            return self.inner.observe(state, observation)
        return state

    def unlearn(self, state: Any, experience: Experience) -> Any:
        """The inner policy unlearns, where it can."""
        return self._additive.unlearn(state, experience)

    def merge(self, states: Sequence[Any]) -> Any:
        """The inner policy merges, where it can."""
        return self._additive.merge(states)

    def model_updated(self, state: Any, arm: str, time_s: float) -> Any:
        """The inner policy is told, where it listens."""
        if isinstance(self.inner, Renewable):
            return self.inner.model_updated(state, arm, time_s)
        return state

    @property
    def _additive(self) -> Additive[Any]:
        if not isinstance(self.inner, Additive):
            raise ConfigError(f"{self.inner.name} can neither unlearn nor merge")
        return self.inner

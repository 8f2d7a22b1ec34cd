"""How to choose an arm. One algorithm, one file; ``POLICIES`` names them all.

automaton.py    linear reward-inaction (the PickLLM paper's learner A)
value.py        an estimator and an explorer, put together
explorers.py    epsilon-greedy
recipes.py      published names made of these: epsilon_greedy, q_learning (learner B)
fixed.py        one arm always; any arm at random
function.py     a function of yours
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from pickllm.errors import ConfigError
from pickllm.policies.automaton import AutomatonState, LearningAutomaton
from pickllm.policies.explorers import EpsilonGreedy
from pickllm.policies.fixed import Fixed, Random
from pickllm.policies.function import Chooser, FunctionPolicy
from pickllm.policies.recipes import epsilon_greedy, q_learning
from pickllm.policies.value import ValuePolicy, ValueState
from pickllm.protocols import Policy

__all__ = [
    "POLICIES",
    "AutomatonState",
    "Chooser",
    "EpsilonGreedy",
    "Fixed",
    "FunctionPolicy",
    "LearningAutomaton",
    "PolicyLike",
    "Random",
    "ValuePolicy",
    "ValueState",
    "epsilon_greedy",
    "policy_of",
    "q_learning",
]

PolicyLike: TypeAlias = "Policy[Any] | Chooser | str"
"""What a user may give as a policy: one, a function that chooses, or a name of ``POLICIES``."""

_RECIPES: tuple[object, ...] = (epsilon_greedy, q_learning)

POLICIES: Mapping[str, Callable[[], Policy[Any]]] = MappingProxyType(
    {
        "epsilon_greedy": epsilon_greedy,
        "learning_automaton": LearningAutomaton,
        "q_learning": q_learning,
        "random": Random,
    }
)
"""Name to a policy with its defaults."""


def policy_of(given: PolicyLike) -> Policy[Any]:
    """The policy that ``given`` stands for, or `ConfigError`."""
    if isinstance(given, str):
        if given not in POLICIES:
            raise ConfigError(f"no policy is called {given!r}; there are {sorted(POLICIES)}")
        return POLICIES[given]()
    if isinstance(given, type):
        raise ConfigError(f"policy is the class {given.__name__}; give an instance of it")
    if all(hasattr(given, method) for method in ("init", "decide", "learn", "name")):
        return given  # type: ignore[return-value]  # checked by its shape, one line above
    if any(given is recipe for recipe in _RECIPES):
        raise ConfigError(f"policy is the recipe {given!r} itself; call it")
    if callable(given):
        return FunctionPolicy(function=given)
    raise ConfigError(
        f"policy must be a policy, a function that chooses, or one of {sorted(POLICIES)}; "
        f"it is {type(given).__name__}"
    )

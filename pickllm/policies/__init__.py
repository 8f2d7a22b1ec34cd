"""How to choose an arm. One algorithm, one file; ``POLICIES`` names them all.

contextual.py   the default: quality by prompt, cost and latency apart, weighed when deciding
automaton.py    linear reward-inaction (the PickLLM paper's learner A)
value.py        an estimator and an explorer, put together
recipes.py      published names made of these: ucb1, lin_ucb, q_learning (learner B), …
fixed.py        one arm always; any arm at random
function.py     a function of yours
watched.py      around another policy: it is only watched
guarded.py      around another policy: it serves once it is known to be no worse
expenses.py     what calls take, drift.py whether an arm has changed, pacing.py how a budget per
                request is kept to: parts of the default
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from pickllm.errors import ConfigError
from pickllm.policies.automaton import AutomatonState, LearningAutomaton
from pickllm.policies.contextual import Contextual, ContextualState
from pickllm.policies.drift import Drift
from pickllm.policies.expenses import Expenses
from pickllm.policies.fixed import Fixed, Random
from pickllm.policies.function import Chooser, FunctionPolicy
from pickllm.policies.guarded import Guarded, GuardedState
from pickllm.policies.recipes import (
    beta_thompson,
    contextual,
    discounted_ucb,
    epsilon_greedy,
    lin_thompson,
    lin_ucb,
    logistic,
    q_learning,
    softmax,
    square_cb,
    ucb1,
)
from pickllm.policies.value import ValuePolicy, ValueState
from pickllm.policies.watched import Watched
from pickllm.policies.wrapped import Wrapped
from pickllm.protocols import Policy

__all__ = [
    "POLICIES",
    "AutomatonState",
    "Chooser",
    "Contextual",
    "ContextualState",
    "Drift",
    "Expenses",
    "Fixed",
    "FunctionPolicy",
    "Guarded",
    "GuardedState",
    "LearningAutomaton",
    "PolicyLike",
    "Random",
    "ValuePolicy",
    "ValueState",
    "Watched",
    "Wrapped",
    "beta_thompson",
    "contextual",
    "discounted_ucb",
    "epsilon_greedy",
    "lin_thompson",
    "lin_ucb",
    "logistic",
    "policy_of",
    "q_learning",
    "softmax",
    "square_cb",
    "ucb1",
]

PolicyLike: TypeAlias = "Policy[Any] | Chooser | str"
"""What a user may give as a policy: one, a function that chooses, or a name of ``POLICIES``."""

_RECIPES: tuple[object, ...] = (
    beta_thompson,
    contextual,
    discounted_ucb,
    epsilon_greedy,
    lin_thompson,
    lin_ucb,
    logistic,
    q_learning,
    softmax,
    square_cb,
    ucb1,
)

POLICIES: Mapping[str, Callable[[], Policy[Any]]] = MappingProxyType(
    {
        "beta_thompson": beta_thompson,
        "contextual": contextual,
        "discounted_ucb": discounted_ucb,
        "epsilon_greedy": epsilon_greedy,
        "learning_automaton": LearningAutomaton,
        "lin_thompson": lin_thompson,
        "lin_ucb": lin_ucb,
        "logistic": logistic,
        "q_learning": q_learning,
        "random": Random,
        "softmax": softmax,
        "square_cb": square_cb,
        "ucb1": ucb1,
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

"""How good an answer is: a number in [0, 1], or None when nobody can tell.

rules.py     scorers that need no model: a function of yours, exact match
"""

import inspect

from pickllm.errors import ConfigError
from pickllm.protocols import Scorer
from pickllm.scoring.rules import FunctionScorer, Grade, exact_match

__all__ = ["FunctionScorer", "Grade", "ScorerLike", "exact_match", "scorer_of"]

ScorerLike = Scorer | Grade
"""What a user may give as a scorer: one, or a function of prompt and answer."""


def scorer_of(given: ScorerLike) -> Scorer:
    """The scorer that ``given`` stands for, or `ConfigError`."""
    if isinstance(given, type):
        raise ConfigError(f"scorer is the class {given.__name__}; give an instance of it")
    if inspect.iscoroutinefunction(given):
        raise ConfigError(
            "scorer is an async function: give a plain one, which runs in a thread under async, or "
            "a RewardCallbackHandler with an async score"
        )
    if hasattr(given, "score"):
        return given
    if callable(given):
        return FunctionScorer(grade=given)
    raise ConfigError(
        f"scorer must be a scorer or a function of prompt and answer; it is {type(given).__name__}"
    )

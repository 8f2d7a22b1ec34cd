"""Scorers that are functions: yours, or ours of prompt and answer.

>>> from pickllm.types import Reply, Request
>>> scorer = FunctionScorer(grade=lambda prompt, answer: float(answer == "4"))
>>> scorer.grade("2 + 2 =", "4")
1.0
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from pickllm.errors import ConfigError
from pickllm.protocols import Asking, Scorer
from pickllm.steps import Work
from pickllm.types import Reply, Request

__all__ = ["FunctionScorer", "Grade", "ScorerLike", "TextScorer", "scorer_of"]

Grade: TypeAlias = Callable[[str, str], float | None]
"""Gets the prompt and the answer; returns a score in [0, 1], or None when it cannot tell."""


class TextScorer(ABC):
    """A scorer that looks at the text of an answer: write `judged`, and that is all.

    It runs in a thread under async, for it may take its time. It is not asked about a turn that
    calls tools: what stands there is no answer yet.
    """

    __slots__ = ()

    @abstractmethod
    def judged(self, request: Request, reply: Reply) -> float | None:
        """Quality in [0, 1], or None when it cannot tell."""

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """What `judged` says, of an answer."""
        if reply.calls_tools:
            return None
        score: float | None = yield Work(run=partial(self.judged, request, reply))
        return score


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionScorer(TextScorer):
    """Asks a function for the score."""

    grade: Grade

    def judged(self, request: Request, reply: Reply) -> float | None:
        """What the function says."""
        return self.grade(request.text, reply.text)


ScorerLike: TypeAlias = Scorer | Grade
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
        _check_takes_two(given)
        return FunctionScorer(grade=given)
    raise ConfigError(
        f"scorer must be a scorer or a function of prompt and answer; it is {type(given).__name__}"
    )


def _check_takes_two(grade: Grade) -> None:
    """Whether it can be called with a prompt and an answer, where it says what it takes."""
    try:
        taken = inspect.signature(grade)
    except (TypeError, ValueError):  # written in C, some do not say
        return
    try:
        taken.bind("", "")
    except TypeError as error:
        raise ConfigError(
            "scorer is a function of two arguments, the prompt and the answer; this one can not be "
            "called with two"
        ) from error

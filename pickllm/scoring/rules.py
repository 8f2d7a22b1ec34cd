"""Scorers that need no model.

>>> exact_match(" Paris.", "paris"), exact_match("Rome", "paris")
(1.0, 0.0)
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pickllm.protocols import Asking
from pickllm.types import Reply, Request, Work

__all__ = ["FunctionScorer", "Grade", "exact_match"]

Grade: TypeAlias = Callable[[str, str], float | None]
"""Gets the prompt and the answer; returns a score in [0, 1], or None when it cannot tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionScorer:
    """Asks a function for the score; in a thread under async, for it may take its time.

    It is not asked about a turn that calls tools: what stands there is no answer yet.
    """

    grade: Grade

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """What the function says."""
        if reply.calls_tools:
            return None
        score: float | None = yield Work(run=lambda: self.grade(request.text, reply.text))
        return score


def exact_match(answer: str, reference: str) -> float:
    """1 where the two are the same but for case, spaces around and a full stop at the end."""
    return float(_plain(answer) == _plain(reference))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(".").casefold()

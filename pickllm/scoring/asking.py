"""Models that scorers ask: text in, answer out, and what that costs.

The seam is a plain function from text to text. A scorer cannot ask through the request's own port:
that is bound to the request's messages, and what it streams is shown. The adapters for frameworks
are ``langchain_pickllm.asking`` and ``llamaindex_pickllm.asking``: they report tokens, too.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pickllm.lock import Lock
from pickllm.prices import cost_usd
from pickllm.types import Arm, Reply

__all__ = ["Ask", "Expenses", "Spent", "asked"]

logger = logging.getLogger("pickllm")

Ask: TypeAlias = Callable[[str], "str | Reply"]
"""Asks a model: gets the whole prompt; returns the answer, as a `Reply` where tokens are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a scorer's own questions came to."""

    asked: int = 0
    failed: int = 0
    """Of these, how many brought an error in place of an answer."""
    unreadable: int = 0
    """Of these, how many brought an answer that says nothing."""
    cost_usd: float = 0.0
    """Of the answers whose price is known."""
    unpriced: int = 0
    """Answers whose price is not."""
    tokens_in: int = 0
    tokens_out: int = 0
    latency_s: float = 0.0
    """Sum of the waits, failures included."""
    error_to_count: Mapping[str, int] = field(default_factory=dict)
    """By the classes of the errors, how many of each there were."""


class Expenses:
    """Adds up what a scorer's questions come to. Safe to share between threads.

    ``arm`` says what the model asked costs, as for an arm of the pool.
    """

    __slots__ = ("_counts", "_errors", "_lock", "arm", "clock")

    def __init__(
        self, arm: Arm | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.arm = arm or Arm()
        self.clock = clock
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def total(self) -> Spent:
        """All so far."""
        with self._lock:
            return Spent(**self._counts, error_to_count=dict(self._errors))

    def add(self, **counts: float) -> None:
        """Count more, by the names of `Spent`."""
        with self._lock:
            self._counts.update(counts)

    def failed(self, error: Exception, *, latency_s: float) -> None:
        """Count an error in place of an answer."""
        self.add(asked=1, failed=1, latency_s=latency_s)
        with self._lock:
            self._errors[type(error).__name__] += 1

    def answered(self, reply: Reply) -> None:
        """Count an answer."""
        cost = cost_usd(self.arm, reply.usage, reply.latency_s)
        self.add(
            asked=1,
            latency_s=reply.latency_s,
            cost_usd=cost or 0.0,
            unpriced=int(cost is None),
            tokens_in=reply.usage.tokens_in if reply.usage else 0,
            tokens_out=reply.usage.tokens_out if reply.usage else 0,
        )


def asked(ask: Ask, prompt: str, expenses: Expenses) -> Reply | None:
    """The model's answer, counted; None where it fails, which is counted and logged."""
    began_s = expenses.clock()
    try:
        answer = ask(prompt)
        reply = Reply(text=answer) if isinstance(answer, str) else answer
        reply = replace(reply, latency_s=expenses.clock() - began_s)
        expenses.answered(reply)
    except Exception as error:  # a scorer's helper must not take the answer away
        expenses.failed(error, latency_s=expenses.clock() - began_s)
        logger.warning("a model that a scorer asked failed (%s)", type(error).__name__)
        return None
    return reply

"""What one arm did for a decision, with its cost: an answer, a failure, or cut short.

>>> from pickllm.types import Arm, Reply, Usage
>>> arm = Arm(name="api", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
>>> succeeded(arm, Reply(text="4", usage=Usage(tokens_in=1000, tokens_out=500))).cost_usd
0.002
"""

import math
from dataclasses import replace
from numbers import Real
from typing import get_args

from pickllm.errors import ArmError, ConfigError, Interrupted
from pickllm.pool import Pool
from pickllm.prices import cost_usd
from pickllm.types import Arm, Attempt, Outcome, Reply, Status, Usage

__all__ = ["checked", "failed", "interrupted", "known", "priced", "rejected", "succeeded"]

_STATUSES = frozenset(get_args(Status))
_MOST_TOKENS = 10**12
"""More than any model reads or writes: beyond it a count is an error."""


def checked(outcome: Outcome) -> Outcome:
    """The outcome, or `ConfigError` where a number in it is none that could be learnt from."""
    if not isinstance(outcome, Outcome):
        raise ConfigError(f"give an Outcome(...); this is {type(outcome).__name__}")
    for attempt in outcome.attempts:
        wrong = _wrong(attempt)
        if wrong:
            raise ConfigError(f"the attempt of arm {attempt.arm!r} has {wrong}")
    return outcome


def known(outcome: Outcome) -> Outcome:
    """The outcome without numbers that nothing could be learnt from: what is odd is unknown."""
    if not any(map(_wrong, outcome.attempts)):
        return outcome
    return replace(outcome, attempts=tuple(map(_known, outcome.attempts)))


def priced(outcome: Outcome, pool: Pool) -> Outcome:
    """The outcome with a cost for each attempt whose tokens and price are known."""
    if not any(_lacks_cost(each, pool) for each in outcome.attempts):
        return outcome
    return replace(outcome, attempts=tuple(_priced(each, pool) for each in outcome.attempts))


def _lacks_cost(attempt: Attempt, pool: Pool) -> bool:
    told = attempt.cost_usd is None and attempt.usage is not None and attempt.called
    return told and attempt.arm in pool


def _priced(attempt: Attempt, pool: Pool) -> Attempt:
    if not _lacks_cost(attempt, pool):
        return attempt
    return replace(attempt, cost_usd=cost_usd(pool[attempt.arm], attempt.usage, attempt.latency_s))


def _wrong(attempt: Attempt) -> str:
    """What is wrong with an attempt; empty where nothing is."""
    if attempt.status not in _STATUSES:
        return f"the status {attempt.status!r}; it is one of {sorted(_STATUSES)}"
    if not _is_amount(attempt.latency_s):
        return f"latency_s {attempt.latency_s!r}; it must be a number of at least 0"
    if attempt.cost_usd is not None and not _is_amount(attempt.cost_usd):
        return f"cost_usd {attempt.cost_usd!r}; it must be a number of at least 0"
    return "" if _countable(attempt.usage) else "usage whose tokens are no counts"


def _is_amount(given: object) -> bool:
    return isinstance(given, Real) and 0.0 <= float(given) < math.inf


def _countable(usage: Usage | None) -> bool:
    if usage is None:
        return True
    try:
        counts = usage.tokens_in, usage.tokens_out, usage.tokens_in_cached
        return all(0 <= count <= _MOST_TOKENS for count in counts)
    except TypeError:
        return False


def _known(attempt: Attempt) -> Attempt:
    if not _wrong(attempt):
        return attempt
    return replace(attempt, usage=None, cost_usd=None, latency_s=0.0)


def succeeded(arm: Arm, reply: Reply, score: float | None = None) -> Attempt:
    """An arm's answer, with what a cascade's scorer gave it."""
    return _with_reply(arm, reply, "ok", score)


def rejected(arm: Arm, reply: Reply) -> Attempt:
    """An arm's answer that was paid for and not shown."""
    return _with_reply(arm, reply, "rejected")


def failed(arm: Arm, error: ArmError) -> Attempt:
    """An arm's failure. What it cost is known only where the arm is paid by the hour."""
    return Attempt(
        arm=arm.name,
        status="error",
        latency_s=error.latency_s,
        cost_usd=cost_usd(arm, None, error.latency_s),
        error=type(error.original).__name__,
    )


def interrupted(arm: Arm, stop: Interrupted) -> Attempt:
    """An arm that was stopped; what it had said until then is paid for."""
    if stop.so_far is not None:
        return _with_reply(arm, stop.so_far, stop.status)
    return Attempt(
        arm=arm.name,
        status=stop.status,
        latency_s=stop.waited_s,
        cost_usd=cost_usd(arm, None, stop.waited_s),
    )


def _with_reply(arm: Arm, reply: Reply, status: Status, score: float | None = None) -> Attempt:
    usage = reply.usage if _countable(reply.usage) else None  # providers report anything
    return Attempt(
        arm=arm.name,
        status=status,
        latency_s=reply.latency_s,
        first_piece_s=reply.first_piece_s,
        usage=usage,
        cost_usd=cost_usd(arm, usage, reply.latency_s) if reply.called else 0.0,
        called=reply.called,
        score=score,
    )

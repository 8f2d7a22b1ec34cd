"""What one arm did for a decision, with its cost: an answer, a failure, or cut short.

>>> from pickllm.types import Arm, Reply, Usage
>>> arm = Arm(name="api", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
>>> succeeded(arm, Reply(text="4", usage=Usage(tokens_in=1000, tokens_out=500))).cost_usd
0.002
"""

from pickllm.errors import ArmError, Interrupted
from pickllm.prices import cost_usd
from pickllm.types import Arm, Attempt, Reply, Status

__all__ = ["failed", "interrupted", "rejected", "succeeded"]


def succeeded(arm: Arm, reply: Reply, score: float | None = None) -> Attempt:
    """An arm's answer, with what a cascade's scorer gave it."""
    return _with_reply(arm, reply, "ok", score)


def rejected(arm: Arm, reply: Reply, score: float | None = None) -> Attempt:
    """An arm's answer that was paid for and not shown."""
    return _with_reply(arm, reply, "rejected", score)


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
    return Attempt(
        arm=arm.name,
        status=status,
        latency_s=reply.latency_s,
        first_piece_s=reply.first_piece_s,
        usage=reply.usage,
        cost_usd=cost_usd(arm, reply.usage, reply.latency_s) if reply.called else 0.0,
        called=reply.called,
        score=score,
    )

"""Whether a session has come to rest on one arm.

The likeliest arm of each decision leads it. A session has converged when the same arm has led the
last ``patience`` decisions alone. That it has is reported, never enforced, and says nothing about
whether the arm is the best one.

>>> from pickllm.convergence import convergence
>>> found = convergence([("a", "b")] * 60, [(0.5, 0.5)] * 5 + [(0.9, 0.1)] * 55, patience=50)
>>> found.arm, found.since
('a', 5)
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Convergence", "convergence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Convergence:
    """How a session stands."""

    arm: str | None
    """The arm that leads now; None where several share the lead, or nothing was decided."""
    since: int | None
    """Number of the decision from which it has led, counted from 0, once it has for long enough."""
    probability: float
    """Its probability in the last decision."""
    decisions: int
    """How many decisions were looked at."""

    @property
    def converged(self) -> bool:
        """Whether the lead has lasted."""
        return self.since is not None


def convergence(
    arms: Sequence[tuple[str, ...]],
    probabilities: Sequence[tuple[float, ...]],
    *,
    patience: int = 50,
) -> Convergence:
    """Look at decisions in their order, ``arms`` and ``probabilities`` both ``[decisions]``."""
    count = len(arms)
    leader = _leader(arms[-1], probabilities[-1]) if count else None
    if leader is None:
        return Convergence(arm=None, since=None, probability=0.0, decisions=count)
    since = count
    while since > 0 and _leader(arms[since - 1], probabilities[since - 1]) == leader:
        since -= 1
    return Convergence(
        arm=leader,
        since=since if count - since >= patience else None,
        probability=max(probabilities[-1]),
        decisions=count,
    )


def _leader(arms: tuple[str, ...], probabilities: tuple[float, ...]) -> str | None:
    top = max(probabilities)
    return arms[probabilities.index(top)] if probabilities.count(top) == 1 else None

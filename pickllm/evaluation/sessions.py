"""Many sessions of one policy over one table, and what they come to on average.

A single session of a policy that draws is an anecdote: which arm it ends on, and what it cost, is
partly luck. Each session here has its own order of the prompts and its own draws. The prompts are
the same in all of them, so the intervals say how sure a mean is for these prompts, not for others.

>>> f"{mean_interval([0.5, 0.5, 0.5]):.0%}"
'50% (50% to 50%)'
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pickllm.errors import ConfigError
from pickllm.evaluation.replay import Session, replay
from pickllm.evaluation.table import OutcomeTable, Summary
from pickllm.policies import PolicyLike
from pickllm.protocols import Reward

__all__ = ["Interval", "SessionsSummary", "mean_interval", "replay_many", "sessions_summary"]

_RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    def change_from(self, baseline: float) -> "Interval":
        """The same as a share of ``baseline``, less one: -0.6 is 60 % less."""
        mean, low, high = (each / baseline - 1.0 for each in (self.mean, self.low, self.high))
        return Interval(mean=mean, low=low, high=high)

    def __format__(self, spec: str) -> str:
        """The mean and both ends, each formatted by ``spec``."""
        return f"{self.mean:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionsSummary:
    """What many sessions of one policy came to."""

    name: str
    sessions: int
    reward: Interval
    accuracy: Interval
    cost_usd: Interval
    """Of a whole session; NaN where an arm's price is unknown."""
    latency_s: Interval
    arm_to_sessions: dict[str | None, int]
    """On which arm they ended, most frequent first; None where several shared the lead."""
    at_rest: int
    """How many had come to rest on the arm that they ended on; see `pickllm.convergence`."""
    rest_after: float | None
    """Median number of prompts before that, where any had."""
    lead: float
    """Mean probability that the likeliest arm had in the end: 1 is a session that is locked."""

    @property
    def means(self) -> Summary:
        """The means alone, to stand in a table beside single arms."""
        return Summary(
            name=self.name,
            accuracy=self.accuracy.mean,
            cost_usd=self.cost_usd.mean,
            latency_s=self.latency_s.mean,
        )

    def not_on(self, arm: str) -> int:
        """How many sessions ended anywhere else."""
        return self.sessions - self.arm_to_sessions.get(arm, 0)


def mean_interval(values: ArrayLike, *, seed: int = 0) -> Interval:
    """Mean of ``values`` ``[sessions]`` and its 95 % percentile bootstrap interval."""
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not given.size:
        raise ConfigError(f"a mean needs a list of numbers; the shape of these is {given.shape}")
    rng = np.random.default_rng(seed)
    means = given[rng.integers(given.size, size=(_RESAMPLES, given.size))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(mean=float(given.mean()), low=float(low), high=float(high))


def replay_many(
    policy: PolicyLike,
    table: OutcomeTable,
    *,
    sessions: int = 100,
    reward: Reward | None = None,
    seed: int = 0,
) -> list[Session]:
    """Replay a policy from fresh starts; session ``i`` has the seed ``seed + i``."""
    return [replay(policy, table, reward=reward, seed=seed + i) for i in range(sessions)]


def sessions_summary(name: str, sessions: Sequence[Session]) -> SessionsSummary:
    """What the sessions of one policy came to."""
    ends = [session.convergence for session in sessions]
    rests = [end.since for end in ends if end.since is not None]
    return SessionsSummary(
        name=name,
        sessions=len(sessions),
        reward=mean_interval([session.rewards.mean() for session in sessions]),
        accuracy=mean_interval([session.summary.accuracy for session in sessions]),
        cost_usd=mean_interval([session.summary.cost_usd for session in sessions]),
        latency_s=mean_interval([session.summary.latency_s for session in sessions]),
        arm_to_sessions=dict(Counter(end.arm for end in ends).most_common()),
        at_rest=len(rests),
        rest_after=float(np.median(rests)) if rests else None,
        lead=float(np.mean([session.probabilities[-1].max() for session in sessions])),
    )

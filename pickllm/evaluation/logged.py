"""Logged decisions as a table of arrays: what off-policy estimates are made from.

    entries = read_log("traffic.jsonl")
    logged = LoggedDecisions.of(entries)                     # with the default reward
    logged = LoggedDecisions.of(entries, reward=WeightedReward(weights=Weights(cost=0.5)))

Each row is one choice of the policy that was live: its probabilities over all eligible arms, the
arm drawn, and what came of the decision, whichever arm took over in the end. Left out, and counted,
are turns that were held (nobody chose), decisions still open or stopped, and those without a score.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.evaluation.log import LogEntry
from pickllm.evaluation.table import Matrix, OutcomeTable
from pickllm.protocols import Reward
from pickllm.rewards import WeightedReward

__all__ = ["Column", "LoggedDecisions", "log_warnings", "logged_from_table"]

Column: TypeAlias = NDArray[np.float64]
"""``[decisions]``"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedDecisions:
    """Decisions of a policy, oldest first."""

    arms: tuple[str, ...]
    chosen: NDArray[np.intp]
    """``[decisions]``, index of the arm drawn."""
    probabilities: Matrix
    """``[decisions, arms]``, exact, rows sum to 1; 0 for an arm that was not eligible."""
    eligible: NDArray[np.bool_]
    """``[decisions, arms]``"""
    reward: Column
    score: Column
    cost_usd: Column
    """NaN where unknown."""
    latency_s: Column
    time_s: Column
    features: Matrix
    """``[decisions, dim]``; dim is 0 where nobody looked at the prompts."""
    values: Matrix
    """``[decisions, arms]``, what the policy expected of each arm; NaN where it did not say."""
    arm_to_feedback_rate: Mapping[str, float] = field(default_factory=dict)
    """Of the decisions for each arm, how many were judged."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why rows of the log are not here, and how many."""

    def __post_init__(self) -> None:
        rows, arms = len(self.chosen), len(self.arms)
        shapes = {
            **dict.fromkeys(("probabilities", "eligible", "values"), (rows, arms)),
            **dict.fromkeys(("reward", "score", "cost_usd", "latency_s", "time_s"), (rows,)),
            "features": (rows, self.features.shape[-1]),
        }
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ConfigError(f"{name} has shape {found}; it must be {shape}")
        if not rows:
            why = f"; left out were {dict(self.left_out)}" if self.left_out else ": none is there"
            raise ConfigError(f"no decision is left to learn anything from{why}")
        if not np.allclose(self.probabilities.sum(axis=1), 1.0, atol=1e-6):
            raise ConfigError("the probabilities of a decision do not add up to 1")
        if not np.all(self.propensity > 0.0):
            raise ConfigError("an arm was drawn whose probability was 0: these are not the odds")

    @classmethod
    def of(
        cls,
        entries: Iterable[LogEntry],
        *,
        reward: Reward | None = None,
        source: str | None = None,
        unjudged: float | None = None,
    ) -> "LoggedDecisions":
        """The choices in a log.

        Args:
            entries: As `read_log` gives them.
            reward: Makes one number of score, cost and latency; the default one if None. It need
                not be the one that was live: what other weights would have said can be asked.
            source: Whose scores count; None takes the mean of all sources of a decision.
            unjudged: The score of decisions that nobody judged; None leaves these out.
        """
        entries, left_out = list(entries), Counter[str]()
        counts: Counter[str] = Counter()
        judged: Counter[str] = Counter()
        kept: list[tuple[LogEntry, float]] = []
        for entry in entries:
            why_not = _why_not(entry)
            if why_not:
                left_out[why_not] += 1
                continue
            score = _score(entry, source)
            counts[entry.arm] += 1
            judged[entry.arm] += score is not None
            score = unjudged if score is None else score
            if score is None:
                left_out["not judged"] += 1
            else:
                kept.append((entry, score))
        return _table(
            kept,
            reward or WeightedReward(),
            arm_to_feedback_rate={arm: judged[arm] / count for arm, count in counts.items()},
            left_out=dict(left_out),
        )

    def __len__(self) -> int:
        """How many decisions there are."""
        return len(self.chosen)

    @property
    def propensity(self) -> Column:
        """Probability of the arm that was drawn, ``[decisions]``."""
        drawn: Column = self.probabilities[np.arange(len(self)), self.chosen]
        return drawn

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "LoggedDecisions":
        """Some of the decisions: their numbers, or a mask ``[decisions]``."""
        names = ("chosen", "probabilities", "eligible", "reward", "score", "cost_usd")
        more = ("latency_s", "time_s", "features", "values")
        return replace(self, **{name: getattr(self, name)[rows] for name in (*names, *more)})

    def always(self, arm: str) -> Matrix:
        """One arm wherever it was eligible, ``[decisions, arms]``; else any that was."""
        index = self.arms.index(arm)
        return np.where(self.eligible[:, [index]], np.eye(len(self.arms))[index], self.uniform())

    def uniform(self) -> Matrix:
        """Any eligible arm, all equally likely, ``[decisions, arms]``."""
        shares: Matrix = self.eligible / self.eligible.sum(axis=1, keepdims=True)
        return shares


def logged_from_table(
    table: OutcomeTable,
    probabilities: Matrix,
    *,
    reward: Reward | None = None,
    features: Matrix | None = None,
    seed: int = 0,
) -> LoggedDecisions:
    """What a policy with these ``probabilities`` ``[prompts, arms]`` would have logged.

    The table knows what every arm would have earned, so what an estimate from this log says can be
    held against the truth.
    """
    if probabilities.shape != table.score.shape:
        raise ConfigError(
            f"probabilities have shape {probabilities.shape}; the table's is {table.score.shape}"
        )
    rows = np.arange(len(table))
    marks = np.random.default_rng(seed).random((len(table), 1))
    chosen = np.minimum((marks >= probabilities.cumsum(axis=1)).sum(axis=1), len(table.arms) - 1)
    return LoggedDecisions(
        arms=table.arms,
        chosen=chosen.astype(np.intp),
        probabilities=probabilities,
        eligible=np.ones_like(probabilities, dtype=np.bool_),
        reward=table.rewards(reward or WeightedReward())[rows, chosen],
        score=table.score[rows, chosen],
        cost_usd=table.cost_usd[rows, chosen],
        latency_s=table.latency_s[rows, chosen],
        time_s=rows.astype(np.float64),
        features=np.zeros((len(table), 0)) if features is None else features,
        values=np.full_like(probabilities, np.nan),
    )


def log_warnings(logged: LoggedDecisions) -> tuple[str, ...]:
    """What makes a log doubtful, whatever is asked of it; in words.

    An arm drawn far more or less often than its probabilities say (four standard errors) shows
    that these are not the odds it was drawn with. Feedback that is much rarer for one arm than for
    another makes those judged a chosen few.
    """
    told = []
    drawn = np.bincount(logged.chosen, minlength=len(logged.arms))
    expected = logged.probabilities.sum(axis=0)
    spread = np.sqrt((logged.probabilities * (1.0 - logged.probabilities)).sum(axis=0))
    for index, arm in enumerate(logged.arms):
        if abs(drawn[index] - expected[index]) > 4.0 * spread[index] + 1e-6 * len(logged):
            told.append(
                f"{arm!r} was drawn {drawn[index]} times where its probabilities add up to "
                f"{expected[index]:.1f}: these are not the odds it was drawn with, or what is left "
                "out of the log is not left out by chance"
            )
    rates = logged.arm_to_feedback_rate
    if rates and min(rates.values()) < 0.8 * max(rates.values()):
        rare, often = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
        told.append(
            f"{rates[rare]:.0%} of the answers of {rare!r} were judged and {rates[often]:.0%} of "
            f"{often!r}: estimates speak of judged answers alone"
        )
    return tuple(told)


def _why_not(entry: LogEntry) -> str:
    """Why an entry is no choice to learn from; empty where it is one."""
    if entry.held or entry.begun_by:
        return "held"
    if entry.status == "open":
        return "open"
    return "" if entry.status in ("ok", "abandoned", "error") else entry.status


def _score(entry: LogEntry, source: str | None) -> float | None:
    """A failure is worth nothing, whatever is said of it."""
    if entry.status == "error":
        return 0.0
    if source is not None:
        return entry.source_to_score.get(source)
    return fmean(entry.source_to_score.values()) if entry.source_to_score else None


def _table(
    kept: Sequence[tuple[LogEntry, float]],
    reward: Reward,
    *,
    arm_to_feedback_rate: Mapping[str, float],
    left_out: Mapping[str, int],
) -> LoggedDecisions:
    arms = tuple(dict.fromkeys(arm for entry, _ in kept for arm in entry.arms))
    place = {arm: index for index, arm in enumerate(arms)}
    probabilities = np.zeros((len(kept), len(arms)))
    values = np.full((len(kept), len(arms)), np.nan)
    eligible = np.zeros((len(kept), len(arms)), dtype=np.bool_)
    for row, (entry, _) in enumerate(kept):
        columns = [place[arm] for arm in entry.arms]
        probabilities[row, columns] = entry.probabilities
        eligible[row, columns] = True
        if entry.values:
            values[row, columns] = [np.nan if each is None else each for each in entry.values]
    priced = all(entry.cost_usd is not None for entry, _ in kept)
    return LoggedDecisions(
        arms=arms,
        chosen=np.array([place[entry.arm] for entry, _ in kept], dtype=np.intp),
        probabilities=probabilities,
        eligible=eligible,
        reward=np.array([_reward(reward, entry, score, priced=priced) for entry, score in kept]),
        score=np.array([score for _, score in kept]),
        cost_usd=np.array(
            [np.nan if entry.cost_usd is None else entry.cost_usd for entry, _ in kept]
        ),
        latency_s=np.array([entry.latency_s for entry, _ in kept]),
        time_s=np.array([entry.time_s for entry, _ in kept]),
        features=_features(kept),
        values=values,
        arm_to_feedback_rate=arm_to_feedback_rate,
        left_out=left_out,
    )


def _reward(reward: Reward, entry: LogEntry, score: float, *, priced: bool) -> float:
    """A failure earns nothing, as for the live policy; costs count only where all are known."""
    if entry.status == "error":
        return 0.0
    cost_usd = entry.cost_usd if priced else None
    return reward(score=score, cost_usd=cost_usd, latency_s=entry.latency_s)


def _features(kept: Sequence[tuple[LogEntry, float]]) -> Matrix:
    dims = {len(entry.features) for entry, _ in kept}
    if len(dims) > 1:
        raise ConfigError(
            f"the log holds features of the lengths {sorted(dims)}: it spans a change of the "
            "featurizer; cut it there"
        )
    return np.array([entry.features for entry, _ in kept], dtype=np.float64).reshape(
        len(kept), next(iter(dims), 0)
    )

"""Policies beside those that need no policy, on a log or on a table, as rows of words.

    on a log      what each would have earned, by estimates with their intervals
    on a table    what each does earn, replayed, for the table knows every outcome

The rows beside are not kind: every single arm and the best of them by hindsight, any arm at random,
and the policy that was live.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from pickllm.evaluation.baselines import always, oracle, random_mixture
from pickllm.evaluation.logged import LoggedDecisions
from pickllm.evaluation.off_policy import Estimate
from pickllm.evaluation.outcome_model import cross_fitted
from pickllm.evaluation.page import summary_rows
from pickllm.evaluation.sessions import mean_interval, replay_many, sessions_summary
from pickllm.evaluation.table import Matrix, OutcomeTable, Summary
from pickllm.evaluation.what_if import LearnsFrom, WhatIf, what_if, what_if_fixed
from pickllm.policies import PolicyLike
from pickllm.protocols import Reward
from pickllm.rewards import WeightedReward

__all__ = [
    "LOG_HEAD",
    "TABLE_HEAD",
    "LogComparison",
    "compare_on_log",
    "compare_on_table",
    "weights_told",
]

LOG_HEAD = ("", "SNIPS (95 %)", "DR (95 %)", "ESS", "clipped", "decisions")
"""Columns of `LogComparison.rows`."""

TABLE_HEAD = ("", "reward (95 %)", "accuracy", "cost", "latency")
"""Columns of `compare_on_table`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogComparison:
    """What each policy would have earned on one log."""

    policies: tuple[WhatIf, ...]
    arms: tuple[WhatIf, ...]
    """Each arm alone."""
    random: WhatIf
    logged: WhatIf

    @property
    def best_arm(self) -> WhatIf:
        """The single arm with the highest estimate: chosen by hindsight, on these very rows."""
        return max(self.arms, key=lambda each: _value(each.method_to_estimate["dr"]))

    @property
    def rows(self) -> list[list[str]]:
        """One for each, policies first."""
        best = self.best_arm
        arms = [
            _row(f"{each.name} (best)" if each is best else each.name, each) for each in self.arms
        ]
        policies = [_row(each.name, each) for each in self.policies]
        live = [_row("random", self.random), _row("as logged", self.logged)]
        return [*policies, *arms, *live]

    @property
    def warnings(self) -> list[str]:
        """What makes the estimates of the policies, and of the best arm, doubtful."""
        return [
            f"{each.name}: {words}"
            for each in (*self.policies, self.best_arm)
            for words in each.warnings
        ]


def compare_on_log(
    logged: LoggedDecisions,
    policies: Mapping[str, PolicyLike],
    *,
    learns_from: LearnsFrom = "accepted",
    seed: int = 0,
) -> LogComparison:
    """Estimate each policy, by name, and what stands beside them."""
    predicted = cross_fitted(
        logged.chosen,
        logged.reward,
        arms=len(logged.arms),
        features=logged.features,
        seed=seed,
    )

    def fixed(name: str, target: Matrix) -> WhatIf:
        return what_if_fixed(logged, target, name=name, predicted=predicted, seed=seed)

    return LogComparison(
        policies=tuple(
            what_if(
                logged,
                policy,
                name=name,
                learns_from=learns_from,
                predicted=predicted,
                seed=seed,
            )
            for name, policy in policies.items()
        ),
        arms=tuple(fixed(f"always {arm}", logged.always(arm)) for arm in logged.arms),
        random=fixed("random", logged.uniform()),
        logged=fixed("as logged", logged.probabilities),
    )


def compare_on_table(
    table: OutcomeTable,
    policies: Mapping[str, PolicyLike],
    *,
    reward: Reward,
    sessions: int = 20,
    seed: int = 0,
) -> list[list[str]]:
    """Replay each policy, by name, ``sessions`` times; with each arm alone, random and oracle."""
    replayed = {
        name: replay_many(policy, table, sessions=sessions, reward=reward, seed=seed)
        for name, policy in policies.items()
    }
    rows = [
        [
            name,
            f"{mean_interval([each.rewards.mean() for each in done]):.3f}",
            *summary_rows([sessions_summary(name, done).means])[0][1:],
        ]
        for name, done in replayed.items()
    ]
    rewards = table.rewards(reward)
    best = int(rewards.mean(axis=0).argmax())
    singles = [
        _summary_row(
            always(table, arm),
            float(rewards[:, index].mean()),
            f"always {arm}{' (best)' if index == best else ''}",
        )
        for index, arm in enumerate(table.arms)
    ]
    return [
        *rows,
        *singles,
        _summary_row(random_mixture(table), float(rewards.mean()), "random"),
        _summary_row(oracle(table), float("nan"), "oracle"),
    ]


def weights_told(reward: Reward | None) -> str:
    """What was weighed how in these rewards, which need not be what was live; empty where unsaid.

    >>> weights_told(WeightedReward())
    'Rewards weigh quality 0.8, cost 0.15 and latency 0.05.'
    """
    weighted = reward or WeightedReward()
    if not isinstance(weighted, WeightedReward):
        return ""
    quality, cost, latency = weighted.weights.by_name.values()
    return f"Rewards weigh quality {quality:g}, cost {cost:g} and latency {latency:g}."


def _summary_row(summary: Summary, reward: float, name: str) -> list[str]:
    shown = "" if isnan(reward) else f"{reward:.3f}"
    return [name, shown, *summary_rows([summary])[0][1:]]


def _row(name: str, found: WhatIf) -> list[str]:
    snips, robust = (found.method_to_estimate[method] for method in ("snips", "dr"))
    return [
        name,
        _told(snips),
        _told(robust),
        f"{robust.ess:.0f}",
        f"{robust.clip_rate:.1%}",
        f"{found.steps}",
    ]


def _told(estimate: Estimate) -> str:
    """Value and half the width of its interval, which is symmetric here.

    Where no row of the log agrees, a prediction is all there is, and its interval says nothing.
    """
    half = (estimate.high - estimate.low) / 2.0
    return f"{estimate.value:.3f} ± {half:.3f}" if _known(estimate) else "unknown"


def _known(estimate: Estimate) -> bool:
    return estimate.ess > 0.0 and not isnan(estimate.value)


def _value(estimate: Estimate) -> float:
    return estimate.value if _known(estimate) else -np.inf

"""The unflattering rows of every table: each arm alone, chance, and what hindsight would have done.

>>> from pickllm.evaluation.table import OutcomeTable
>>> table = OutcomeTable(
...     arms=("small", "large"),
...     score=np.array([[1.0, 1.0], [0.0, 1.0]]),
...     cost_usd=np.array([[0.001, 0.01], [0.001, 0.01]]),
...     latency_s=np.array([[0.1, 0.5], [0.1, 0.5]]),
... )
>>> oracle(table).cost_usd, random_mixture(table).accuracy
(0.011, 0.75)
"""

import numpy as np

from pickllm.evaluation.table import OutcomeTable, Summary
from pickllm.protocols import Reward

__all__ = ["always", "best_arm", "oracle", "random_mixture"]


def always(table: OutcomeTable, arm: str) -> Summary:
    """One arm for every prompt."""
    chosen = np.full(len(table), table.arms.index(arm), dtype=np.intp)
    return table.summary(f"always {arm}", chosen)


def best_arm(table: OutcomeTable, reward: Reward) -> str:
    """The arm with the highest mean reward: where a learner that looks at no prompt should end."""
    return table.arms[int(table.rewards(reward).mean(axis=0).argmax())]


def random_mixture(table: OutcomeTable) -> Summary:
    """Any arm, all equally likely: the expectation, not one draw."""
    return Summary(
        name="random",
        accuracy=float(table.score.mean()),
        cost_usd=float(table.cost_usd.mean(axis=1).sum()),
        latency_s=float(table.latency_s.mean()),
    )


def oracle(table: OutcomeTable) -> Summary:
    """For each prompt the cheapest of the best answers: no router can do better.

    Where prices are unknown, the fastest of the best.
    """
    price = np.where(np.isnan(table.cost_usd), np.inf, table.cost_usd)
    best = table.score >= table.score.max(axis=1, keepdims=True)
    order = np.lexsort((table.latency_s, price, ~best), axis=1)
    return table.summary("oracle", order[:, 0])

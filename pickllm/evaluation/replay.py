"""A policy over a table of outcomes, one prompt after another, through the very router that serves.

The router sees of each prompt only what the arm that it chose did, as it would live.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickllm.convergence import Convergence
from pickllm.evaluation.table import Matrix, OutcomeTable, Summary
from pickllm.policies import PolicyLike
from pickllm.protocols import Reward
from pickllm.rewards import WeightedReward
from pickllm.router import Router
from pickllm.types import Arm, Attempt, Outcome, Request

__all__ = ["Session", "replay"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What a policy did in one pass over a table."""

    arms: tuple[str, ...]
    chosen: NDArray[np.intp]
    """``[prompts]``, index of the arm asked."""
    probabilities: Matrix
    """``[prompts, arms]``"""
    rewards: Matrix
    """``[prompts]``, of the arms asked."""
    costs_usd: Matrix
    """``[prompts]``"""
    summary: Summary
    convergence: Convergence


def replay(
    policy: PolicyLike,
    table: OutcomeTable,
    *,
    reward: Reward | None = None,
    seed: int = 0,
    name: str = "router",
    shuffle: bool = True,
) -> Session:
    """Run a policy over the prompts of a table, in an order that ``seed`` shuffles."""
    rule = reward or WeightedReward()
    order = np.random.default_rng(seed).permutation(len(table)) if shuffle else range(len(table))
    router = Router(
        arms=[Arm(name=arm, usd_per_hour=0.0) for arm in table.arms],
        policy=policy,
        reward=rule,
        seed=seed,
        max_decisions=len(table),
    )
    rewards = table.rewards(rule)
    chosen = np.empty(len(table), dtype=np.intp)
    for row in order:
        chosen[row] = _step(router, table, int(row))
    rows = np.asarray(order)
    return Session(
        arms=table.arms,
        chosen=chosen[rows],
        probabilities=np.array([record.decision.probabilities for record in router.ledger]),
        rewards=rewards[rows, chosen[rows]],
        costs_usd=table.cost_usd[rows, chosen[rows]],
        summary=table.summary(name, chosen),
        convergence=router.convergence(),
    )


def _step(router: Router, table: OutcomeTable, row: int) -> int:
    decision = router.decide(Request(text=""))
    arm = table.arms.index(decision.arm)
    cost = float(table.cost_usd[row, arm])
    attempt = Attempt(
        arm=decision.arm,
        status="ok",
        latency_s=float(table.latency_s[row, arm]),
        cost_usd=None if np.isnan(cost) else cost,
    )
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.feedback(decision.id, float(table.score[row, arm]), source="table")
    return arm

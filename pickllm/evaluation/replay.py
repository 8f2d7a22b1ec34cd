"""A policy over a table of outcomes, one prompt after another, through the very router that serves.

The router sees of each prompt only what the arm that it chose did, as it would live.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickllm.convergence import Convergence
from pickllm.evaluation.table import Matrix, OutcomeTable, Summary
from pickllm.policies import PolicyLike
from pickllm.protocols import Featurizer, Reward
from pickllm.rewards import WeightedReward
from pickllm.router import Router
from pickllm.types import Arm, Attempt, Outcome, Request, Usage

__all__ = ["Session", "replay"]

_BEGINNING_S = 1e9


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
    featurizer: Featurizer | None = None,
    interval_s: float = 1.0,
) -> Session:
    """Run a policy over the prompts of a table, in an order that ``seed`` shuffles.

    A request comes every ``interval_s`` of the router's time, for policies that forget by age.
    Without ``featurizer``, the table's own features are handed over, or its prompts looked at.
    """
    rule = reward or WeightedReward()
    order = np.random.default_rng(seed).permutation(len(table)) if shuffle else range(len(table))
    router = Router(
        arms=table.cards or [_without_a_price(arm) for arm in table.arms],
        policy=policy,
        reward=rule,
        featurizer=featurizer,
        seed=seed,
        max_decisions=max(len(table), 1),
        clock=lambda: _BEGINNING_S + interval_s * len(router.ledger),
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
    text = table.prompts[row] if table.prompts else ""
    features = None if table.features is None else table.features[row].astype(np.float32)
    decision = router.decide(Request(text=text, tokens=_tokens(table, row)), features)
    arm = table.arms.index(decision.arm)
    cost = float(table.cost_usd[row, arm])
    attempt = Attempt(
        arm=decision.arm,
        status="ok",
        latency_s=float(table.latency_s[row, arm]),
        cost_usd=None if np.isnan(cost) else cost,
        usage=_usage(table, row, arm),
    )
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.feedback(decision.id, float(table.score[row, arm]), source="table")
    return arm


def _without_a_price(arm: str) -> Arm:
    """Its costs are the table's; a price of nothing by the token says that they are known."""
    return Arm(name=arm, usd_per_mtok_in=0.0, usd_per_mtok_out=0.0)


def _tokens(table: OutcomeTable, row: int) -> int:
    return 0 if table.tokens_in is None else int(np.nanmean(table.tokens_in[row]))


def _usage(table: OutcomeTable, row: int, arm: int) -> Usage | None:
    if table.tokens_in is None or table.tokens_out is None:
        return None
    tokens = table.tokens_in[row, arm], table.tokens_out[row, arm]
    if np.isnan(tokens).any():
        return None
    return Usage(tokens_in=int(tokens[0]), tokens_out=int(tokens[1]))

"""The sweep is exact: what it says of a cascade is what the cascade does."""

from dataclasses import replace
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickllm import ConfigError
from pickllm.cascading import (
    Plan,
    ScoredTable,
    Sweep,
    ThresholdCascade,
    best_within,
    cheapest_reaching,
    frontier,
)
from pickllm.rng import Rng
from pickllm.testing import situation
from pickllm.types import Draft
from tests.cascading.worlds import ALIKE, world

RNG = Rng(seed=1, number=1)


@st.composite
def tables(draw: st.DrawFn) -> ScoredTable:
    """Small tables with many equal scores."""
    rows, arms = draw(st.integers(2, 9)), draw(st.integers(2, 3))
    numbers = st.lists(
        st.lists(st.integers(0, 4), min_size=arms, max_size=arms), min_size=rows, max_size=rows
    )
    score, quality, cost = (np.array(draw(numbers), dtype=float) for _ in range(3))
    return ScoredTable(
        arms=("a", "b", "c")[:arms],
        score=score / 5.0,
        quality=quality / 4.0,
        cost_usd=cost + 1.0,
        scorer_usd=draw(st.sampled_from([0.0, 0.5])),
    )


def by_moves(table: ScoredTable, plan: Plan) -> tuple[float, float]:
    """Mean quality and cost of the cascade itself, asked row by row."""
    cascade = ThresholdCascade(
        order=plan.order,
        thresholds=plan.thresholds,
        stop_below=plan.stop_below,
        scorer=ALIKE,
    )
    asked = situation(*table.arms)
    quality, cost = [], 0.0
    for row in range(len(table)):
        drafts: list[Draft] = []
        while (move := cascade.move(asked, drafts, RNG)).ask is not None:
            arm = table.arms.index(move.ask)
            paid = float(table.cost_usd[row, arm]) + table.scorer_usd * (len(plan.order) > 1)
            score = float(table.score[row, arm])
            drafts.append(Draft(arm=move.ask, score=score, cost_usd=paid, latency_s=0.0))
            cost += paid
        assert move.show is not None
        quality.append(table.quality[row, table.arms.index(drafts[move.show].arm)])
    return float(np.mean(quality)), cost / len(table)


def brute_force(table: ScoredTable) -> list[Plan]:
    """Every order with every threshold that tells two rows apart."""
    cuts = [*np.unique(table.score).tolist(), 1.0]
    plans = [
        Plan(order=order, thresholds=thresholds)
        for length in range(1, len(table.arms) + 1)
        for order in permutations(table.arms, length)
        for thresholds in product(cuts, repeat=length - 1)
    ]
    played = [table.played(plan) for plan in plans]
    return [
        replace(plan, quality=float(each.quality.mean()), cost_usd=float(each.cost_usd.mean()))
        for plan, each in zip(plans, played, strict=True)
    ]


@given(tables())
@settings(max_examples=40, deadline=None)
def test_what_the_sweep_says_of_a_plan_is_what_the_cascade_does(table: ScoredTable) -> None:
    """Quality and cost are those of asking row by row, and of playing the table."""
    for plan in frontier(table, Sweep(stops=True)):
        played = table.played(plan)
        said = pytest.approx((plan.quality, plan.cost_usd))
        assert (played.quality.mean(), played.cost_usd.mean()) == said
        assert by_moves(table, plan) == said


@given(tables(), st.floats(1.0, 12.0))
@settings(max_examples=40, deadline=None)
def test_sweep_finds_what_brute_force_finds(table: ScoredTable, budget: float) -> None:
    """On small tables the grid holds every threshold: the best within a budget is the best."""
    plans = brute_force(table)
    within = [plan.quality for plan in plans if plan.cost_usd <= budget + 1e-12]
    if not within:
        with pytest.raises(ConfigError, match="costs at most"):
            best_within(frontier(table), mean_usd=budget)
        return
    found = best_within(frontier(table), mean_usd=budget + 1e-12)
    assert found.quality == pytest.approx(max(within))
    assert found.cost_usd <= budget + 1e-9


def test_frontier_rises_in_both() -> None:
    """Each plan costs more than the one before, and is better."""
    plans = frontier(world(1))
    assert all(a.cost_usd < b.cost_usd and a.quality < b.quality for a, b in pairwise(plans))


def test_limit_on_the_tail_is_kept() -> None:
    """At most that share of rows costs more than the limit."""
    table = world(2)
    sweep = Sweep(tail_usd=0.02, tail_share=0.1)
    for plan in frontier(table, sweep):
        assert (table.played(plan).cost_usd > 0.02).mean() <= 0.1
    with pytest.raises(ConfigError, match="dear"):
        frontier(table, Sweep(tail_usd=1e-9, tail_share=0.0))


def test_weights_count_rows_as_often() -> None:
    """A row of weight two is two rows."""
    table = world(3, rows=60)
    twice = table.take(np.concatenate([np.arange(60), np.arange(30)]))
    weighed = replace(table, weight=np.repeat([2.0, 1.0], 30))
    ours, theirs = frontier(weighed, Sweep(arms=2)), frontier(twice, Sweep(arms=2))
    assert [plan.quality for plan in ours] == pytest.approx([plan.quality for plan in theirs])
    assert [plan.order for plan in ours] == [plan.order for plan in theirs]


def test_scoring_is_paid_for() -> None:
    """What a score costs is part of every cascade, and of no single arm."""
    free, paid = world(4), replace(world(4), scorer_usd=0.01)
    single = Plan(order=("large",), thresholds=())
    chain = Plan(order=("small", "large"), thresholds=(0.5,))
    assert free.played(single).cost_usd.mean() == paid.played(single).cost_usd.mean()
    more = paid.played(chain).cost_usd - free.played(chain).cost_usd
    assert more == pytest.approx(0.01 * free.played(chain).asked)


def test_cheapest_reaching_takes_the_best_where_none_reaches() -> None:
    """A wanted quality that nothing has gives the best there is."""
    plans = frontier(world(5))
    assert cheapest_reaching(plans, quality=2.0) == plans[-1]
    assert cheapest_reaching(plans, quality=0.0) == plans[0]


def test_three_arms_of_a_thousand_rows_keep_their_lead() -> None:
    """A cascade of three is on the frontier of a world in which each arm has its prompts."""
    orders = {len(plan.order) for plan in frontier(world(6, rows=1_000, noise=0.1))}
    assert 3 in orders


@pytest.mark.parametrize("bad", [{"arms": 4}, {"grid": 2}, {"tail_share": 2.0}, {"tail_usd": 0.0}])
def test_sweeps_that_cannot_work_are_refused(bad: dict[str, float]) -> None:
    """What is wrong is said when they are made."""
    with pytest.raises(ConfigError):
        Sweep(**bad)  # type: ignore[arg-type]  # settings of several types

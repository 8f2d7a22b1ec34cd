"""What is confirmed holds: over many worlds, and where nothing can be confirmed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError
from pickllm.betting import p_above
from pickllm.cascading import CascadeSelection, Plan, Recorded, fit_quality_model, parts_of
from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.selection import Candidate, confirmed
from pickllm.features import HashedText
from tests.cascading.worlds import ALIKE, world


def test_bets_are_seldom_won_where_the_mean_is_at_the_bound() -> None:
    """Over 400 worlds on the edge, an error of ten per cent is not exceeded."""
    rng = np.random.default_rng(0)
    wins = [
        p_above(rng.choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.82, 0.08]), bound=-0.02, confidence=0.9)
        for _ in range(400)
    ]
    assert np.mean(np.array(wins) <= 0.1) <= 0.1 + 0.03


def test_bets_are_won_where_the_mean_is_clearly_above() -> None:
    """Paired differences that are mostly zero are told apart with some hundred rows."""
    rng = np.random.default_rng(1)
    odds = [0.02, 0.9, 0.08]
    wins = [
        p_above(rng.choice([-1.0, 0.0, 1.0], 1_000, p=odds), bound=-0.01, confidence=0.9)
        for _ in range(50)
    ]
    assert np.mean(np.array(wins) <= 0.1) > 0.9


@given(st.lists(st.floats(-1.0, 1.0), max_size=30), st.floats(-0.9, 0.9))
def test_p_is_a_probability(values: list[float], bound: float) -> None:
    """Whatever the values: in [0, 1], and 1 where nothing is above the bound."""
    found = p_above(values, bound=bound, confidence=0.9)
    assert 0.0 <= found <= 1.0
    if all(value <= bound for value in values):
        assert found == 1.0


def test_confirmed_bound_holds_over_many_worlds() -> None:
    """What is taken is more than epsilon worse, on all prompts of its world, in few worlds."""
    broken = 0
    for seed in range(60):
        everything = world(seed, rows=6_000, noise=0.4, rise=0.2)
        tune, confirm, _ = parts_of(6_000, (0.05, 0.05, 0.9), seed=seed)
        selection = CascadeSelection(epsilon=0.03, delta=0.1)
        found = selection.select(everything.take(tune), everything.take(confirm), seed=seed)
        assert isinstance(found.choice, Plan)
        best = everything.single(everything.arms.index(found.best_single))
        truth = everything.played(found.choice).quality.mean() - best.quality
        broken += truth < -0.03
    assert broken / 60 <= 0.1


def test_what_is_taken_is_cheaper_where_scores_tell_something() -> None:
    """In an easy world a cascade is confirmed, and costs less than the best arm."""
    table = world(7, rows=6_000, noise=0.1)
    tune, confirm = (table.take(part) for part in parts_of(6_000, (0.5, 0.5), seed=1))
    found = CascadeSelection(epsilon=0.02).select(tune, confirm)
    assert found.is_cascade
    assert found.cost_share < 0.8
    assert found.quality >= found.best_quality - 0.02
    assert len(found.rows()) == len(found.tests)
    assert all(test.p_value <= found.delta for test in found.tests[:-1])


def test_best_single_arm_is_taken_where_nothing_is_confirmed() -> None:
    """With a handful of rows nothing can be promised of a cascade."""
    table = world(8, rows=40)
    tune, confirm = (table.take(part) for part in parts_of(40, (0.5, 0.5), seed=1))
    found = CascadeSelection(epsilon=0.001, delta=0.01).select(tune, confirm)
    assert not found.is_cascade
    assert found.choice == tune.single(tune.best_single)
    assert (found.quality, found.cost_share) == (found.best_quality, 1.0)


def test_a_budget_is_kept_where_nothing_is_confirmed() -> None:
    """The best single arm may cost more than that: then the best of those that do not."""
    table = world(8, rows=40)
    tune, confirm = (table.take(part) for part in parts_of(40, (0.5, 0.5), seed=1))
    dearest = tune.single(tune.best_single)
    limit = 0.99 * dearest.cost_usd

    found = CascadeSelection(epsilon=0.001, delta=0.01, max_usd=limit).select(tune, confirm)

    assert isinstance(found.choice, Plan)
    assert found.choice.cost_usd <= limit
    assert (dearest.order, 1) == ((found.best_single,), len(found.choice.order))
    assert found.cost_share < 1.0
    with pytest.raises(ConfigError, match="raise max_usd"):
        CascadeSelection(max_usd=1e-9).select(tune, confirm)


def test_nothing_after_the_first_failure_is_tested() -> None:
    """The order is fixed beforehand, and its first false one ends it."""
    table = world(9, rows=2_000, noise=0.1)
    plans = [
        Plan(order=("large",), thresholds=(), cost_usd=3.0),
        Plan(order=("small",), thresholds=(), cost_usd=2.0),
        Plan(order=("large",), thresholds=(), cost_usd=1.0),
    ]
    candidates = [
        Candidate(choice=plan, cost_usd=plan.cost_usd, played=table.played(plan)) for plan in plans
    ]
    selection = CascadeSelection(epsilon=0.05)
    found = confirmed(
        candidates, table, single=table.single(2), otherwise=table.single(2), selection=selection
    )
    assert found.choice == plans[0]
    assert len(found.tests) == 2


def test_budget_is_kept_on_the_rows_that_say_what_things_cost() -> None:
    """No candidate costs more than the limit there."""
    table = world(10, rows=3_000, noise=0.1)
    tune, confirm = (table.take(part) for part in parts_of(3_000, (0.5, 0.5), seed=1))
    found = CascadeSelection(epsilon=0.2, max_usd=0.03).select(tune, confirm)
    assert found.is_cascade
    assert all(test.tuned_usd < 0.03 for test in found.tests)


def test_predictive_cascades_are_confirmed_alike() -> None:
    """Ever lower worths of quality are tested, the dearest first."""
    table = world(11, rows=4_000, noise=0.15)
    whole = Recorded(table=table, features=np.zeros((4_000, 8)))
    tune, confirm = (whole.take(part) for part in parts_of(4_000, (0.5, 0.5), seed=1))
    cascade = PredictiveCascade(
        model=fit_quality_model(tune.table, tune.features),
        scorer=ALIKE,
        usd_per_quality=1.0,
        featurizer=HashedText(dim=8),
    )
    found = CascadeSelection(epsilon=0.03).select_predictive(cascade, tune, confirm)
    costs = [test.tuned_usd for test in found.tests]
    assert found.is_cascade
    assert found.cost_share < 0.9
    assert costs == sorted(costs, reverse=True)


def test_parts_keep_groups_whole() -> None:
    """Rows of one group are never parted, and each row stands in one part."""
    group = np.repeat(np.arange(50), 4)
    parts = parts_of(200, (0.5, 0.3, 0.2), seed=3, group=group)
    assert (np.sum(parts, axis=0) == 1).all()
    assert all(len({*group[part]} & {*group[~part]}) == 0 for part in parts)
    with pytest.raises(ConfigError, match="add up"):
        parts_of(10, (0.5, 0.4), seed=1)


@pytest.mark.parametrize(
    "bad", [{"epsilon": 0.0}, {"delta": 1.0}, {"candidates": 1}, {"max_usd": 0.0}]
)
def test_promises_that_cannot_be_made_are_refused(bad: dict[str, float]) -> None:
    """What is wrong is said when they are made."""
    with pytest.raises(ConfigError):
        CascadeSelection(**bad)  # type: ignore[arg-type]  # settings of several types

"""Replay of policies over tables of outcomes, and the rows that stand beside them."""

import numpy as np
import pytest

from pickllm import ConfigError, Fixed, LearningAutomaton, WeightedReward, Weights, epsilon_greedy
from pickllm.evaluation import (
    OutcomeTable,
    always,
    best_arm,
    oracle,
    random_mixture,
    replay,
)
from tests.unit.doubles import mistyped

QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))


def make_table(count: int = 400, *, cost_usd: float = 0.01) -> OutcomeTable:
    """A cheap arm that is right one time in two, and a dear one that is right nine in ten."""
    rng = np.random.default_rng(5)
    return OutcomeTable(
        arms=("cheap", "dear"),
        score=(rng.random((count, 2)) < [0.5, 0.9]).astype(float),
        cost_usd=np.tile([cost_usd / 10, cost_usd], (count, 1)),
        latency_s=np.tile([0.1, 0.4], (count, 1)),
    )


def test_a_learning_policy_finds_the_better_arm() -> None:
    """Most prompts of a session go to the arm whose answers are better."""
    session = replay(epsilon_greedy(), make_table(), reward=QUALITY, seed=1)

    assert np.mean(session.chosen[100:] == 1) > 0.8
    assert session.convergence.arm == "dear"


def test_replay_repeats_itself_for_a_seed_and_differs_for_another() -> None:
    """The seed settles both the order of the prompts and the draws."""
    first, again, other = (
        replay(LearningAutomaton(), make_table(), reward=QUALITY, seed=seed) for seed in (3, 3, 4)
    )

    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    np.testing.assert_array_equal(first.chosen, again.chosen)
    assert not np.array_equal(first.chosen, other.chosen)


def test_replaying_one_arm_is_that_arm_s_own_row() -> None:
    """A fixed policy comes to the very figures of its arm alone."""
    table = make_table()

    session = replay(Fixed(arm="dear"), table, reward=QUALITY, name="always dear")

    assert always(table, "dear") == session.summary


def test_the_router_s_costs_and_rewards_are_those_of_the_arms_it_asked() -> None:
    """Per-prompt figures add up to the summary."""
    table = make_table()

    session = replay(epsilon_greedy(), table, reward=QUALITY)

    assert session.summary.cost_usd == pytest.approx(session.costs_usd.sum())
    assert session.summary.accuracy == pytest.approx(session.rewards.mean())


def test_the_oracle_is_never_beaten_and_pays_no_more_than_it_must() -> None:
    """For each prompt it takes the cheapest among the best answers."""
    table = make_table()

    best = oracle(table)

    assert best.accuracy == pytest.approx(table.score.max(axis=1).mean())
    cheap_is_enough = table.score[:, 0] >= table.score[:, 1]
    expected = np.where(cheap_is_enough, table.cost_usd[:, 0], table.cost_usd[:, 1]).sum()
    assert expected == pytest.approx(best.cost_usd)


def test_random_is_the_mean_of_the_arms() -> None:
    """The random row is an expectation, so it is the mean of the single arms' rows."""
    table = make_table()

    alone = [always(table, arm) for arm in table.arms]

    assert np.mean([row.accuracy for row in alone]) == pytest.approx(random_mixture(table).accuracy)
    assert np.mean([row.cost_usd for row in alone]) == pytest.approx(random_mixture(table).cost_usd)


def test_the_best_arm_is_the_one_that_earns_most() -> None:
    """Which arm is best is the reward's to say: another weight, another arm."""
    thrift = WeightedReward(weights=Weights(quality=0.0, cost=1.0, latency=0.0))

    assert "dear" == best_arm(make_table(), QUALITY)
    assert "cheap" == best_arm(make_table(), thrift)


def test_some_prompts_of_a_table_are_a_table() -> None:
    """By a mask or by numbers, every matrix loses the same rows."""
    table = make_table(10)
    even = np.arange(10) % 2 == 0

    by_mask, by_number = table.take(even), table.take(np.flatnonzero(even))

    assert 5 == len(by_mask)
    for name in ("score", "cost_usd", "latency_s"):
        np.testing.assert_array_equal(getattr(table, name)[::2], getattr(by_mask, name))
        np.testing.assert_array_equal(getattr(by_number, name), getattr(by_mask, name))


def test_where_a_price_is_unknown_cost_stays_out_of_every_reward() -> None:
    """One NaN among the costs, and rewards are those of a table without costs."""
    table = make_table(cost_usd=float("nan"))
    reward = WeightedReward(weights=Weights(quality=0.5, cost=0.5, latency=0.0))

    np.testing.assert_array_equal(table.score, table.rewards(reward))


@pytest.mark.parametrize("field", ["score", "cost_usd", "latency_s"])
def test_a_matrix_of_the_wrong_shape_is_refused(field: str) -> None:
    """The error names the matrix and both shapes."""
    fields = {name: np.zeros((3, 2)) for name in ("score", "cost_usd", "latency_s")}
    fields[field] = np.zeros((3, 1))

    with pytest.raises(ConfigError, match=rf"{field} has shape \(3, 1\); .* is \(\d, 2\)"):
        OutcomeTable(arms=("a", "b"), **mistyped(fields))


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    """Scores outside [0, 1] and NaN are errors, found when the table is made."""
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        OutcomeTable(
            arms=("a",),
            score=np.array([[score]]),
            cost_usd=np.zeros((1, 1)),
            latency_s=np.zeros((1, 1)),
        )

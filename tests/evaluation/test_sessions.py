"""Many sessions of one policy: means, intervals, and where they end."""

import numpy as np
import pytest

from pickllm import ConfigError, Fixed, LearningAutomaton, Random
from pickllm.evaluation import (
    Interval,
    always,
    mean_interval,
    random_mixture,
    replay,
    replay_many,
    sessions_summary,
)
from pickllm.evaluation.table import Matrix
from tests.evaluation.test_replay import QUALITY, make_table


def test_sessions_differ_by_their_seeds_alone() -> None:
    """Session number two is the replay with the seed two above the first one's."""
    sessions = replay_many(LearningAutomaton(), make_table(80), sessions=3, seed=5)

    again = replay(LearningAutomaton(), make_table(80), seed=7)
    np.testing.assert_array_equal(again.probabilities, sessions[2].probabilities)
    assert not np.array_equal(sessions[0].chosen, sessions[1].chosen)


def test_sessions_of_one_arm_are_that_arm_s_row_without_a_doubt() -> None:
    """What nothing is drawn for has an interval of no width."""
    table = make_table(60)

    summary = sessions_summary("always dear", replay_many(Fixed(arm="dear"), table, sessions=4))

    row = always(table, "dear")
    assert row.name == summary.means.name
    assert row.accuracy == pytest.approx(summary.means.accuracy)
    for end in (summary.cost_usd.low, summary.means.cost_usd, summary.cost_usd.high):
        assert row.cost_usd == pytest.approx(end)
    assert {"dear": 4} == summary.arm_to_sessions
    assert (4, 0, 4) == (summary.at_rest, summary.not_on("dear"), summary.not_on("cheap"))
    assert (0.0, 1.0) == (summary.rest_after, summary.lead)


def test_chance_comes_to_the_mean_of_the_arms() -> None:
    """The interval over sessions of random choices holds the expectation; none comes to rest."""
    table = make_table(60)

    summary = sessions_summary("random", replay_many(Random(), table, sessions=50))

    expected = random_mixture(table)
    assert summary.cost_usd.low < expected.cost_usd < summary.cost_usd.high
    assert summary.latency_s.low < expected.latency_s < summary.latency_s.high
    assert (0, None) == (summary.at_rest, summary.rest_after)
    assert {None: 50} == summary.arm_to_sessions


def test_a_high_learning_rate_comes_to_rest_sooner_and_on_worse_arms() -> None:
    """What the PickLLM paper says of learning rates, and what a careful reader suspects."""
    slow, fast = (
        sessions_summary(
            f"{step}",
            replay_many(LearningAutomaton(step=step), make_table(), sessions=30, reward=QUALITY),
        )
        for step in (0.05, 0.5)
    )

    assert slow.not_on("dear") < fast.not_on("dear")
    assert slow.rest_after is not None
    assert fast.rest_after is not None
    assert fast.rest_after < slow.rest_after
    assert fast.reward.mean < slow.reward.mean


def test_an_interval_is_that_of_the_mean() -> None:
    """95 % of the means of samples like this one: two standard errors to each side."""
    values = np.random.default_rng(1).normal(10.0, 2.0, size=400)

    interval = mean_interval(values)

    assert values.mean() == pytest.approx(interval.mean)
    assert interval.mean - 0.2 == pytest.approx(interval.low, abs=0.03)
    assert interval.mean + 0.2 == pytest.approx(interval.high, abs=0.03)
    assert interval == mean_interval(values)


def test_an_interval_is_written_as_its_numbers_are() -> None:
    """The format is that of each of its numbers."""
    assert "60.0% (58.1% to 62.3%)" == f"{Interval(mean=0.6, low=0.581, high=0.623):.1%}"


def test_an_interval_may_be_set_beside_a_baseline() -> None:
    """What was saved is a share of what the baseline cost, and so are its bounds."""
    cost_usd = Interval(mean=0.4, low=0.3, high=0.5)

    assert "-60% (-70% to -50%)" == f"{cost_usd.change_from(1.0):+.0%}"


@pytest.mark.parametrize("values", [np.empty(0), np.ones((1, 2))])
def test_a_mean_of_nothing_is_refused(values: Matrix) -> None:
    """No sessions have no mean, and a matrix is no list of them."""
    with pytest.raises(ConfigError, match="shape"):
        mean_interval(values)

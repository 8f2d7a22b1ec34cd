"""Rewards in numbers, and the inputs that they refuse."""

import math
from typing import Any

import numpy as np
import pytest

from pickllm import Anchors, ConfigError, PaperReward, WeightedReward, Weights
from pickllm.rewards import checked_score


def test_default_reward_is_the_weighted_mean() -> None:
    """.8 of quality, .15 of cheapness, .05 of speed, each on its logarithmic scale."""
    reward = WeightedReward()(score=0.5, cost_usd=1e-3, latency_s=6.0)
    cheap = 1 - math.log(1e3) / math.log(1e5)
    fast = 1 - math.log(600) / math.log(6000)
    assert 0.8 * 0.5 + 0.15 * cheap + 0.05 * fast == pytest.approx(reward)


def test_costs_and_latencies_beyond_the_anchors_are_clipped() -> None:
    """Cheaper than the low anchor counts as the anchor, dearer than the high one likewise."""
    reward = WeightedReward(weights=Weights(quality=0.0, cost=1.0, latency=1.0))
    assert 1.0 == reward(score=0.0, cost_usd=0.0, latency_s=0.0)
    assert 0.0 == reward(score=1.0, cost_usd=1e9, latency_s=1e9)


def test_unknown_cost_leaves_its_place_to_the_other_weights() -> None:
    """A cost of None is neither cheap nor dear: the rest is weighed without it."""
    reward = WeightedReward(weights=Weights(quality=1.0, cost=5.0, latency=0.0))
    assert 0.7 == pytest.approx(reward(score=0.7, cost_usd=None, latency_s=1.0))


def test_cost_alone_cannot_be_unknown() -> None:
    """Where only cost counts and is unknown, there is no reward: that is an error."""
    reward = WeightedReward(weights=Weights(quality=0.0, cost=1.0, latency=0.0))
    with pytest.raises(ConfigError, match="state the arm's price"):
        reward(score=1.0, cost_usd=None, latency_s=1.0)


def test_only_the_proportions_of_weights_count() -> None:
    """Weights of 2, 1, 1 and of 200, 100, 100 mean the same."""
    small = WeightedReward(weights=Weights(quality=2.0, cost=1.0, latency=1.0))
    large = WeightedReward(weights=Weights(quality=200.0, cost=100.0, latency=100.0))
    assert small(score=0.3, cost_usd=0.01, latency_s=2.0) == pytest.approx(
        large(score=0.3, cost_usd=0.01, latency_s=2.0)
    )


def test_paper_reward_as_a_quotient() -> None:
    """(1 * .8 - 100 * .001) / log10(1000 ms) = .7 / 3."""
    reward = PaperReward(weights=Weights(quality=1.0, cost=100.0, latency=1.0))
    assert 0.7 / 3 == pytest.approx(reward(score=0.8, cost_usd=0.001, latency_s=1.0))


def test_paper_reward_as_a_product() -> None:
    """.8 - 100 * .001 * log10(1000 ms) = .5."""
    reward = PaperReward(reading="product", weights=Weights(quality=1.0, cost=100.0, latency=1.0))
    assert 0.5 == pytest.approx(reward(score=0.8, cost_usd=0.001, latency_s=1.0))


def test_paper_reward_survives_fast_and_dear_answers() -> None:
    """Where the formula blows up or turns negative, the clamps hold it in [0, 1]."""
    assert 1.0 == PaperReward(latency_scaling=50.0)(score=1.0, cost_usd=0.0, latency_s=0.0)
    assert 0.0 == PaperReward()(score=0.5, cost_usd=2.0, latency_s=1.0)


def test_paper_reward_takes_an_unknown_cost_for_free() -> None:
    """As for the paper's local models."""
    reward = PaperReward()
    assert reward(score=1.0, cost_usd=0.0, latency_s=1.0) == reward(
        score=1.0, cost_usd=None, latency_s=1.0
    )


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.01, 1.01, 2.0, None, "1", [1]])
@pytest.mark.parametrize("reward", [WeightedReward(), PaperReward()], ids=["weighted", "paper"])
def test_scores_out_of_range_are_refused(reward: WeightedReward | PaperReward, score: Any) -> None:
    """A score that is no number in [0, 1] is an error, never clipped."""
    with pytest.raises(ConfigError, match=r"a score must be a number in \[0, 1\]"):
        reward(score=score, cost_usd=0.0, latency_s=1.0)


@pytest.mark.parametrize("score", [0, 1, True, False, 0.5, np.float32(0.5), np.int64(1)], ids=repr)
def test_scores_may_be_any_real_number(score: Any) -> None:
    """Integers, booleans and numpy's numbers do as well, and come out as floats."""
    assert float is type(checked_score(score))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("reward", [WeightedReward(), PaperReward()], ids=["weighted", "paper"])
def test_costs_and_latencies_must_be_finite(
    reward: WeightedReward | PaperReward, bad: float
) -> None:
    """A cost or latency that is no finite number of at least 0 is an error."""
    with pytest.raises(ConfigError, match="must be a number of at least 0"):
        reward(score=1.0, cost_usd=bad, latency_s=1.0)
    with pytest.raises(ConfigError, match="must be a number of at least 0"):
        reward(score=1.0, cost_usd=0.0, latency_s=bad)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Weights(quality=0.0, cost=0.0, latency=0.0), "all weights are zero"),
        (lambda: Weights(cost=-0.1), "the weight of cost is -0.1"),
        (lambda: Weights(quality=math.nan), "the weight of quality is nan"),
        (lambda: Weights(latency=math.inf), "the weight of latency is inf"),
        (lambda: Anchors(cost_lo_usd=0.0), "anchors must rise from above 0"),
        (lambda: Anchors(cost_lo_usd=0.2), "anchors must rise from above 0"),
        (lambda: Anchors(latency_hi_s=math.inf), "anchors must rise from above 0"),
        (lambda: Anchors(latency_lo_s=math.nan), "anchors must rise from above 0"),
        (lambda: PaperReward(reading="sum"), "'quotient' or 'product', not 'sum'"),  # type: ignore[arg-type]  # refused
        (lambda: PaperReward(latency_scaling=0.0), "latency_scaling must be above 0"),
        (lambda: PaperReward(weights=Weights(latency=0.0)), "divides by the weight of latency"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, told: str) -> None:
    """A setting that cannot work is an error when the reward is built."""
    with pytest.raises(ConfigError, match=told):
        make()

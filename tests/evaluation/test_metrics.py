"""Metrics of two models: the curve, and what is read off it."""

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.evaluation.metrics import (
    apgr,
    area_under_curve,
    cost_efficiency,
    cpt,
    dataset_similarity,
    performance_gap_recovered,
    quality_at,
    routing_curve,
)
from pickllm.evaluation.routellm_metrics import decile_apgr, decile_cpt, decile_curve

WEAK = np.array([1.0, 0.0, 0.0, 1.0])
STRONG = np.ones(4)


def test_a_curve_runs_from_the_weak_model_to_the_strong_one() -> None:
    """No strong call gives the weak model's quality, all of them the strong one's."""
    curve = routing_curve(np.array([0.1, 0.9, 0.8, 0.3]), WEAK, STRONG)

    assert [0.0, 0.25, 0.5, 0.75, 1.0] == curve.share.tolist()
    assert [0.5, 0.75, 1.0, 1.0, 1.0] == curve.quality.tolist()
    assert 0.875 == area_under_curve(curve)
    assert 0.625 == quality_at(curve, 0.125)
    assert 0.25 == performance_gap_recovered(curve, 0.125)


def test_equal_scores_are_a_coin() -> None:
    """A router that tells no prompt from another has the straight line between the models."""
    curve = routing_curve(np.zeros(4), WEAK, STRONG)

    assert [0.0, 1.0] == curve.share.tolist()
    assert 0.5 == apgr(curve)
    assert 0.8 == pytest.approx(cpt(curve, 0.8))


def test_a_curve_that_falls_is_crossed_where_it_first_rises_far_enough() -> None:
    """CPT is the least share; an interpolation over quality would name another."""
    weak, strong = np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    curve = routing_curve(np.array([4.0, 3.0, 2.0, 1.0]), weak, strong)

    assert [0.25, 0.5, 0.25, 0.5, 0.5] == curve.quality.tolist()
    assert 0.25 == cpt(curve, 1.0)
    assert 0.125 == cpt(curve, 0.5)


def test_an_oracle_may_pass_the_strong_model() -> None:
    """Where the weak model is right and the strong one wrong there is more than the gap to win."""
    weak, strong = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0])

    assert 1.0 < apgr(routing_curve(strong - weak, weak, strong))


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    """PGR, APGR and CPT are not numbers where the strong model is no better."""
    curve = routing_curve(np.arange(4.0), STRONG, WEAK)

    assert np.isnan([apgr(curve), cpt(curve, 0.5), performance_gap_recovered(curve, 0.5)]).all()


def test_a_quality_beyond_the_curve_is_never_reached() -> None:
    """Not a number, rather than a share that would not do."""
    assert np.isnan(cpt(routing_curve(np.arange(4.0), WEAK, STRONG), 1.5))


@pytest.mark.parametrize(
    "arrays",
    [
        (np.zeros(0), np.zeros(0), np.zeros(0)),
        (np.zeros(2), np.zeros(3), np.zeros(2)),
        (np.array([np.nan]), np.zeros(1), np.ones(1)),
    ],
)
def test_a_curve_needs_numbers_for_every_prompt(
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Empty, ragged and missing input is an error rather than a strange figure."""
    with pytest.raises(ConfigError):
        routing_curve(*arrays)


def test_efficiency_counts_what_reaches_the_threshold() -> None:
    """A score equal to the threshold is a strong call."""
    assert 0.5 == cost_efficiency(np.array([0.1, 0.5, 0.9, 0.4]), 0.5)


def test_deciles_agree_with_the_whole_curve_where_scores_differ() -> None:
    """With many prompts eleven thresholds are near to all of them."""
    rng = np.random.default_rng(0)
    scores = rng.random(5_000)
    weak = (rng.random(5_000) < 0.6).astype(float)
    strong = (rng.random(5_000) < 0.6 + 0.3 * scores).astype(float)
    whole, deciles = routing_curve(scores, weak, strong), decile_curve(scores, weak, strong)

    assert apgr(whole) == pytest.approx(decile_apgr(deciles), abs=0.01)
    assert cpt(whole, 0.5) == pytest.approx(decile_cpt(deciles, 0.5), abs=0.05)


def test_deciles_of_equal_scores_do_not_fail() -> None:
    """Where the original stops at equal edges, all thresholds give one of the two ends."""
    curve = decile_curve(np.ones(20), np.zeros(20), np.ones(20))

    assert {0.0, 1.0} == set(curve.share.tolist())
    assert 0.5 == decile_apgr(curve)


def test_similarity_is_the_cosine_of_the_nearest() -> None:
    """Lengths do not count, and a prompt that was trained on has similarity 1."""
    training = np.array([[2.0, 0.0], [0.0, 3.0]])
    found = dataset_similarity(np.array([[1.0, 1.0], [0.0, 5.0]]), training, prompts_at_once=1)

    assert found == pytest.approx([np.sqrt(0.5), 1.0])


def test_similarity_to_nothing_is_an_error() -> None:
    """An empty side is a mistake, not a similarity of 0."""
    with pytest.raises(ConfigError, match="empty"):
        dataset_similarity(np.zeros((0, 2)), np.ones((1, 2)))

"""Intervals of metrics."""

import numpy as np
import pytest

from pickllm.evaluation.intervals import apgr_difference, apgr_interval, bootstrap
from pickllm.evaluation.metrics import apgr, routing_curve

PROMPTS = 400


def outcomes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that know something, and both models' answers."""
    need = rng.random(PROMPTS)
    return need, (rng.random(PROMPTS) > need).astype(float), np.ones(PROMPTS)


def test_an_interval_holds_its_metric() -> None:
    """The figure is that of all prompts; the ends lie around it."""
    scores, weak, strong = outcomes(np.random.default_rng(0))
    found = apgr_interval(scores, weak, strong, rng=np.random.default_rng(1), draws=200)

    assert apgr(routing_curve(scores, weak, strong)) == found.mean
    assert found.low < found.mean < found.high


def test_a_mean_has_the_interval_of_the_normal_law() -> None:
    """1.96 standard errors to either side, where there are many prompts."""
    values = np.random.default_rng(0).normal(size=2_000)
    found = bootstrap(
        lambda rows: float(values[rows].mean()), prompts=2_000, rng=np.random.default_rng(1)
    )
    assert 2 * 1.96 / np.sqrt(2_000) == pytest.approx(found.high - found.low, rel=0.15)


def test_a_pair_is_surer_than_its_parts() -> None:
    """Nearly equal routers differ by little, whatever the prompts drawn."""
    scores, weak, strong = outcomes(np.random.default_rng(0))
    near = scores + np.random.default_rng(2).normal(scale=0.01, size=PROMPTS)
    alone = apgr_interval(scores, weak, strong, rng=np.random.default_rng(1), draws=200)
    paired = apgr_difference(near, scores, weak, strong, rng=np.random.default_rng(1), draws=200)

    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_draws_without_a_gap_say_nothing() -> None:
    """They are left out; where all are so the interval is not a number."""
    rng = np.random.default_rng(0)
    found = apgr_interval(np.arange(3.0), np.ones(3), np.ones(3), rng=rng, draws=10)

    assert np.isnan([found.mean, found.low, found.high]).all()

"""Thresholds, drift and probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pickllm import ConfigError
from pickllm.evaluation.metrics import cost_efficiency
from pickllm.ranking.calibration import (
    ShareWatch,
    fit_isotonic,
    fit_platt,
    threshold_for_gain,
    threshold_for_share,
)

scores_of_any_kind = arrays.arrays(
    np.float64, st.integers(1, 40), elements=st.floats(-10, 10, width=16)
)


@given(scores=scores_of_any_kind, share=st.floats(0.0, 1.0))
def test_a_budget_is_never_passed(scores: np.ndarray, share: float) -> None:
    """The share is the wanted one to a prompt, or less where equal scores leave no other."""
    got = cost_efficiency(scores, threshold_for_share(scores, share))

    assert got <= share + 1e-8
    if len(set(scores.tolist())) == len(scores):
        assert share - 1.0 / len(scores) - 1e-8 <= got


def test_the_ends_are_no_call_and_every_call() -> None:
    """Whatever the scores."""
    scores = np.array([0.5, 0.5, 0.7])

    assert [0.0, 1.0] == [
        cost_efficiency(scores, threshold_for_share(scores, share)) for share in (0.0, 1.0)
    ]


@pytest.mark.parametrize(
    ("scores", "share"), [(np.zeros(0), 0.5), (np.array([np.nan]), 0.5), (np.ones(1), 1.5)]
)
def test_a_threshold_needs_scores_and_a_share(scores: np.ndarray, share: float) -> None:
    """Anything else is an error rather than a number."""
    with pytest.raises(ConfigError):
        threshold_for_share(scores, share)


def test_a_threshold_for_a_gain_recovers_it() -> None:
    """With the fewest strong calls that do."""
    scores = np.array([0.9, 0.8, 0.3, 0.1])
    weak, strong = np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4)

    assert 0.9 == threshold_for_gain(scores, weak, strong, recovered=0.5)
    assert 0.8 == threshold_for_gain(scores, weak, strong, recovered=0.8)
    assert 0.9 < threshold_for_gain(scores, weak, strong, recovered=0.0)
    with pytest.raises(ConfigError, match="no better"):
        threshold_for_gain(scores, strong, weak, recovered=0.5)


def watched(watch: ShareWatch, share: float, calls: int, seed: int = 0) -> tuple[ShareWatch, int]:
    """A watch after some traffic, and in how many moments it said that it had drifted."""
    alarms = 0
    for strong in np.random.default_rng(seed).random(calls) < share:
        watch = watch.seen(strong=bool(strong))
        alarms += watch.drifted
    return watch, alarms


def test_traffic_of_the_right_share_has_not_drifted() -> None:
    """But for a moment or two in thousands."""
    alarms = sum(watched(ShareWatch(share=0.3), 0.3, 2_000, seed)[1] for seed in range(5))

    assert alarms < 100


def test_another_share_is_found() -> None:
    """From 30 % to 40 % within some hundreds of calls; within the tolerance it is none."""
    watch, _ = watched(ShareWatch(share=0.3), 0.42, 1_500)

    assert watch.drifted
    assert 0.42 == pytest.approx(watch.live_share, abs=0.04)
    assert not watched(ShareWatch(share=0.3, tolerance=0.2), 0.42, 1_500)[0].drifted


def test_a_watch_forgets() -> None:
    """After traffic has come back for longer than it remembers, all is well again."""
    away, _ = watched(ShareWatch(share=0.5, memory=200), 0.9, 400)
    back, _ = watched(away, 0.5, 2_000, seed=1)

    assert away.drifted
    assert not back.drifted


def test_nothing_is_said_of_few_calls() -> None:
    """A handful of calls is chance."""
    assert not watched(ShareWatch(share=0.0), 1.0, 20)[0].drifted
    assert np.isnan(ShareWatch(share=0.0).live_share)


def test_a_scale_is_found_by_platt() -> None:
    """Scores that are log-odds times three, and shifted, become the probabilities again."""
    rng = np.random.default_rng(0)
    odds = rng.normal(size=20_000)
    won = (rng.random(20_000) < 1.0 / (1.0 + np.exp(-odds))).astype(float)
    found = fit_platt(3.0 * odds + 7.0, won)

    assert 1.0 / 3.0 == pytest.approx(found.slope, rel=0.05)
    assert 0.5 == pytest.approx(float(found(np.array(7.0))), abs=0.02)


def test_separable_scores_have_a_finite_slope() -> None:
    """And scores that are all alike get the share of wins, or nearly."""
    assert np.isfinite(fit_platt(np.array([0.0, 1.0]), np.array([0.0, 1.0])).slope)
    assert 0.75 == pytest.approx(
        float(fit_platt(np.ones(400), np.repeat([0.0, 1.0], [100, 300]))(np.array(1.0))), abs=0.01
    )


def test_isotonic_probabilities_pool_what_falls() -> None:
    """Neighbours out of order share their mean."""
    found = fit_isotonic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0]))

    assert [0.0, 0.5, 0.5, 1.0] == found.probabilities.tolist()
    assert [0.0, 0.25, 1.0] == found(np.array([-5.0, 1.5, 9.0])).tolist()


@given(
    scores=scores_of_any_kind,
    seed=st.integers(0, 100),
)
def test_isotonic_probabilities_rise_and_keep_the_mean(scores: np.ndarray, seed: int) -> None:
    """Over the prompts that they came from."""
    won = np.random.default_rng(seed).random(len(scores))
    found = fit_isotonic(scores, won)

    assert (np.diff(found.probabilities) >= 0.0).all()
    assert won.mean() == pytest.approx(found(scores).mean())


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_calibration_needs_wins(fit: type[fit_platt]) -> None:  # type: ignore[valid-type]  # two functions of one shape
    """Numbers in [0, 1], one for each score."""
    one, two = np.ones(1), np.ones(2)
    for scores, won in ((one[:0], one[:0]), (two, one), (one, -one)):
        with pytest.raises(ConfigError):
            fit(scores, won)  # type: ignore[misc]  # see above

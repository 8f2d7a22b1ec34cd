"""Scores as probabilities: the two fits, one for each arm, and how well they are kept."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pickllm import ConfigError, Reply, Request, Router, drive
from pickllm.scoring import ByArm, Calibrated, Isotonic, Platt, reliability
from pickllm.testing import Script, ScriptedPort
from tests.unit.doubles import priced

Floats = NDArray[np.float64]


def pairs(
    count: int, *, slope: float = 4.0, middle: float = 0.5, seed: int = 0
) -> tuple[Floats, Floats]:
    """Scores, and labels that are right as often as a known sigmoid says."""
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    odds = 1.0 / (1.0 + np.exp(-slope * (scores - middle)))
    return scores, (rng.random(count) < odds).astype(float)


# Platt


@pytest.mark.parametrize("fit", [Platt.fit, Isotonic.fit])
def test_labels_that_are_words_are_refused(fit: Callable[[Any, Any], object]) -> None:
    """In words that say what to give instead."""
    with pytest.raises(ConfigError, match=r"must be lists of numbers: say 1.0 for right"):
        fit([0.1, 0.9], ["wrong", "right"])


def test_platt_finds_the_sigmoid_that_made_the_labels() -> None:
    """From twenty thousand pairs, within a few standard errors."""
    fitted = Platt.fit(*pairs(20_000, slope=4.0, middle=0.5))

    assert fitted.slope == pytest.approx(4.0, abs=0.25)
    assert fitted.intercept == pytest.approx(-2.0, abs=0.13)


def test_platt_stands_where_the_likelihood_is_level() -> None:
    """Both slopes of the cross-entropy on the smoothed targets are zero there."""
    scores, labels = pairs(200, seed=3)
    fitted = Platt.fit(scores, labels)

    right = labels.sum()
    high, low = (right + 1.0) / (right + 2.0), 1.0 / (200 - right + 2.0)
    gaps = np.array([fitted(score) for score in scores]) - (low + labels * (high - low))
    np.testing.assert_allclose([gaps.sum(), gaps @ scores], 0.0, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_platt_minds_no_scale(scale: float) -> None:
    """Logits of any size come to the same probabilities."""
    scores, labels = pairs(300)
    plain, scaled = Platt.fit(scores, labels), Platt.fit(scores * scale + 5.0 * scale, labels)

    assert scaled(0.3 * scale + 5.0 * scale) == pytest.approx(plain(0.3), abs=1e-6)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
        ([0.5, 0.5], [0, 1]),
        ([0.5], [1]),
        ([0.1, 0.9], [1, 1]),
    ],
    ids=["separable", "all the same score", "one pair", "all right"],
)
def test_platt_stays_finite(scores: list[float], labels: list[float]) -> None:
    """Labels that would ask for an infinite slope do not get one."""
    fitted = Platt.fit(scores, labels)

    assert all(math.isfinite(value) for value in (fitted.slope, fitted.intercept))
    assert 0.0 < fitted(0.5) < 1.0


@pytest.mark.parametrize("logit", [-1e6, -800.0, 0.0, 800.0, 1e6])
def test_no_logit_is_too_large(logit: float) -> None:
    """A reward model's are unbounded."""
    assert 0.0 <= Platt()(logit) <= 1.0
    assert 0.5 == Platt()(0.0)


# Isotonic


def test_isotonic_pools_what_falls() -> None:
    """Worked out by hand: 3, 1, 2 pool to their mean, weighted where scores are tied."""
    fitted = Isotonic.fit([1, 2, 3, 4], [0.3, 0.1, 0.2, 0.9])

    assert (1, 3, 4) == fitted.scores
    assert fitted.probabilities == pytest.approx((0.2, 0.2, 0.9))
    assert fitted(3.5) == pytest.approx(0.55)
    assert [fitted(-9.0), fitted(9.0)] == pytest.approx([0.2, 0.9])
    tied = Isotonic.fit([1, 1, 1, 2], [1, 1, 1, 0])
    assert tied.probabilities == pytest.approx((0.75, 0.75))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=40))
def test_isotonic_never_falls_and_is_the_best_such(rows: list[tuple[int, int]]) -> None:
    """It rises, keeps the mean, and is as good as the min-max formula, which is exact."""
    scores, labels = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    fitted = Isotonic.fit(scores, labels)
    values = np.array([fitted(score) for score in scores])

    assert np.all(np.diff(fitted.probabilities) >= -1e-12)
    assert values.mean() == pytest.approx(labels.mean())
    for score, value in zip(scores, values, strict=True):
        exact = max(
            min(
                labels[(scores >= low) & (scores <= high)].mean()
                for high in np.unique(scores[scores >= score])
            )
            for low in np.unique(scores[scores <= score])
        )
        assert value == pytest.approx(exact)


# By arm


def test_arms_with_enough_labels_have_their_own() -> None:
    """The others share the pooled one."""
    scores, labels = pairs(300)
    arms = ["a"] * 100 + ["b"] * 190 + ["c"] * 10

    fitted = ByArm.fit(Platt.fit, arms=arms, scores=scores, labels=labels)

    assert ["a", "b"] == sorted(fitted.arm_to_calibration)
    assert fitted.of("c") is fitted.of("never seen") is fitted.pooled
    assert Platt.fit(scores[:100], labels[:100]) == fitted.of("a")


def test_a_length_bias_of_one_arm_is_taken_out() -> None:
    """Two arms are equally right; the judge gives one three points more. Calibrated, they tie."""
    scores, labels = pairs(4_000, seed=1)
    judged = np.concatenate([scores * 0.7, scores * 0.7 + 0.3])
    arms = ["terse"] * 4_000 + ["wordy"] * 4_000

    fitted = ByArm.fit(Isotonic.fit, arms=arms, scores=judged, labels=[*labels, *labels])

    means = [
        np.mean([fitted.of(arm)(score) for score in judged[start : start + 4_000]])
        for arm, start in (("terse", 0), ("wordy", 4_000))
    ]
    assert means[0] == pytest.approx(means[1], abs=1e-9)
    assert means[0] == pytest.approx(labels.mean())


def test_a_calibrated_scorer_goes_by_the_arm_that_answered() -> None:
    """Also where another had to take over."""
    halved = ByArm(pooled=lambda score: score, arm_to_calibration={"b": lambda score: score / 2})
    scorer = Calibrated(scorer=lambda *_: 0.8, calibration=halved)
    broken = Script(pieces=(), error=ValueError("no"))

    scores = [
        drive.run(
            Router(arms=priced("a", "b"), policy=lambda _: "a", scorer=scorer).flow(
                Request(text="?")
            ),
            ScriptedPort({"a": script, "b": Script()}),
        ).score
        for script in (Script(), broken)
    ]

    assert [0.8, 0.4] == scores


def test_silence_stays_silence() -> None:
    """A calibration makes no score of none; and one for all arms will do."""
    asked, answer = Request(text="?"), Reply(text="!")
    for inner, expected in ((None, None), (0.0, 0.5)):
        scorer = Calibrated(scorer=lambda *_, s=inner: s, calibration=Platt())
        assert expected == drive.run(scorer.score(asked, answer), ScriptedPort({}))


def test_a_calibration_is_a_plain_value() -> None:
    """It can be written down as JSON, and read again."""
    platt, steps = Platt.fit(*pairs(50)), Isotonic.fit(*pairs(50))

    assert platt == Platt(**json.loads(json.dumps(asdict(platt))))
    read = json.loads(json.dumps(asdict(steps)))
    assert steps == Isotonic(**{name: tuple(values) for name, values in read.items()})


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([], []), ([0.5], [0.5, 1.0]), ([math.nan], [1.0]), ([0.5], [2.0]), ([[0.5]], [[1.0]])],
)
@pytest.mark.parametrize("kind", [Platt, Isotonic])
def test_pairs_that_cannot_be_are_refused(
    kind: type[Platt] | type[Isotonic], scores: list[float], labels: list[float]
) -> None:
    """Lists of one length, finite scores, labels in [0, 1]."""
    with pytest.raises(ConfigError):
        kind.fit(scores, labels)
    with pytest.raises(ConfigError):
        reliability(scores, labels)


# Reliability


def test_reliability_is_worked_out_by_hand() -> None:
    """Two bins of two pairs each, off by .2 and by .3."""
    measured = reliability([0.2, 0.8, 0.2, 0.8], [0, 1, 0, 0], bins=2)

    assert measured.ece == pytest.approx((0.2 + 0.3) / 2)
    assert measured.brier == pytest.approx((0.04 + 0.04 + 0.04 + 0.64) / 4)
    assert [2, 2] == [each.count for each in measured.bins]


@pytest.mark.parametrize("kind", [Platt, Isotonic])
def test_calibration_makes_fresh_scores_reliable(kind: type[Platt] | type[Isotonic]) -> None:
    """On pairs that no fit has seen, both measures fall."""
    fitted = kind.fit(*pairs(4_000, slope=12.0, middle=0.8, seed=1))
    scores, labels = pairs(4_000, slope=12.0, middle=0.8, seed=2)

    raw = reliability(scores, labels)
    mended = reliability([fitted(score) for score in scores], labels)

    assert mended.ece < 0.03
    assert raw.ece > 0.2
    assert mended.brier < raw.brier

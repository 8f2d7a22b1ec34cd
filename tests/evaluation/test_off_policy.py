"""Off-policy estimates: formulas by hand, truth within the intervals, and honest warnings."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pickllm import ConfigError, WeightedReward, Weights
from pickllm.evaluation import OutcomeTable
from pickllm.evaluation.evidence import Evidence
from pickllm.evaluation.logged import LoggedDecisions, logged_from_table
from pickllm.evaluation.off_policy import METHODS, Method, estimate
from pickllm.evaluation.outcome_model import cross_fitted

QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))
ARMS = ("a", "b", "c", "d")
Array = NDArray[np.float64]


def evidence_of(
    target: Sequence[float], logged: Sequence[float], rows: Sequence[tuple[int, float]], **more: Any
) -> Evidence:
    """Rows of arm and outcome, with the same probabilities in each."""
    count = len(rows)
    return Evidence(
        target=np.tile(target, (count, 1)),
        probabilities=np.tile(logged, (count, 1)),
        chosen=np.array([arm for arm, _ in rows]),
        outcome=np.array([outcome for _, outcome in rows]),
        **more,
    )


ROWS = [(0, 1.0), (1, 0.5), (0, 0.0), (1, 1.0), (0, 1.0)]
PREDICTED = np.tile([0.6, 0.8], (5, 1))
BY_HAND = evidence_of((0.25, 0.75), (0.5, 0.5), ROWS, predicted=PREDICTED)
"""Weights are .5 for the first arm and 1.5 for the second."""


# By hand


@pytest.mark.parametrize(
    ("method", "settings", "value"),
    [
        # Horvitz and Thompson; Vowpal Wabbit's ips, OBP's IPW
        ("ips", {}, (0.5 * (1 + 0 + 1) + 1.5 * (0.5 + 1)) / 5),
        # Vowpal Wabbit's snips, OBP's SNIPW
        ("snips", {}, (0.5 * (1 + 0 + 1) + 1.5 * (0.5 + 1)) / (3 * 0.5 + 2 * 1.5)),
        # OBP's DM
        ("dm", {}, 0.25 * 0.6 + 0.75 * 0.8),
        # OBP's DR; Vowpal Wabbit's dr
        ("dr", {}, 0.75 + (0.5 * (0.4 - 0.6 + 0.4) + 1.5 * (-0.3 + 0.2)) / 5),
        # OBP's SNDR
        ("sndr", {}, 0.75 + (0.5 * (0.4 - 0.6 + 0.4) + 1.5 * (-0.3 + 0.2)) / 4.5),
        # OBP's IPW with its clip, lambda_
        ("ips", {"clip": 1.0}, (0.5 * (1 + 0 + 1) + 1.0 * (0.5 + 1)) / 5),
        # OBP's DRos: w' = lambda w / (w^2 + lambda), here 1 / 2.5 and 3 / 4.25
        (
            "dros",
            {"shrink": 2.0},
            0.75 + (1 / 2.25 * (0.4 - 0.6 + 0.4) + 3 / 4.25 * (-0.3 + 0.2)) / 5,
        ),
        ("dros", {"shrink": math.inf}, 0.75 + (0.5 * 0.2 + 1.5 * -0.1) / 5),
    ],
)
def test_formulas_are_the_published_ones(
    method: Method, settings: dict[str, Any], value: float
) -> None:
    """Worked out by hand on five rows."""
    assert estimate(BY_HAND, method, **{"clip": None, **settings}).value == pytest.approx(value)


def test_ess_and_clip_rate_are_worked_out_by_hand() -> None:
    """(sum w)^2 / sum w^2, and two weights of five above one."""
    found = estimate(BY_HAND, "snips", clip=1.0)

    assert found.ess == pytest.approx(4.5**2 / (3 * 0.25 + 2 * 2.25))
    assert (0.4, 5, 0.0) == (found.clip_rate, found.decisions, found.unsupported)


def test_the_standard_error_of_a_mean_is_the_textbook_s() -> None:
    """On-policy all weights are one: every method but dm is the mean of the outcomes."""
    rng = np.random.default_rng(0)
    rows = [(int(arm), float(rng.random())) for arm in rng.integers(2, size=400)]
    on_policy = evidence_of((0.5, 0.5), (0.5, 0.5), rows)
    outcomes = np.array([outcome for _, outcome in rows])

    for method in ("ips", "snips"):
        found = estimate(on_policy, method)
        assert found.value == pytest.approx(outcomes.mean())
        assert found.standard_error == pytest.approx(outcomes.std(ddof=1) / 20.0)
        assert found.high - found.value == pytest.approx(1.966 * found.standard_error, rel=1e-3)
        assert (400.0, ()) == (found.ess, found.warnings)


@pytest.mark.parametrize("method", METHODS)
def test_the_bootstrap_agrees_with_the_normal_interval(method: Method) -> None:
    """Where there is plenty of data, within a tenth of the width."""
    logged, features = draw(4_000, seed=1)
    evidence = evidence_for(logged, best_by_prompt(features), features)

    normal, resampled = (
        estimate(evidence, method, interval=kind, seed=2) for kind in ("normal", "bootstrap")
    )

    width = normal.high - normal.low
    assert normal.value == resampled.value
    assert abs(normal.low - resampled.low) + abs(normal.high - resampled.high) < 0.2 * width
    assert resampled == estimate(evidence, method, interval="bootstrap", seed=2)


@pytest.mark.parametrize(("rows", "quantile"), [(11, 2.228), (31, 2.042), (101, 1.984), (6, 2.571)])
def test_small_samples_have_student_s_intervals(rows: int, quantile: float) -> None:
    """The tables' quantiles, for one degree of freedom less than there are rows."""
    outcomes = [(row % 2, float(row % 3)) for row in range(rows)]
    found = estimate(evidence_of((0.5, 0.5), (0.5, 0.5), outcomes), "snips")

    reach = (found.high - found.value) / found.standard_error
    assert reach == pytest.approx(quantile, abs=0.005)


# Against the truth


def draw(count: int, *, seed: int, exploring: float = 0.3) -> tuple[LoggedDecisions, Array]:
    """A log whose every arm's chance is known: it depends on the prompt, and so does the log's."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 2))
    score = (rng.random((count, 4)) < chances(features)).astype(float)
    table = OutcomeTable(
        arms=ARMS,
        score=score,
        cost_usd=np.tile([0.001, 0.002, 0.004, 0.01], (count, 1)),
        latency_s=np.ones((count, 4)),
    )
    favourite = np.where(features[:, 0] > 0.0, 2, 1)
    probabilities = (1.0 - exploring) * np.eye(4)[favourite] + exploring / 4
    logged = logged_from_table(
        table, probabilities, reward=QUALITY, features=features, seed=seed + 10_000
    )
    return logged, features


def chances(features: Array) -> Array:
    """How often each arm is right, ``[prompts, arms]``."""
    pulls = np.array([[1.0, -0.5, 0.2, 0.0], [0.3, 0.8, -0.6, 0.0]])
    found: Array = 1.0 / (1.0 + np.exp(-(features @ pulls + [-0.5, 0.0, 0.3, 0.6])))
    return found


def best_by_prompt(features: Array) -> Array:
    """The policy that knows the chances."""
    odds: Array = np.eye(4)[chances(features).argmax(axis=1)]
    return odds


def evidence_for(logged: LoggedDecisions, target: Array, features: Array) -> Evidence:
    """With a prediction that has not seen the row itself."""
    predicted = cross_fitted(logged.chosen, logged.reward, arms=4, features=features)
    return Evidence(
        target=target,
        probabilities=logged.probabilities,
        chosen=logged.chosen,
        outcome=logged.reward,
        predicted=predicted,
    )


@pytest.fixture(scope="module")
def errors() -> dict[str, Array]:
    """For each method ``[seeds, 3]``: error, whether the truth lay inside, width; 300 logs."""
    many = np.random.default_rng(7).normal(size=(400_000, 2))
    truth = float(chances(many).max(axis=1).mean())
    found: dict[str, list[tuple[float, bool, float]]] = {method: [] for method in METHODS}
    for seed in range(300):
        logged, features = draw(800, seed=seed)
        evidence = evidence_for(logged, best_by_prompt(features), features)
        for method in METHODS:
            one = estimate(evidence, method)
            inside = one.low <= truth <= one.high
            found[method].append((one.value - truth, inside, one.high - one.low))
        naive = logged.reward.mean() - truth
        found.setdefault("logged mean", []).append((float(naive), False, 0.0))
    return {method: np.array(rows, dtype=float) for method, rows in found.items()}


@pytest.mark.parametrize("method", ["ips", "snips", "dr", "sndr", "dros", "dm"])
def test_intervals_hold_the_truth_as_often_as_they_say(
    errors: dict[str, Array], method: str
) -> None:
    """95 % of 300, within four standard errors of that share."""
    coverage = errors[method][:, 1].mean()

    assert 0.95 - 4 * 0.0126 <= coverage <= 1.0


@pytest.mark.parametrize("method", ["snips", "dr", "sndr"])
def test_estimates_are_not_off_to_one_side(errors: dict[str, Array], method: str) -> None:
    """Their mean error is within four of its standard errors of zero."""
    off = errors[method][:, 0]

    assert abs(off.mean()) < 4 * off.std() / math.sqrt(len(off)) + 0.003


def test_better_methods_are_nearer_to_the_truth(errors: dict[str, Array]) -> None:
    """IPS is the worst that looks at the odds; not to look at them at all is worse than any."""
    rmse = {name: float(np.sqrt((rows[:, 0] ** 2).mean())) for name, rows in errors.items()}

    assert max(rmse["snips"], rmse["dr"], rmse["sndr"], rmse["dros"]) < 0.75 * rmse["ips"]
    assert rmse["ips"] < rmse["logged mean"]
    assert errors["dr"][:, 2].mean() < 0.75 * errors["ips"][:, 2].mean()


@given(st.integers(0, 10_000))
def test_self_normalised_values_stay_within_the_outcomes(seed: int) -> None:
    """And moving all outcomes moves them, which plain IPS does not do right."""
    logged, _ = draw(50, seed=seed)
    target = np.random.default_rng(seed).dirichlet(np.ones(4), size=50)
    evidence = replace(evidence_for(logged, target, np.zeros((50, 0))), predicted=None)
    found = estimate(evidence, "snips").value
    moved = estimate(replace(evidence, outcome=evidence.outcome + 3.0), "snips").value

    assert 0.0 <= found <= 1.0
    assert moved == pytest.approx(found + 3.0)


def test_row_weights_count_rows_several_times() -> None:
    """A row of weight two is two rows."""
    twice = replace(BY_HAND, row_weights=np.array([2.0, 1.0, 1.0, 1.0, 1.0]))
    rows = [ROWS[0], *ROWS]
    spelt = evidence_of((0.25, 0.75), (0.5, 0.5), rows, predicted=np.tile([0.6, 0.8], (6, 1)))

    for method in METHODS:
        one, other = (estimate(each, method, clip=None, shrink=9.0) for each in (twice, spelt))
        assert one.value == pytest.approx(other.value)


# Predictions


def test_predictions_do_not_see_their_own_row() -> None:
    """To change one outcome changes no prediction of that row, and some of others."""
    logged, features = draw(200, seed=3)
    changed = logged.reward.copy()
    changed[17] = 1.0 - changed[17]
    before, after = (
        cross_fitted(logged.chosen, outcome, arms=4, features=features)
        for outcome in (logged.reward, changed)
    )

    np.testing.assert_array_equal(before[17], after[17])
    assert not np.array_equal(before, after)


def test_predictions_follow_the_features() -> None:
    """They come nearer to the chances than each arm's mean does."""
    logged, features = draw(4_000, seed=4)
    wanted = chances(features)
    with_features = cross_fitted(logged.chosen, logged.reward, arms=4, features=features)
    without = cross_fitted(logged.chosen, logged.reward, arms=4)

    assert np.abs(with_features - wanted).mean() < 0.5 * np.abs(without - wanted).mean()
    assert np.ptp(without[:, 0]) < 0.1


def test_an_arm_never_drawn_is_predicted_as_the_mean() -> None:
    """Nothing else is known of it."""
    predicted = cross_fitted(np.zeros(50, dtype=np.intp), np.full(50, 0.5), arms=2)

    np.testing.assert_allclose(predicted[:, 1], 0.5)


@pytest.mark.parametrize("settings", [{"folds": 1}, {"ridge": 0.0}])
def test_predictions_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """A single fold would see itself."""
    with pytest.raises(ConfigError):
        cross_fitted(np.zeros(5, dtype=np.intp), np.zeros(5), arms=1, **settings)


# Warnings and errors


def test_choices_without_support_are_told() -> None:
    """The log never draws the second arm."""
    blind = evidence_of((0.4, 0.6), (1.0, 0.0), [(0, 1.0)] * 200)
    found = estimate(blind, "snips")

    assert 0.6 == pytest.approx(found.unsupported)
    assert "60.0% of its choices are arms that could not have been drawn" in found.warnings[0]


def test_a_policy_that_the_log_never_agrees_with_has_no_value() -> None:
    """It is not zero."""
    never = evidence_of((0.0, 1.0), (1.0, 0.0), [(0, 1.0)] * 20)

    assert math.isnan(estimate(never, "snips").value)
    assert math.isnan(estimate(never, "snips", interval="bootstrap").low)
    assert 0.0 == estimate(never, "snips").ess


def test_a_small_effective_sample_is_told() -> None:
    """However long the log is."""
    few = evidence_of((0.0, 1.0), (0.99, 0.01), [(0, 1.0)] * 990 + [(1, 1.0)] * 10)

    assert ("the log is worth only 10 decisions of this policy's own",) == (
        estimate(few, "snips", clip=None).warnings
    )


def test_clipped_weights_are_told() -> None:
    """Two in a hundred of them."""
    rows = [(0, 1.0)] * 980 + [(1, 1.0)] * 20
    clipped = estimate(evidence_of((0.0, 1.0), (0.98, 0.02), rows), "ips", clip=5.0)

    assert "2.0% of the weights are clipped: expect a bias" in clipped.warnings


def test_probabilities_that_are_not_the_odds_are_told() -> None:
    """Weights whose mean is far from one give it away."""
    wrong = evidence_of((0.5, 0.5), (0.9, 0.1), [(0, 1.0)] * 500 + [(1, 1.0)] * 500)

    assert "the weights have mean 2.78 in place of 1" in " ".join(
        estimate(wrong, "snips", clip=None).warnings
    )


@pytest.mark.parametrize(
    "change",
    [
        {"target": np.zeros((5, 3))},
        {"predicted": np.zeros((4, 2))},
        {"outcome": np.zeros(4)},
        {"row_weights": np.zeros(4)},
        {"outcome": np.full(5, np.nan)},
        {"probabilities": np.tile([1.0, 0.0], (5, 1))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_evidence_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """Shapes, unknown outcomes, and draws of what had no chance."""
    with pytest.raises(ConfigError):
        replace(BY_HAND, **change)


@pytest.mark.parametrize(
    ("method", "settings"),
    [("magic", {}), ("dr", {"clip": 0.0}), ("dros", {"shrink": 0.0})],
)
def test_settings_that_cannot_be_are_refused(method: Any, settings: dict[str, Any]) -> None:
    """And told."""
    with pytest.raises(ConfigError):
        estimate(BY_HAND, method, **settings)


def test_predictions_are_asked_for_where_they_are_needed() -> None:
    """Without them there is no doubly robust estimate."""
    with pytest.raises(ConfigError, match="needs predicted outcomes"):
        estimate(replace(BY_HAND, predicted=None), "dr")

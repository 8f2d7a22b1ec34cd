"""Our numbers beside MABWiser's on one log; the file's script stands beside it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pickllm import epsilon_greedy
from pickllm.estimators import Ridge, RunningMean
from pickllm.testing import experience, situation
from pickllm.types import Estimate

GOLDEN: dict[str, Any] = json.loads(
    Path(__file__).with_name("mabwiser.json").read_text(encoding="utf-8")
)
ARMS = ("small", "large", "other")
LOG = list(zip(GOLDEN["arms"], GOLDEN["contexts"], GOLDEN["rewards"], strict=True))


def ridge_estimates() -> list[Estimate]:
    """What our ridge expects at the four contexts."""
    estimator = Ridge(intercept=False, penalty=1.0)
    state = estimator.init(ARMS, 5)
    for arm, context, reward in LOG:
        lesson = experience(arm, reward=reward, features=np.array(context))
        state = estimator.learn(state, lesson)
    return [
        estimator.estimate(state, situation(*ARMS, features=np.array(asked)))
        for asked in GOLDEN["asked"]
    ]


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_lin_ucb_is_mabwisers_to_nine_digits(alpha: float) -> None:
    """Mean plus alpha spreads, at a penalty of 1, where MABWiser's start is right."""
    for expected, estimate in zip(GOLDEN[f"lin_ucb_{alpha}"], ridge_estimates(), strict=True):
        means = np.array(estimate.means, dtype=float)
        bounds = means + alpha * np.array(estimate.spreads)
        assert [expected[arm] for arm in ARMS] == pytest.approx(bounds.tolist(), abs=1e-9)


def test_means_and_upper_bounds_are_mabwisers() -> None:
    """Mean rewards, and UCB1's ``mean + sqrt(2 ln t / n)``."""
    estimator = RunningMean()
    state = estimator.init(ARMS, 0)
    for arm, _, reward in LOG:
        state = estimator.learn(state, experience(arm, reward=reward))
    estimate = estimator.estimate(state, situation(*ARMS))
    assert [GOLDEN["means"][arm] for arm in ARMS] == pytest.approx(list(estimate.means))
    growth = math.sqrt(2.0 * math.log(len(LOG)))
    bounds = [
        (mean or 0.0) + 2.0 * spread * growth
        for mean, spread in zip(estimate.means, estimate.spreads, strict=True)
    ]
    assert [GOLDEN["ucb1"][arm] for arm in ARMS] == pytest.approx(bounds)


def test_epsilon_greedy_has_the_same_means() -> None:
    """The recipe learns what its estimator does."""
    policy = epsilon_greedy()
    state = policy.init(ARMS, 0)
    for arm, _, reward in LOG:
        state = policy.learn(state, experience(arm, reward=reward))
    assert GOLDEN["means"] == pytest.approx(dict(state.estimates.arm_to_mean))

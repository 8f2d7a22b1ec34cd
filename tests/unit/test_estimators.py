"""Estimators against closed forms, and what age and change do to what they know."""

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.estimators import BetaCounts, DiscountedMean, Forgetting, Logistic, Ridge, Sums
from pickllm.stores.codec import decode, encode
from pickllm.testing import experience, situation

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 4)).astype(np.float32)
Y = np.clip(0.5 + X.astype(float) @ [0.1, -0.05, 0.0, 0.02] + RNG.normal(0, 0.1, 200), 0, 1)


def taught(estimator: Ridge, rows: range, *, arm: str = "a", time_s: float = 0.0):  # type: ignore[no-untyped-def]  # noqa: ANN201  # a state
    """The state after some of the rewards."""
    state = estimator.init(["a"], 4)
    for row in rows:
        lesson = experience(arm, reward=float(Y[row]), features=X[row], time_s=time_s)
        state = estimator.learn(state, lesson)
    return state


def test_ridge_is_the_closed_form() -> None:
    """(A0 + X'X)^-1 (A0 theta0 + X'y), with the prior on the intercept alone."""
    estimator = Ridge(penalty=3.0, prior=0.7, prior_count=2.0, noise=0.5)
    design = np.c_[np.ones(200), X.astype(float)]
    precision = np.diag([2.0, 3.0, 3.0, 3.0, 3.0])
    inverse = np.linalg.inv(precision + design.T @ design)
    theta = inverse @ (precision @ [0.7, 0, 0, 0, 0] + design.T @ Y)
    estimate = estimator.estimate(taught(estimator, range(200)), situation("a", features=X[0]))
    assert design[0] @ theta == pytest.approx(estimate.means[0])
    spread = 0.5 * np.sqrt(design[0] @ inverse @ design[0])
    assert spread == pytest.approx(estimate.spreads[0])
    assert (202.0,) == estimate.counts


def test_inverse_that_follows_each_reward_is_the_inverse() -> None:
    """After hundreds of rewards Sherman and Morrison's inverse is that of the sums."""
    estimator = Ridge()
    state = estimator.init(["a"], 4)
    for row in range(200):
        before = estimator.solved(state, ("a",), 0.0)
        assert before.solutions[0].shape == (6, 5)
        state = estimator.learn(state, experience("a", reward=Y[row], features=X[row]))
    followed = estimator.solved(state, ("a",), 0.0)
    fresh = estimator.solved(taught(estimator, range(200)), ("a",), 0.0)
    np.testing.assert_allclose(followed.solutions, fresh.solutions, atol=1e-10)


def test_what_is_worked_out_is_not_written_down() -> None:
    """Bytes hold the sums alone, and the state read back expects the same."""
    estimator = Ridge()
    state = taught(estimator, range(30))
    asked = situation("a", "b", features=X[40])
    expected = estimator.estimate(state, asked)
    data = encode(state, policy="p")
    assert b"solutions" not in data
    back = decode(data, like=estimator.init(["a"], 4), policy="p")
    assert back == state
    assert expected.means == pytest.approx(estimator.estimate(back, asked).means)


def test_features_of_another_length_are_not_looked_at() -> None:
    """A featurizer that was changed blinds the estimate; it does not break it."""
    estimator = Ridge(prior=0.5)
    state = taught(estimator, range(100))
    blind = estimator.estimate(state, situation("a", features=np.ones(7, dtype=np.float32)))
    none = estimator.estimate(state, situation("a"))
    assert none == blind


def test_old_rewards_count_for_half_after_a_half_life() -> None:
    """Two rewards a half-life apart: weights one half and one."""
    estimator = DiscountedMean(half_life_s=100.0, buckets=100)
    state = Sums()
    for time_s, reward in ((0.0, 1.0), (100.0, 0.0)):
        state = estimator.learn(state, experience("a", reward=reward, time_s=time_s))
    assert 1 / 3 == pytest.approx(estimator.estimate(state, situation("a", time_s=100.0)).means[0])
    later = estimator.estimate(state, situation("a", time_s=200.0))
    assert (0.75,) == pytest.approx(later.counts)


def test_late_reward_lands_in_the_bucket_of_its_decision() -> None:
    """Whether feedback comes at once or next week, the state is the same."""
    estimator = DiscountedMean(half_life_s=10.0)
    lessons = [experience("a", reward=0.1 * n, time_s=3.0 * n) for n in range(9)]
    states = []
    for order in (lessons, lessons[::-1]):
        state = Sums()
        for lesson in order:
            state = estimator.learn(state, lesson)
        states.append(estimator.estimate(state, situation("a", time_s=30.0)))
    assert states[0].means == pytest.approx(states[1].means)


def test_what_is_a_thousandth_is_dropped() -> None:
    """Buckets older than ten half-lives go: state does not grow for ever."""
    estimator = Ridge(forgetting=Forgetting(half_life_s=10.0, buckets=2))
    state = estimator.init(["a"], 0)
    for number in range(500):
        state = estimator.learn(state, experience("a", reward=1.0, time_s=5.0 * number))
    assert 22 >= len(state.sums.arm_to_sums["a"])


def test_ridge_forgets_by_age() -> None:
    """Weights are those of the age when the estimate is read."""
    estimator = Ridge(prior_count=1e-9, forgetting=Forgetting(half_life_s=10.0, buckets=10))
    state = estimator.init(["a"], 0)
    for time_s, reward in ((0.0, 1.0), (10.0, 0.0)):
        state = estimator.learn(state, experience("a", reward=reward, time_s=time_s))
        estimator.estimate(state, situation("a", time_s=time_s))
    assert 1 / 3 == pytest.approx(estimator.estimate(state, situation("a", time_s=10.0)).means[0])


def test_model_updated_widens_and_lets_new_rewards_tell() -> None:
    """Of a hundred rewards two are left, so ten new ones outweigh them."""
    estimator = Ridge(prior=0.5, prior_count=1.0)
    state = estimator.init(["a"], 0)
    for _ in range(100):
        state = estimator.learn(state, experience("a", reward=1.0, time_s=1.0))
    before = estimator.estimate(state, situation("a", time_s=2.0))
    state = estimator.model_updated(state, "a", 2.0)
    after = estimator.estimate(state, situation("a", time_s=2.0))
    assert after.spreads[0] > 3.0 * before.spreads[0]
    for _ in range(10):
        state = estimator.learn(state, experience("a", reward=0.0, time_s=3.0))
    assert (2.0 + 0.5) / 13.0 == pytest.approx(
        estimator.estimate(state, situation("a", time_s=3.0)).means[0]
    )


def test_beta_counts_are_a_beta_posterior() -> None:
    """Mean and deviation of Beta(1 + 3, 1 + 1)."""
    estimator = BetaCounts()
    state = estimator.init(["a"], 0)
    for reward in (1.0, 1.0, 0.0, 1.0):
        state = estimator.learn(state, experience("a", reward=reward))
    estimate = estimator.estimate(state, situation("a"))
    assert (4 / 6,) == pytest.approx(estimate.means)
    assert (np.sqrt(4 * 2 / (36 * 7)),) == pytest.approx(estimate.spreads)


def test_logistic_learns_which_prompts_an_arm_is_good_at() -> None:
    """One feature decides; after 300 rewards the estimates are on its two sides."""
    estimator = Logistic()
    state = estimator.init(["a"], 1)
    for number in range(300):
        x = np.array([1.0 if number % 2 else -1.0], dtype=np.float32)
        reward = float(number % 2) if number % 10 else 1.0 - float(number % 2)
        state = estimator.learn(state, experience("a", reward=reward, features=x))
    high, low = (
        estimator.estimate(state, situation("a", features=np.array([x], dtype=np.float32))).means[0]
        for x in (1.0, -1.0)
    )
    assert high is not None
    assert low is not None
    assert high > 0.75
    assert low < 0.35


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Ridge(penalty=0.0), "penalty must be above 0"),
        (lambda: Ridge(prior_count=-1.0), "prior_count must be above 0"),
        (lambda: Logistic(penalty=0.0), "penalty must be above 0"),
        (lambda: BetaCounts(successes=0.0), "successes and failures must be above 0"),
        (lambda: DiscountedMean(half_life_s=0.0), "half_life_s must be above 0"),
        (lambda: Forgetting(buckets=0), "at least one"),
        (lambda: Forgetting(keep=2.0), "keep must lie"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: object, told: str) -> None:
    """A setting out of its range is an error when it is made."""
    with pytest.raises(ConfigError, match=told):
        make()  # type: ignore[operator]  # a function

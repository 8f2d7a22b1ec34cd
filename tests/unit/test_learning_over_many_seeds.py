"""What policies come to over many sessions, with margins wide enough for chance."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pickllm import (
    Weights,
    beta_thompson,
    contextual,
    discounted_ucb,
    epsilon_greedy,
    lin_thompson,
    lin_ucb,
    logistic,
    square_cb,
    ucb1,
)
from pickllm.rng import Rng
from pickllm.testing import experience, situation

SESSIONS = 12
ARMS = ("a", "b", "c", "d")
MEANS = dict(zip(ARMS, (0.5, 0.75, 0.55, 0.3), strict=True))
QUALITY = Weights(quality=1.0, cost=0.0, latency=0.0)


def run(policy: Any, worth: Any, *, steps: int, seed: int, dim: int) -> list[float]:
    """The expected reward of each draw of a session; ``worth(arm, x)`` is an arm's mean."""
    world = np.random.default_rng(seed)
    state, means = policy.init(ARMS, dim), []
    for step in range(steps):
        x = world.choice((-0.7, 0.7), size=dim).astype(np.float32)
        rng = Rng(seed=seed, number=step)
        seen = replace(situation(*ARMS, features=x, time_s=float(step)), weights=QUALITY)
        arm = ARMS[rng.index(policy.decide(state, seen, rng).probabilities)]
        means.append(worth(arm, x))
        reward = float(world.random() < means[-1])
        state = policy.learn(
            state, experience(arm, reward=reward, arms=ARMS, features=x, time_s=float(step))
        )
    return means


@pytest.mark.parametrize(
    "policy",
    [ucb1(width=0.4), beta_thompson(), discounted_ucb(), epsilon_greedy(), contextual()],
    ids=lambda policy: policy.name.split(":")[0].split("(")[0],
)
def test_no_session_ends_on_a_wrong_arm(policy: Any) -> None:
    """The last hundred of six hundred draws earn close to the best arm's mean, in nearly all."""
    near = 0
    for seed in range(SESSIONS):
        means = run(policy, lambda arm, _: MEANS[arm], steps=600, seed=seed, dim=0)
        near += float(np.mean(means[-100:])) > 0.68
    assert SESSIONS - 3 <= near


@pytest.mark.parametrize(
    "policy",
    [
        contextual(),
        lin_ucb(),
        lin_thompson(),
        square_cb(gamma=50.0),
        logistic(),
    ],
    ids=lambda policy: policy.name.split(":")[0],
)
def test_what_depends_on_the_prompt_is_learnt(policy: Any) -> None:
    """Each of two arms is right for half of the prompts: more than the best single arm earns."""

    def worth(arm: str, x: Any) -> float:
        if arm == "a":
            return 0.85 if x[0] > 0 else 0.35
        return 0.35 if x[0] > 0 or arm != "b" else 0.85

    last = [
        np.mean(run(policy, worth, steps=800, seed=seed, dim=3)[-200:]) for seed in range(SESSIONS)
    ]
    assert 0.7 < np.mean(last)

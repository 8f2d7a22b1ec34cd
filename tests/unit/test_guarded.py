"""The guard: it holds back what is worse, and opens to what is no worse."""

from typing import Any

import numpy as np
import pytest

from pickllm import (
    ConfigError,
    Fixed,
    Guarded,
    Random,
    Request,
    Router,
    Watched,
    contextual,
    epsilon_greedy,
)
from pickllm.policies import GuardedState
from pickllm.stores import MemoryStore
from tests.unit.doubles import answered, priced, settled

FEW = 30
"""Sessions; a guard that errs once in twenty would open in two of them at most, nearly always."""


def session(policy: Guarded, arm_to_mean: dict[str, float], rounds: int, seed: int) -> Any:
    """The state after some requests whose answers are right or wrong."""
    rng = np.random.default_rng(seed)
    router = Router(arms=priced(*arm_to_mean), policy=policy, weights={"quality": 1.0}, seed=seed)
    for _ in range(rounds):
        decision = router.decide(Request(text=""))
        router.settle(answered(decision))
        router.feedback(decision.id, float(rng.random() < arm_to_mean[decision.arm]))
    return router.state


def test_guard_opens_to_a_policy_that_is_better() -> None:
    """With a fair difference, within a thousand requests in every session."""
    policy = Guarded(policy=Fixed(arm="new"), baseline="old")
    for seed in range(5):
        state = session(policy, {"old": 0.4, "new": 0.8}, 1_000, seed)
        assert policy.no_worse(state)
        assert policy.lower_end(state) < 0.4


def test_guard_does_not_open_to_a_policy_that_is_worse() -> None:
    """Not once where it errs in one session of twenty by its settings."""
    policy = Guarded(policy=Fixed(arm="new"), baseline="old")
    opened = 0
    for seed in range(FEW):
        opened += policy.no_worse(session(policy, {"old": 0.7, "new": 0.6}, 300, seed))
    assert 3 >= opened


def test_policy_may_be_given_by_its_name() -> None:
    """As a router takes it; a name that is none is told at once."""
    assert Guarded(policy="contextual", baseline="a") == Guarded(policy=contextual(), baseline="a")
    assert Watched(policy="random", incumbent="a") == Watched(policy=Random(), incumbent="a")
    with pytest.raises(ConfigError, match="no policy is called 'contextul'"):
        Watched(policy="contextul", incumbent="a")


def test_shares_are_those_of_trial_and_trust() -> None:
    """Closed, the baseline serves four in five; open, one in twenty."""
    policy = Guarded(policy=Fixed(arm="new"), baseline={"old": 3.0, "older": 1.0})
    router = Router(arms=priced("old", "older", "new"), policy=policy, seed=1)
    closed = router.decide(Request(text=""))
    assert (0.6, 0.2, 0.2) == pytest.approx(closed.probabilities)
    assert (0.0, 0.0, 1.0) == closed.shadow
    router._books.learner.state = GuardedState(
        policy=None, count=100, difference=50.0, squares=26.0
    )
    opened = router.decide(Request(text=""))
    assert (0.0375, 0.0125, 0.95) == pytest.approx(opened.probabilities)


def test_policy_serves_where_no_baseline_may() -> None:
    """An eligible set without the baseline's arms is the policy's own."""
    policy = Guarded(policy=Fixed(arm="new"), baseline="old")
    router = Router(arms=priced("old", "new"), policy=policy, seed=1)
    assert 1.0 == router.decide(Request(text="", only=("new",))).propensity


@pytest.mark.parametrize(
    "settings",
    [
        {"trial": 0.0},
        {"trial": 0.9, "trust": 0.5},
        {"trust": 1.0},
        {"margin": -0.1},
        {"error": 0.0},
        {"baseline": {}},
        {"baseline": {"a": -1.0}},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    """A setting out of its range is an error when it is made."""
    with pytest.raises(ConfigError):
        Guarded(**{"policy": Fixed(arm="a"), "baseline": "b", **settings})


def test_workers_of_one_store_compare_together() -> None:
    """What one of them was told counts in the comparison of all."""
    store = MemoryStore()
    first, second = (
        Router(
            arms=priced("old", "new"),
            policy=Guarded(policy=epsilon_greedy(), baseline="old"),
            store=store,
            seed=seed,
        )
        for seed in (1, 2)
    )
    for _ in range(40):
        first.feedback(settled(first).id, 1.0)
    first.save()
    second.save()
    assert 40 == second.state.count
    assert first.state == second.state

"""Every policy that ships keeps every promise of the protocol."""

from typing import Any

import pytest

from pickllm import (
    Bounded,
    Fixed,
    FunctionPolicy,
    Guarded,
    LearningAutomaton,
    SquareCB,
    Thompson,
    Watched,
    contextual,
    epsilon_greedy,
    q_learning,
    softmax,
    ucb1,
)
from pickllm.policies import POLICIES
from pickllm.protocols import Policy
from pickllm.ranking import WinRateThreshold, ranked, ranked_contextual
from pickllm.testing import check_policy
from pickllm.types import Situation
from tests.ranking.battles import ByLength


def weights_by_name(situation: Situation) -> dict[str, float]:
    """Weights that depend on the arms' names, not on their order."""
    return {arm: float(len(arm)) for arm in situation.arms}


VARIANTS: dict[str, Policy[Any]] = {
    **{name: make() for name, make in POLICIES.items()},
    "automaton with a floor": LearningAutomaton(floor=0.1),
    "automaton with a baseline": LearningAutomaton(baseline=0.5),
    "automaton with a running baseline": LearningAutomaton(baseline="running"),
    "automaton with a big step": LearningAutomaton(step=0.999),
    "automaton with everything": LearningAutomaton(step=0.9, floor=0.2, baseline="running"),
    "greedy": epsilon_greedy(epsilon=0.0),
    "all exploration": epsilon_greedy(epsilon=1.0),
    "q_learning with a decaying epsilon": q_learning(epsilon=1.0, decay=0.9, least=0.05),
    "q_learning from zero": q_learning(initial=0.0, alpha=1.0),
    "ucb1 without chance": ucb1(epsilon=0.0),
    "contextual with priors by name": contextual(prior={"small": 0.2}),
    "contextual with a budget": contextual(budget_usd=0.001),
    "contextual that forgets": contextual(half_life_s=60.0, drift=None),
    "contextual by inverse gaps": contextual(explorer=SquareCB()),
    "contextual within bounds": contextual(explorer=Bounded(explorer=Thompson(), ceiling=0.1)),
    "watched": Watched(policy=contextual(), incumbent="large"),
    "watched behind an arm that is not there": Watched(policy=softmax(), incumbent="gone"),
    "guarded": Guarded(policy=contextual(), baseline="small"),
    "guarded by a mixture": Guarded(policy=ucb1(), baseline={"small": 1.0, "large": 2.0}),
    "ranked": ranked(ByLength(arms=("small", "large"))),
    "ranked to begin with": ranked_contextual(ByLength(arms=("small", "large"))),
    "threshold": WinRateThreshold(
        arms=("small", "large"), strong="large", weak="small", threshold=0.5, epsilon=0.1
    ),
    "fixed": Fixed(arm="large"),
    "fixed on an arm that is not there": Fixed(arm="gone"),
    "function that names an arm": FunctionPolicy(function=lambda s: max(s.arms, key=len)),
    "function that weighs": FunctionPolicy(function=weights_by_name),
}


@pytest.mark.parametrize("policy", VARIANTS.values(), ids=VARIANTS.keys())
def test_policy_keeps_its_promises(policy: Policy[Any]) -> None:
    """A policy of ours passes the suite that a user's own policy is asked to pass."""
    check_policy(policy)


@pytest.mark.parametrize("policy", VARIANTS.values(), ids=VARIANTS.keys())
def test_policy_manages_with_a_single_arm(policy: Policy[Any]) -> None:
    """A pool of one arm is a pool."""
    check_policy(policy, arms=("only",))


def test_names_tell_policies_of_other_settings_apart() -> None:
    """Stored state belongs to a policy and its settings, so no two share a name."""
    names = [policy.name for policy in VARIANTS.values()]
    assert sorted(set(names)) == sorted(names)

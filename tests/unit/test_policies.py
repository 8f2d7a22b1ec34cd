"""The published rules in numbers, and what each policy does with odd pools."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from pickllm import (
    ConfigError,
    EpsilonGreedy,
    Fixed,
    FunctionPolicy,
    LearningAutomaton,
    Random,
    ValuePolicy,
    epsilon_greedy,
    q_learning,
)
from pickllm.estimators import RunningMean
from pickllm.policies import POLICIES, AutomatonState, policy_of
from pickllm.protocols import Policy
from pickllm.rng import Rng
from pickllm.testing import experience, situation
from pickllm.types import Estimate, Situation
from tests.unit.doubles import mistyped

RNG = Rng(seed=1, number=1)


def first(situation: Situation) -> str:
    """A function that chooses."""
    return situation.arms[0]


def taught(policy: Policy[Any], *lessons: tuple[str, float], arms: tuple[str, ...]) -> Any:
    """The state after these rewards."""
    state = policy.init(arms, 0)
    for arm, reward in lessons:
        state = policy.learn(state, experience(arm, reward=reward, arms=arms))
    return state


def estimate_of(*means: float | None) -> Estimate:
    """Means of which nothing more is known."""
    zeros = (0.0,) * len(means)
    return Estimate(means=means, spreads=zeros, counts=zeros)


# The automaton


def test_automaton_follows_the_published_rule() -> None:
    """With b = 0.1: p_i += b r (1 - p_i) and p_j -= b r p_j, worked out by hand for two steps."""
    policy = LearningAutomaton(step=0.1)
    state = taught(policy, ("a", 0.5), ("b", 1.0), arms=("a", "b", "c", "d"))
    # a: .25 + .05 * .75 = .2875, others .25 * .95 = .2375; then b: .2375 + .1 * .7625 = .31375
    assert {"a": 0.25875, "b": 0.31375, "c": 0.21375, "d": 0.21375} == pytest.approx(
        state.arm_to_probability
    )


def test_automaton_does_not_move_on_a_reward_of_zero() -> None:
    """Inaction: a reward of zero moves no probability."""
    state = taught(LearningAutomaton(step=0.5), ("a", 0.0), arms=("a", "b"))
    assert {"a": 0.5, "b": 0.5} == state.arm_to_probability


def test_automaton_raises_to_the_floor_when_it_decides_only() -> None:
    """The floor mixes into what is drawn, and leaves the learnt vector alone."""
    policy = LearningAutomaton(step=0.5, floor=0.1)
    state = taught(policy, ("a", 1.0), arms=("a", "b"))
    choice = policy.decide(state, situation("a", "b"), RNG)
    assert (0.1 + 0.8 * 0.75, 0.1 + 0.8 * 0.25) == pytest.approx(choice.probabilities)
    assert (0.75, 0.25) == choice.values


def test_automaton_floor_is_at_most_an_equal_share() -> None:
    """A floor above an equal share makes all arms equally likely, and no probability negative."""
    policy = LearningAutomaton(step=0.5, floor=0.9)
    state = taught(policy, ("a", 1.0), arms=("a", "b"))
    assert (0.5, 0.5) == policy.decide(state, situation("a", "b"), RNG).probabilities


def test_automaton_with_a_fixed_baseline_learns_from_what_is_above_it() -> None:
    """With baseline .5 a reward of .75 counts as a half, and one below it as nothing."""
    policy = LearningAutomaton(step=0.1, baseline=0.5)
    state = taught(policy, ("a", 0.75), ("b", 0.5), ("b", 0.2), arms=("a", "b"))
    assert {"a": 0.525, "b": 0.475} == pytest.approx(state.arm_to_probability)


def test_automaton_with_a_running_baseline_uses_mean_less_one_deviation() -> None:
    """After rewards .4 and .8 the level is .6 - .2 * sqrt(2), worked out by hand."""
    policy = LearningAutomaton(step=0.1, baseline="running")
    before = taught(policy, ("a", 0.4), ("b", 0.8), arms=("a", "b"))
    after = policy.learn(before, experience("a", reward=1.0, arms="ab"))
    level = 0.6 - 0.2 * math.sqrt(2.0)
    moved = 0.1 * (1.0 - level) / (1.0 - level)
    expected = before.arm_to_probability["a"] + moved * before.arm_to_probability["b"]
    assert expected == pytest.approx(after.arm_to_probability["a"])
    half = policy.learn(before, experience("a", reward=level, arms="ab"))
    assert before.arm_to_probability == pytest.approx(half.arm_to_probability)


def test_automaton_counts_the_moments_of_rewards() -> None:
    """Steps, mean and squared deviations are those of the rewards seen."""
    state = taught(LearningAutomaton(), ("a", 0.2), ("b", 0.4), ("a", 0.9), arms=("a", "b"))
    assert 3 == state.steps
    assert (0.5, 0.26) == pytest.approx((state.reward_mean, state.reward_square_sum))


def test_automaton_gives_a_newcomer_an_equal_share() -> None:
    """An arm that joins the pool starts with one over the number of arms; the others make room."""
    policy = LearningAutomaton(step=0.5)
    state = taught(policy, ("a", 1.0), arms=("a", "b"))
    choice = policy.decide(state, situation("a", "b", "new"), RNG)
    assert (0.5, 0.25 * 2 / 3, 1 / 3) == pytest.approx(choice.probabilities)


def test_automaton_restricts_itself_to_the_eligible_arms() -> None:
    """Among the arms that can answer, the proportions stay."""
    policy = LearningAutomaton()
    state = AutomatonState(arm_to_probability={"a": 0.5, "b": 0.3, "c": 0.2})
    assert (0.6, 0.4) == pytest.approx(policy.decide(state, situation("b", "c"), RNG).probabilities)


def test_automaton_draws_alike_where_all_eligible_arms_are_dead() -> None:
    """Where no eligible arm has any probability left, all are equally likely."""
    policy = LearningAutomaton()
    state = AutomatonState(arm_to_probability={"a": 1.0, "b": 0.0, "c": 0.0})
    assert (0.5, 0.5) == policy.decide(state, situation("b", "c"), RNG).probabilities


def test_automaton_survives_probabilities_too_small_to_invert() -> None:
    """After tens of thousands of rewards for one arm, the others still share what is theirs."""
    policy = LearningAutomaton()
    state = AutomatonState(arm_to_probability={"a": 1.0, "b": 1e-310, "c": 3e-310})
    choice = policy.decide(state, situation("b", "c"), RNG)
    assert (0.25, 0.75) == pytest.approx(choice.probabilities)


def test_automaton_does_not_round_a_dead_arm_below_zero() -> None:
    """Where the others' shares round to a little more than one, a dead arm has zero, not less."""
    shares = {
        arm: share / 1.55 for arm, share in zip("bcde", (0.01, 0.99, 0.12, 0.43), strict=True)
    }
    state = AutomatonState(arm_to_probability={"a": 0.0, **shares})
    after = LearningAutomaton().learn(state, experience("a", reward=0.0, arms="abcde"))
    assert 0.0 == after.arm_to_probability["a"]


# Q-learning and running means


def test_q_learning_follows_the_published_rule() -> None:
    """Q += alpha (R - Q) from Q0 = 1: 1 -> .96 -> .968 with alpha .2 and rewards .8 and 1."""
    state = taught(q_learning(alpha=0.2), ("a", 0.8), ("a", 1.0), arms=("a", "b"))
    assert {"a": 0.968} == pytest.approx(state.estimates.arm_to_mean)


def test_q_learning_is_optimistic_about_arms_never_tried() -> None:
    """With Q0 = 1 an arm never rewarded is worth 1, and is preferred to one that earned less."""
    policy = q_learning(epsilon=0.1)
    state = taught(policy, ("a", 0.9), arms=("a", "b"))
    choice = policy.decide(state, situation("a", "b"), RNG)
    assert (0.05, 0.95) == pytest.approx(choice.probabilities)
    assert (0.99, 1.0) == pytest.approx(choice.values)


def test_q_learning_from_zero_freezes_on_the_first_arm_rewarded() -> None:
    """The warning in its docstring holds: with Q0 = 0 and no exploration the first arm stays."""
    policy = q_learning(initial=0.0, epsilon=0.0)
    state = taught(policy, ("a", 0.1), arms=("a", "b"))
    assert (1.0, 0.0) == policy.decide(state, situation("a", "b"), RNG).probabilities


def test_running_mean_is_the_mean() -> None:
    """Without a step the estimate is the arithmetic mean of each arm's rewards."""
    rewards = (0.2, 0.9, 0.4, 0.1)
    state = taught(epsilon_greedy(), *(("a", reward) for reward in rewards), arms=("a", "b"))
    assert {"a": 0.4} == pytest.approx(state.estimates.arm_to_mean)
    assert {"a": 4} == state.estimates.arm_to_count
    assert 4 == state.steps


def test_running_mean_knows_nothing_of_an_arm_never_rewarded() -> None:
    """An arm never rewarded has no value, unless the settings give it one."""
    values = RunningMean().estimate(RunningMean().init(["a"], 0), situation("a", "b"))
    assert (None, None) == values.means
    values = RunningMean(initial=0.3).estimate(RunningMean().init(["a"], 0), situation("a", "b"))
    assert (0.3, 0.3) == values.means


def test_running_mean_with_an_initial_value_forgets_it_at_the_first_reward() -> None:
    """Averaging over all rewards has no weight left for a start that was no reward."""
    estimator = RunningMean(initial=1.0)
    state = estimator.learn(estimator.init(["a"], 0), experience("a", reward=0.4))
    assert {"a": 0.4} == pytest.approx(state.arm_to_mean)


# Exploring


def test_epsilon_is_spread_over_all_arms() -> None:
    """The best arm gets 1 - epsilon and its share of epsilon; the others their share."""
    probabilities = EpsilonGreedy(epsilon=0.3).probabilities(estimate_of(*(0.1, 0.9, 0.5)), 0, RNG)
    assert (0.1, 0.8, 0.1) == pytest.approx(probabilities)


def test_equal_bests_share() -> None:
    """Arms of equal value are equally likely: no arm wins by its place."""
    probabilities = EpsilonGreedy(epsilon=0.0).probabilities(estimate_of(*(0.9, 0.2, 0.9)), 0, RNG)
    assert (0.5, 0.0, 0.5) == probabilities


def test_an_arm_never_rewarded_shares_with_the_best() -> None:
    """What is unknown is tried, and takes no more than an equal share of the best."""
    probabilities = EpsilonGreedy(epsilon=0.0).probabilities(
        estimate_of(*(0.9, None, 0.2, None)), 0, RNG
    )
    assert (1 / 3, 1 / 3, 0.0, 1 / 3) == pytest.approx(probabilities)


def test_epsilon_decays_with_the_rewards_learnt_and_stops_at_the_least() -> None:
    """Epsilon is epsilon * decay ** steps, and never below its least."""
    explorer = EpsilonGreedy(epsilon=0.8, decay=0.5, least=0.1)
    spared = [
        explorer.probabilities(estimate_of(*(1.0, 0.0)), steps, RNG)[1] * 2
        for steps in (0, 1, 2, 3, 99)
    ]
    assert [0.8, 0.4, 0.2, 0.1, 0.1] == pytest.approx(spared)


def test_epsilon_schedule_counts_rewards_not_requests() -> None:
    """A policy's steps grow when it learns, not when it decides."""
    policy = epsilon_greedy(epsilon=1.0, decay=0.5)
    state = taught(policy, ("a", 1.0), ("a", 1.0), arms=("a", "b"))
    for _ in range(3):
        choice = policy.decide(state, situation("a"), RNG)
        assert (1.0,) == choice.probabilities
    assert 2 == state.steps


# Baselines and functions


def test_fixed_draws_at_random_where_its_arm_may_not_answer() -> None:
    """Where the fixed arm is not eligible, any other is as good."""
    assert (0.5, 0.5) == Fixed(arm="c").decide(None, situation("a", "b"), RNG).probabilities


def test_random_is_even() -> None:
    """All eligible arms are equally likely."""
    assert (0.25,) * 4 == Random().decide(None, situation(*"abcd"), RNG).probabilities


def test_function_may_weigh_arms() -> None:
    """Weights become probabilities; an arm left out has none."""
    policy = FunctionPolicy(function=lambda _: {"a": 3, "c": 1})
    assert (0.75, 0.0, 0.25) == policy.decide(None, situation(*"abc"), RNG).probabilities


@pytest.mark.parametrize(
    "answer",
    ["gone", {}, {"a": 0.0}, {"a": 1.0, "b": -0.5}, {"a": math.inf}, {"a": math.nan}, {"gone": 1}],
    ids=str,
)
def test_function_must_choose_among_the_eligible(answer: str | Mapping[str, float]) -> None:
    """An answer that names no eligible arm, or no weights, is told back to the user."""
    policy = FunctionPolicy(function=lambda _: answer)
    with pytest.raises(ConfigError, match=r"name of an eligible arm.*eligible are \['a', 'b'\]"):
        policy.decide(None, situation("a", "b"), RNG)


def test_function_policy_is_named_for_its_function() -> None:
    """The name in a decision is the function's own."""
    assert "function(first)" == FunctionPolicy(function=first).name


# Settings


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: LearningAutomaton(step=0.0), "step must lie between 0 and 1"),
        (lambda: LearningAutomaton(step=1.0), "step must lie between 0 and 1"),
        (lambda: LearningAutomaton(step=math.nan), "step must lie between 0 and 1"),
        (lambda: LearningAutomaton(floor=-0.1), "floor must lie"),
        (lambda: LearningAutomaton(floor=1.0), "floor must lie"),
        (lambda: LearningAutomaton(baseline=1.0), "baseline must lie"),
        (lambda: LearningAutomaton(baseline=math.nan), "baseline must lie"),
        (lambda: EpsilonGreedy(epsilon=1.1), "0 <= least <= epsilon <= 1"),
        (lambda: EpsilonGreedy(epsilon=-0.1), "0 <= least <= epsilon <= 1"),
        (lambda: EpsilonGreedy(epsilon=0.1, least=0.2), "0 <= least <= epsilon <= 1"),
        (lambda: EpsilonGreedy(epsilon=math.nan), "0 <= least <= epsilon <= 1"),
        (lambda: EpsilonGreedy(decay=0.0), "decay must lie"),
        (lambda: EpsilonGreedy(decay=1.5), "decay must lie"),
        (lambda: RunningMean(step=0.0), "step must lie"),
        (lambda: RunningMean(step=1.5), "step must lie"),
        (lambda: RunningMean(initial=-1.0), "initial must lie"),
        (lambda: RunningMean(initial=math.nan), "initial must lie"),
        (
            lambda: policy_of("thompson"),
            r"no policy is called 'thompson'; there are \['beta_th",
        ),
        (lambda: policy_of(mistyped(LearningAutomaton)), "is the class LearningAutomaton; give"),
        (lambda: policy_of(mistyped(3)), "it is int"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, told: str) -> None:
    """A setting out of its range is an error when the policy is built, and says what is allowed."""
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_known_by_name(name: str) -> None:
    """Each name of the table stands for a policy, a fresh one each time or an equal one."""
    assert POLICIES[name]().name == policy_of(name).name


def test_a_policy_and_a_function_stand_for_themselves() -> None:
    """What is a policy already is taken as it is; a function becomes one."""
    policy = ValuePolicy(estimator=RunningMean(), explorer=EpsilonGreedy())
    assert policy is policy_of(policy)
    assert FunctionPolicy(function=first) == policy_of(first)


def test_automaton_takes_nothing_from_an_arm_that_could_not_be_chosen() -> None:
    """Where one arm alone was eligible nothing moves; among two, only theirs does."""
    policy = LearningAutomaton(step=0.5)
    state = policy.init(["a", "b", "c"], 0)
    alone = policy.learn(state, experience("b", reward=1.0, arms=["b"])).arm_to_probability
    assert state.arm_to_probability == pytest.approx(alone)

    moved = policy.learn(state, experience("b", reward=1.0, arms=["b", "c"])).arm_to_probability
    assert {"a": 1 / 3, "b": 1 / 2, "c": 1 / 6} == pytest.approx(moved)

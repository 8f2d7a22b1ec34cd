"""Laws of policies: probabilities stay probabilities whatever is learnt."""

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import EpsilonGreedy, LearningAutomaton, Request, Router, epsilon_greedy, q_learning
from pickllm.policies import POLICIES, AutomatonState
from pickllm.rng import Rng
from pickllm.testing import experience, situation
from pickllm.types import Estimate
from tests.unit.doubles import priced

ARMS = ("a", "b", "c", "d")
RNG = Rng(seed=1, number=1)

rewards = st.floats(min_value=0.0, max_value=1.0)
lessons = st.lists(st.tuples(st.sampled_from((*ARMS, "newcomer")), rewards), max_size=40)
some_arms = st.lists(st.sampled_from(ARMS), min_size=1, unique=True).map(tuple)
automata = st.builds(
    LearningAutomaton,
    step=st.floats(min_value=1e-6, max_value=0.999999),
    floor=st.sampled_from((0.0, 0.01, 0.25, 0.9)),
    baseline=st.one_of(st.just("running"), st.floats(min_value=0.0, max_value=0.99)),
)
explorers = st.tuples(
    st.floats(min_value=0.0, max_value=1.0),
    st.floats(min_value=0.0, max_value=1.0),
    st.floats(min_value=1e-3, max_value=1.0),
).map(lambda of: EpsilonGreedy(epsilon=max(of[:2]), least=min(of[:2]), decay=of[2]))


def estimate_of(values: Sequence[float | None]) -> Estimate:
    """Means of which nothing more is known."""
    zeros = (0.0,) * len(values)
    return Estimate(means=tuple(values), spreads=zeros, counts=zeros)


def on_the_simplex(probabilities: tuple[float, ...]) -> bool:
    """Whether these are probabilities."""
    return min(probabilities) >= 0.0 and abs(math.fsum(probabilities) - 1.0) <= 1e-12


@given(policy=automata, learnt=lessons, eligible=some_arms)
def test_automaton_stays_on_the_simplex(
    policy: LearningAutomaton, learnt: list[tuple[str, float]], eligible: tuple[str, ...]
) -> None:
    """After any rewards the vector, and what is drawn from any arms of it, sum to one."""
    state = policy.init(ARMS, 0)
    for arm, reward in learnt:
        state = policy.learn(state, experience(arm, reward=reward, arms=ARMS))
        assert on_the_simplex(tuple(state.arm_to_probability.values()))
        assert on_the_simplex(policy.decide(state, situation(*eligible), RNG).probabilities)


@given(
    policy=automata,
    weights=st.lists(
        st.sampled_from((0.0, 5e-324, 1e-310, 1e-200, 1e-17, 0.3, 1.0)), min_size=4, max_size=4
    ),
    learnt=lessons,
    eligible=some_arms,
)
def test_automaton_recovers_from_any_corner(
    policy: LearningAutomaton,
    weights: list[float],
    learnt: list[tuple[str, float]],
    eligible: tuple[str, ...],
) -> None:
    """From dead and from all but dead arms, what is drawn are probabilities still."""
    total = math.fsum(weights)
    shares = [weight / total for weight in weights] if total else [0.25] * 4
    state = AutomatonState(arm_to_probability=dict(zip(ARMS, shares, strict=True)))
    assert on_the_simplex(policy.decide(state, situation(*eligible), RNG).probabilities)
    for arm, reward in learnt:
        state = policy.learn(state, experience(arm, reward=reward, arms=ARMS))
    assert on_the_simplex(tuple(state.arm_to_probability.values()))
    assert on_the_simplex(policy.decide(state, situation(*eligible), RNG).probabilities)


@pytest.mark.parametrize("step", [0.05, 0.5, 0.95])
def test_automaton_stays_on_the_simplex_for_a_long_time(step: float) -> None:
    """After 20,000 rewards for one arm the others are all but dead, and still probabilities."""
    policy, lesson = LearningAutomaton(step=step), experience("a", reward=1.0, arms=ARMS)
    state = policy.init(ARMS, 0)
    for _ in range(20_000):
        state = policy.learn(state, lesson)
    assert on_the_simplex(tuple(state.arm_to_probability.values()))
    assert on_the_simplex(policy.decide(state, situation("b", "c"), RNG).probabilities)


@given(step=st.floats(min_value=0.01, max_value=0.99), reward=rewards, arm=st.sampled_from(ARMS))
def test_automaton_never_takes_from_the_arm_that_was_rewarded(
    step: float, reward: float, arm: str
) -> None:
    """A reward lowers its arm's probability never, and the others' all in proportion."""
    policy = LearningAutomaton(step=step)
    before = policy.learn(
        policy.init(ARMS, 0), experience("a", reward=0.5, arms=ARMS)
    ).arm_to_probability
    after = policy.learn(
        AutomatonState(arm_to_probability=before), experience(arm, reward=reward, arms=ARMS)
    ).arm_to_probability
    assert before[arm] <= after[arm] + 1e-15
    others = [name for name in ARMS if name != arm]
    ratios = [after[name] / before[name] for name in others]
    assert max(ratios) - min(ratios) <= 1e-12


@given(
    explorer=explorers,
    values=st.lists(st.one_of(st.none(), st.floats(min_value=-1e6, max_value=1e6)), min_size=1),
    steps=st.integers(min_value=0, max_value=10**7),
)
def test_explorer_gives_probabilities(
    explorer: EpsilonGreedy, values: list[float | None], steps: int
) -> None:
    """Whatever the values and the step, every arm keeps its share of epsilon and all sum to one."""
    probabilities = explorer.probabilities(estimate_of(values), steps, RNG)
    assert len(values) == len(probabilities)
    assert on_the_simplex(probabilities)
    assert min(probabilities) >= explorer.least / len(values) - 1e-15


@given(
    explorer=explorers,
    values=st.lists(st.one_of(st.none(), st.floats(min_value=0.0, max_value=1.0)), min_size=1),
    turn=st.randoms(use_true_random=False),
)
def test_explorer_does_not_see_the_order(
    explorer: EpsilonGreedy, values: list[float | None], turn: object
) -> None:
    """Shuffled values give the probabilities shuffled alike."""
    order = list(range(len(values)))
    turn.shuffle(order)  # type: ignore[attr-defined]  # hypothesis hands out a Random
    straight = explorer.probabilities(estimate_of(values), 3, RNG)
    turned = explorer.probabilities(estimate_of([values[index] for index in order]), 3, RNG)
    assert tuple(straight[index] for index in order) == turned


@given(learnt=lessons)
def test_estimates_stay_among_the_rewards(learnt: list[tuple[str, float]]) -> None:
    """A mean lies between the least and the greatest reward (and Q0) of its arm."""
    for policy, start in ((epsilon_greedy(), None), (q_learning(alpha=0.3), 1.0)):
        state = policy.init(ARMS, 0)
        arm_to_seen: dict[str, list[float]] = {}
        for arm, reward in learnt:
            state = policy.learn(state, experience(arm, reward=reward, arms=ARMS))
            arm_to_seen.setdefault(arm, [] if start is None else [start]).append(reward)
        for arm, mean in state.estimates.arm_to_mean.items():
            seen = arm_to_seen[arm]
            assert min(seen) - 1e-12 <= mean <= max(seen) + 1e-12


@given(
    seed=st.integers(min_value=0, max_value=2**63 - 1),
    weights=st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=1).filter(
        lambda weights: sum(weights) > 0.0
    ),
)
def test_draws_are_possible(seed: int, weights: list[float]) -> None:
    """What is drawn has a probability above zero, for any seed."""
    probabilities = tuple(weight / sum(weights) for weight in weights)
    drawn = [Rng(seed=seed, number=number).index(probabilities) for number in range(20)]
    assert all(probabilities[index] > 0.0 for index in drawn)


@pytest.mark.parametrize("name", POLICIES)
def test_frequencies_agree_with_propensities(name: str) -> None:
    """Over 4,000 decisions each arm comes up as its propensities say, within five deviations."""
    router = Router(arms=priced(*ARMS), policy=name, seed=11, weights={"quality": 1.0})
    for number, arm in enumerate(ARMS * 3):
        router._books.learner.teach(
            (str(number), "test"), experience(arm, reward=0.5 + 0.1 * (number % 4))
        )
    drawn, expected, spread = Counter[str](), Counter[str](), Counter[str]()
    for _ in range(4_000):
        decision = router.decide(Request(text=""))
        drawn[decision.arm] += 1
        for arm, probability in zip(decision.arms, decision.probabilities, strict=True):
            expected[arm] += probability  # type: ignore[assignment]  # a Counter of floats
            spread[arm] += probability * (1.0 - probability)  # type: ignore[assignment]  # likewise
    for arm in ARMS:
        assert abs(drawn[arm] - expected[arm]) <= 5.0 * math.sqrt(spread[arm]) + 1e-9

"""Laws of feedback: duplicates, lateness, corrections and a small ledger change nothing else."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Decision, LearningAutomaton, Request, Router, epsilon_greedy, q_learning
from pickllm.protocols import Policy, is_additive
from tests.unit.doubles import answered, priced

COUNT = 6
POLICIES: dict[str, Policy[Any]] = {
    "automaton": LearningAutomaton(step=0.3, floor=0.05),
    "automaton with a baseline": LearningAutomaton(step=0.3, baseline="running"),
    "q_learning": q_learning(alpha=0.4),
    "epsilon_greedy": epsilon_greedy(),
}
every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())

scores = st.floats(min_value=0.0, max_value=1.0)
scorings = st.lists(scores, min_size=COUNT, max_size=COUNT)
orders = st.permutations(range(COUNT))
numbers = st.integers(min_value=0, max_value=COUNT - 1)
events = st.lists(
    st.tuples(
        st.sampled_from(("decide", "decide", "settle", "settle", "feedback", "correct")),
        st.integers(min_value=0, max_value=30),
        scores,
    ),
    max_size=60,
)


def make_router(policy: Policy[Any], **settings: Any) -> Router:
    """A router of three arms."""
    return Router(arms=priced("a", "b", "c"), policy=policy, seed=2, **settings)


def decide(router: Router) -> list[Decision]:
    """Some decisions, all made before anything is learnt."""
    return [router.decide(Request(text="", id=str(number))) for number in range(COUNT)]


def session(policy: Policy[Any], walk: Callable[[Router, list[Decision]], None]) -> Router:
    """A router after its decisions have been walked through."""
    router = make_router(policy)
    walk(router, decide(router))
    return router


def in_order(order: Iterable[int], values: list[float]) -> Callable[[Router, list[Decision]], None]:
    """Settle all, then judge in this order."""

    def walk(router: Router, decisions: list[Decision]) -> None:
        for decision in decisions:
            router.settle(answered(decision))
        for number in order:
            router.feedback(decisions[number].id, values[number])

    return walk


@every_policy
@given(values=scorings, again=st.lists(st.tuples(numbers, scores)))
def test_duplicates_change_nothing(
    policy: Policy[Any], values: list[float], again: list[tuple[int, float]]
) -> None:
    """A source that says something again, the same or another value, changes no bit."""

    def walk(router: Router, decisions: list[Decision]) -> None:
        in_order(range(COUNT), values)(router, decisions)
        for number, value in again:
            assert "repeated" == router.feedback(decisions[number].id, value)

    once = session(policy, in_order(range(COUNT), values))
    assert once.state == session(policy, walk).state


@every_policy
@given(values=scorings, order=orders, early=st.sets(numbers))
def test_feedback_may_come_before_the_answer(
    policy: Policy[Any], values: list[float], order: list[int], early: set[int]
) -> None:
    """Early feedback is learnt when the answer ends: only the order of learning counts."""

    def walk(router: Router, decisions: list[Decision]) -> None:
        for number in order:
            decision = decisions[number]
            if number in early:
                assert "waiting" == router.feedback(decision.id, values[number])
            router.settle(answered(decision))
            if number not in early:
                assert "counted" == router.feedback(decision.id, values[number])

    assert session(policy, in_order(order, values)).state == session(policy, walk).state


@given(values=scorings, order=orders)
def test_order_does_not_matter_to_means(values: list[float], order: list[int]) -> None:
    """A policy that averages learns the same in any order, but for the last bits."""
    first = session(epsilon_greedy(), in_order(range(COUNT), values)).state
    other = session(epsilon_greedy(), in_order(order, values)).state
    assert first.steps == other.steps
    assert first.estimates.arm_to_count == other.estimates.arm_to_count
    assert first.estimates.arm_to_mean == pytest.approx(other.estimates.arm_to_mean, abs=1e-12)


def numbers_of(value: Any) -> list[float]:
    """All numbers of a state, in the order of their names."""
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in numbers_of(value[key])]
    if isinstance(value, list | tuple):
        return [number for item in value for number in numbers_of(item)]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return [number for name in names for number in numbers_of(getattr(value, name))]
    return [value] if isinstance(value, int | float) else []


@every_policy
@given(values=scorings, order=orders, wrong=st.dictionaries(numbers, scores), late=orders)
def test_correction_leaves_no_trace_of_the_first_value(
    policy: Policy[Any],
    values: list[float],
    order: list[int],
    wrong: dict[int, float],
    late: list[int],
) -> None:
    """After all corrections the state is as if the right values had come first.

    Bit for bit where lessons are learnt anew, to the last bits where they are subtracted.
    """
    spoilt = [wrong.get(number, value) for number, value in enumerate(values)]

    def walk(router: Router, decisions: list[Decision]) -> None:
        in_order(order, spoilt)(router, decisions)
        for number in late:
            if number in wrong:
                verdict = router.feedback(decisions[number].id, values[number], correction=True)
                assert "corrected" == verdict

    straight, corrected = session(policy, in_order(order, values)), session(policy, walk)
    if is_additive(policy):
        assert numbers_of(straight.state) == pytest.approx(numbers_of(corrected.state), abs=1e-12)
    else:
        assert straight.state == corrected.state


@every_policy
@given(plan=events, size=st.integers(min_value=1, max_value=8))
def test_small_ledger_learns_what_a_large_one_learns(
    policy: Policy[Any], plan: list[tuple[str, int, float]], size: int
) -> None:
    """Letting decisions go changes neither what was learnt from them nor what is drawn after."""
    small, large = make_router(policy, max_decisions=size), make_router(policy)
    made: list[str] = []
    for kind, number, value in plan:
        if kind == "decide":
            request = Request(text="", id=str(len(made)))
            made.append(request.id)
            assert large.decide(request).probabilities == small.decide(request).probabilities
        elif made:
            name = made[-1 - number % len(made)]
            if not small.knows(name):
                continue
            for router in (small, large):
                record = router.ledger[name]
                if kind != "settle":
                    router.feedback(name, value, correction=kind == "correct")
                elif record.outcome is None:
                    router.settle(answered(record.decision))
        assert large.state == small.state
    assert len(small.ledger) <= size

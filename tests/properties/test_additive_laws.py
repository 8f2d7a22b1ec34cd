"""Laws of learning that adds up: order, place and second thoughts change nothing."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Contextual, contextual, epsilon_greedy, lin_ucb
from pickllm.estimators import BetaCounts, DiscountedMean, Forgetting, Ridge
from pickllm.explorers import UpperBound
from pickllm.policies import POLICIES, ValuePolicy
from pickllm.protocols import is_additive
from pickllm.rng import Rng
from pickllm.testing import experience, situation
from pickllm.types import Experience, Vector

ARMS = ("a", "b", "c")
DIM = 3
FORGETTING = Forgetting(half_life_s=1_000.0)

ADDITIVE: dict[str, Any] = {
    "epsilon_greedy": epsilon_greedy(),
    "discounted mean": ValuePolicy(
        estimator=DiscountedMean(half_life_s=1_000.0), explorer=UpperBound()
    ),
    "beta counts": ValuePolicy(estimator=BetaCounts(), explorer=UpperBound()),
    "lin_ucb": lin_ucb(),
    "forgetful ridge": ValuePolicy(estimator=Ridge(forgetting=FORGETTING), explorer=UpperBound()),
    "contextual": contextual(),
    "forgetful contextual": Contextual(quality=Ridge(target="score", forgetting=FORGETTING)),
}

vectors = st.lists(
    st.floats(min_value=-1.0, max_value=1.0, width=32), min_size=DIM, max_size=DIM
).map(partial(np.array, dtype=np.float32))
lessons = st.lists(
    st.builds(
        lambda arm, reward, features, time_s: experience(
            arm, reward=reward, arms=ARMS, features=features, time_s=time_s
        ),
        st.sampled_from(ARMS),
        st.floats(min_value=0.0, max_value=1.0),
        vectors,
        st.floats(min_value=0.0, max_value=5_000.0),
    ),
    min_size=1,
    max_size=12,
)


def taught(policy: Any, learnt: Sequence[Experience]) -> Any:
    """The state after these, each seen by a decision in between, as it is live."""
    state = policy.init(ARMS, DIM)
    for lesson in learnt:
        state = policy.learn(state, lesson)
        values(policy, state, lesson.decision.features)
    return state


def values(policy: Any, state: Any, features: Vector) -> list[float]:
    """What is expected of the arms; -1 where nothing is."""
    seen = replace(situation(*ARMS, features=features, time_s=6_000.0))
    choice = policy.decide(state, seen, Rng(seed=1, number=1))
    return [-1.0 if value is None else value for value in choice.values]


@pytest.mark.parametrize("policy", ADDITIVE.values(), ids=ADDITIVE.keys())
@given(learnt=lessons, asked=vectors, turn=st.randoms(use_true_random=False))
def test_order_changes_nothing(
    policy: Any, learnt: list[Experience], asked: Vector, turn: Any
) -> None:
    """Lessons in any order come to the same expectations."""
    turned = list(learnt)
    turn.shuffle(turned)
    assert values(policy, taught(policy, learnt), asked) == pytest.approx(
        values(policy, taught(policy, turned), asked), abs=1e-9
    )


@pytest.mark.parametrize("policy", ADDITIVE.values(), ids=ADDITIVE.keys())
@given(learnt=lessons, asked=vectors, parts=st.integers(min_value=1, max_value=4))
def test_many_workers_learn_as_one(
    policy: Any, learnt: list[Experience], asked: Vector, parts: int
) -> None:
    """States that were learnt apart merge, in any order, to what one would have learnt."""
    states = [taught(policy, learnt[start::parts]) for start in range(parts)]
    states.append(policy.init(ARMS, DIM))
    one = values(policy, taught(policy, learnt), asked)
    assert one == pytest.approx(values(policy, policy.merge(states), asked), abs=1e-9)
    assert one == pytest.approx(values(policy, policy.merge(states[::-1]), asked), abs=1e-9)


@pytest.mark.parametrize("policy", ADDITIVE.values(), ids=ADDITIVE.keys())
@given(learnt=lessons, asked=vectors, data=st.data())
def test_unlearning_undoes_learning(
    policy: Any, learnt: list[Experience], asked: Vector, data: st.DataObject
) -> None:
    """Any lesson can be taken back, wherever it stood."""
    index = data.draw(st.integers(min_value=0, max_value=len(learnt) - 1))
    state = policy.unlearn(taught(policy, learnt), learnt[index])
    rest = taught(policy, learnt[:index] + learnt[index + 1 :])
    assert values(policy, rest, asked) == pytest.approx(values(policy, state, asked), abs=1e-7)
    assert rest.steps == state.steps


def test_table_says_which_policies_add_up() -> None:
    """Constant steps and Newton steps do not; all that is made of sums does."""
    assert [
        "beta_thompson",
        "contextual",
        "discounted_ucb",
        "epsilon_greedy",
        "lin_thompson",
        "lin_ucb",
        "softmax",
        "square_cb",
        "ucb1",
    ] == [name for name, make in POLICIES.items() if is_additive(make())]

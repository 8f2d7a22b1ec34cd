"""Laws of the codec: what is written is read back, whatever policy learnt it."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pickllm.errors import StateConflict
from pickllm.policies import POLICIES
from pickllm.stores.codec import decode, encode
from pickllm.testing import experience

names = st.text(min_size=1, max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A state of everything that a state may be made of."""

    steps: int = 0
    mean: float = 0.0
    label: str = ""
    done: bool = False
    best: str | None = None
    window: tuple[float, ...] = ()
    arm_to_mean: dict[str, float] = field(default_factory=dict)
    arm_to_pairs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    matrix: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 2)))


states = st.builds(
    State,
    steps=st.integers(min_value=-(2**70), max_value=2**70),
    mean=finite,
    label=names,
    done=st.booleans(),
    best=st.one_of(st.none(), names),
    window=st.lists(finite).map(tuple),
    arm_to_mean=st.dictionaries(names, finite),
    arm_to_pairs=st.dictionaries(names, st.lists(st.integers()).map(tuple)),
    matrix=arrays.arrays(
        dtype=st.sampled_from((np.float32, np.float64, np.int64, np.bool_)),
        shape=arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
)


@given(state=states)
def test_any_state_comes_back(state: State) -> None:
    """Numbers to the last bit, any text, tuples as tuples, arrays with dtype and shape."""
    back = decode(encode(state, policy="p"), like=State(), policy="p")
    for name in ("steps", "mean", "label", "done", "best", "window", "arm_to_mean", "arm_to_pairs"):
        assert getattr(state, name) == getattr(back, name)
    assert state.matrix.dtype == back.matrix.dtype
    assert state.matrix.shape == back.matrix.shape
    assert state.matrix.tobytes() == back.matrix.tobytes()


@pytest.mark.parametrize("name", POLICIES)
@given(lessons=st.lists(st.tuples(names, st.floats(min_value=0.0, max_value=1.0)), max_size=10))
def test_what_a_policy_learns_comes_back(name: str, lessons: list[tuple[str, float]]) -> None:
    """Every policy's state equals itself after a trip through bytes, for arms of any name."""
    policy = POLICIES[name]()
    fresh = policy.init(["a", "b"], 0)
    state = fresh
    for arm, reward in lessons:
        state = policy.learn(state, experience(arm, reward=reward))
    assert state == decode(encode(state, policy=policy.name), like=fresh, policy=policy.name)


@given(data=st.binary(max_size=60))
def test_no_bytes_are_taken_for_a_state(data: bytes) -> None:
    """Bytes from elsewhere are a `StateConflict`, never another error."""
    with pytest.raises(StateConflict):
        decode(data, like=State(), policy="p")


@given(state=states, cut=st.floats(min_value=0.0, max_value=0.999))
def test_half_a_state_is_none(state: State, cut: float) -> None:
    """A state cut off anywhere is refused."""
    data = encode(state, policy="p")
    with pytest.raises(StateConflict):
        decode(data[: math.floor(len(data) * cut)], like=State(), policy="p")

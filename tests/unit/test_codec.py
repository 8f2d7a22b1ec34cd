"""State to bytes and back, and bytes that are no state."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pickllm import LearningAutomaton, StateConflict, epsilon_greedy
from pickllm.stores.codec import decode, encode

POLICY = LearningAutomaton()
FRESH = POLICY.init(["a", "b"], 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    """A state within a state."""

    counts: tuple[int, ...] = ()
    arm_to_matrix: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    """All that a state may be made of."""

    name: str
    weight: float
    steps: int
    matrix: NDArray[np.float64]
    inner: Inner
    note: str | None = None


def document(**changes: object) -> bytes:
    """A saved state, changed."""
    return json.dumps({**json.loads(encode(FRESH, policy=POLICY.name)), **changes}).encode()


def test_arrays_and_nested_states_come_back() -> None:
    """Arrays keep dtype and shape, nested dataclasses their classes, tuples stay tuples."""
    state = Outer(
        name="ü/1",
        weight=0.1 + 0.2,
        steps=3,
        matrix=np.arange(6.0).reshape(2, 3),
        inner=Inner(counts=(1, 2), arm_to_matrix={"a": np.eye(2, dtype=np.float32)}),
    )
    fresh = Outer(name="", weight=0.0, steps=0, matrix=np.zeros((0, 3)), inner=Inner())
    back = decode(encode(state, policy="p"), like=fresh, policy="p")
    assert (state.name, state.weight, state.steps) == (back.name, back.weight, back.steps)
    assert (1, 2) == back.inner.counts
    np.testing.assert_array_equal(state.matrix, back.matrix)
    assert np.float32 == back.inner.arm_to_matrix["a"].dtype
    np.testing.assert_array_equal(np.eye(2), back.inner.arm_to_matrix["a"])


def test_tuples_of_arrays_come_back() -> None:
    """A tuple may hold arrays too."""
    state = {"layers": (np.ones(2), np.zeros((1, 2)))}
    fresh: dict[str, tuple[NDArray[np.float64], ...]] = {"layers": ()}
    back = decode(encode(state, policy="p"), like=fresh, policy="p")
    assert [(2,), (1, 2)] == [layer.shape for layer in back["layers"]]


def test_bytes_are_json_that_names_format_and_policy() -> None:
    """Saved state can be read without us."""
    assert {
        "pickllm_state": 2,
        "policy": POLICY.name,
        "state": {
            "arm_to_probability": {"a": 0.5, "b": 0.5},
            "steps": 0,
            "reward_mean": 0.0,
            "reward_square_sum": 0.0,
        },
    } == json.loads(encode(FRESH, policy=POLICY.name))


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04pickle", b"null", b"[]", b"3", b'"x"', b"{}", b'{"state": {}}']
)
def test_foreign_bytes_are_a_conflict(data: bytes) -> None:
    """Bytes that are no saved state are told apart from ours."""
    with pytest.raises(StateConflict, match="no saved state of PickLLM"):
        decode(data, like=FRESH, policy=POLICY.name)


@pytest.mark.parametrize(
    "changes", [{"pickllm_state": 1}, {"pickllm_state": "2"}, {"policy": "q_learning()"}]
)
def test_state_of_other_settings_is_a_conflict(changes: dict[str, object]) -> None:
    """Another format or another policy's state is not read, and the error says what to do."""
    with pytest.raises(StateConflict, match="Use another namespace, or delete the old state"):
        decode(document(**changes), like=FRESH, policy=POLICY.name)


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        "text",
        {},
        {"arm_to_probability": {}, "steps": 0},
        {"arm_to_probability": {"a": "x"}, "steps": 0, "reward_mean": 0, "reward_square_sum": 0},
        {"arm_to_probability": 3, "steps": 0, "reward_mean": 0.0, "reward_square_sum": 0.0},
        {"arm_to_probability": {}, "steps": 0.5, "reward_mean": 0.0, "reward_square_sum": 0.0},
        {"arm_to_probability": {}, "steps": {}, "reward_mean": 0.0, "reward_square_sum": 0.0},
    ],
    ids=repr,
)
def test_damaged_state_is_a_conflict(state: object) -> None:
    """State that does not have the policy's shape is refused rather than half read."""
    with pytest.raises(StateConflict, match="is damaged"):
        decode(document(state=state), like=FRESH, policy=POLICY.name)


def test_numbers_that_are_none_are_not_written() -> None:
    """A state that has gone wrong must not reach the store."""
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"weight": float("nan")}, policy="p")


def test_state_keeps_arms_that_the_pool_no_longer_has() -> None:
    """The arms of the bytes count, not those of the template."""
    policy = epsilon_greedy()
    state = POLICY.init(["gone"], 0)
    back = decode(encode(state, policy=POLICY.name), like=FRESH, policy=POLICY.name)
    assert {"gone": 1.0} == back.arm_to_probability
    assert policy.init(["a"], 0) == decode(
        encode(policy.init(["b"], 0), policy="p"), like=policy.init(["a"], 0), policy="p"
    )


@pytest.mark.parametrize("bad", ['{"a": "x"}', '{"a": null}', '{"a": [1]}'])
def test_value_of_the_wrong_kind_is_found_though_the_fresh_state_is_empty(bad: str) -> None:
    """The field's own type says what a mapping holds where the template has nothing in it."""
    policy = epsilon_greedy()
    fresh = policy.init(["a"], 0)
    data = encode(fresh, policy=policy.name).replace(
        b'"arm_to_mean": {}', b'"arm_to_mean": ' + bad.encode()
    )
    with pytest.raises(StateConflict, match="damaged"):
        decode(data, like=fresh, policy=policy.name)

"""Learnt state to bytes and back: versioned JSON that names the policy it belongs to. Never pickle.

A state is a dataclass of numbers, strings, mappings with string keys, tuples, arrays and other such
dataclasses. Fields that no constructor takes are worked out from the others, and not written.
It is read back against a template, the policy's own fresh state, so nothing in the
bytes decides which class is made of them.

>>> from pickllm.policies import LearningAutomaton
>>> policy = LearningAutomaton(step=0.1)
>>> state = policy.init(["a", "b"], 0)
>>> decode(encode(state, policy=policy.name), like=state, policy=policy.name) == state
True
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from pickllm.errors import StateConflict

__all__ = ["decode", "encode"]

_FORMAT = 2
_ARRAY = {"dtype", "shape", "values"}
_NUMBERS: Mapping[Any, Any] = {float: (float, int), int: int, str: str}
S = TypeVar("S")


def encode(state: object, *, policy: str) -> bytes:
    """State as bytes, with the format's version and the policy's name."""
    document = {"pickllm_state": _FORMAT, "policy": policy, "state": _plain(state)}
    return json.dumps(document, allow_nan=False).encode()


def decode(data: bytes, *, like: S, policy: str) -> S:
    """State from bytes, shaped like ``like``; `StateConflict` where they do not fit."""
    try:
        document = json.loads(data)
        found = document["pickllm_state"], document["policy"]
    except (ValueError, TypeError, KeyError) as error:
        raise StateConflict("these bytes are no saved state of PickLLM; they are left") from error
    if found != (_FORMAT, policy):
        raise StateConflict(
            f"the saved state has format {found[0]} and belongs to {found[1]}; this is format "
            f"{_FORMAT} and {policy}. Use another namespace, or delete the old state"
        )
    try:
        return _shaped(document["state"], like)  # type: ignore[no-any-return]  # shaped like S
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateConflict(f"the saved state of {policy} is damaged: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": value.shape, "values": value.ravel().tolist()}
    return value


def _shaped(plain: Any, like: Any) -> Any:
    """The value in the template's shape; a value without a template keeps its own."""
    if dataclasses.is_dataclass(like):
        return _state(plain, like)
    if isinstance(like, np.ndarray) or (isinstance(plain, dict) and set(plain) == _ARRAY):
        return np.asarray(plain["values"], dtype=plain["dtype"]).reshape(plain["shape"])
    if isinstance(like, Mapping) or (like is None and isinstance(plain, dict)):
        sample = next(iter(like.values()), None) if like else None
        return {key: _shaped(item, sample) for key, item in dict(plain).items()}
    if isinstance(like, tuple) or (like is None and isinstance(plain, list)):
        return tuple(_shaped(item, None) for item in plain)
    kind = float | int if isinstance(like, float) else type(like)
    if like is not None and plain is not None and not isinstance(plain, kind):
        raise ValueError(f"{plain!r} where {type(like).__name__} belongs")
    return plain


def _state(plain: Any, like: Any) -> Any:
    kept = {field.name for field in dataclasses.fields(like) if field.init}
    hints = {name: hint for name, hint in get_type_hints(type(like)).items() if name in kept}
    if set(plain) != set(hints):
        raise ValueError(f"fields {sorted(plain)}, expected {sorted(hints)}")
    values = {name: _shaped(plain[name], getattr(like, name)) for name in hints}
    for name, hint in hints.items():
        if get_origin(hint) is Mapping:
            _check_values(values[name], get_args(hint)[1])
    return type(like)(**values)


def _check_values(mapping: Mapping[str, Any], kind: Any) -> None:
    """An empty template tells nothing of its values, so the field's own type does."""
    for key, value in mapping.items():
        if kind in _NUMBERS and not isinstance(value, _NUMBERS[kind]):
            raise ValueError(f"{value!r} for {key!r} where {kind.__name__} belongs")

"""Learnt state to bytes and back: versioned JSON that names the policy it belongs to. Never pickle.

A state is a dataclass of numbers, strings, mappings with string keys, tuples, arrays and other such
dataclasses. It is read back against a template, the policy's own fresh state, so nothing in the
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
from typing import Any, TypeVar

import numpy as np

from pickllm.errors import StateConflict

__all__ = ["decode", "encode"]

FORMAT = 1
_ARRAY = {"dtype", "shape", "values"}
S = TypeVar("S")


def encode(state: object, *, policy: str) -> bytes:
    """State as bytes, with the format's version and the policy's name."""
    document = {"pickllm_state": FORMAT, "policy": policy, "state": _plain(state)}
    return json.dumps(document, allow_nan=False).encode()


def decode(data: bytes, *, like: S, policy: str) -> S:
    """State from bytes, shaped like ``like``; `StateConflict` where they do not fit."""
    try:
        document = json.loads(data)
        found = document["pickllm_state"], document["policy"]
    except (ValueError, TypeError, KeyError) as error:
        raise StateConflict("these bytes are no saved state of PickLLM; they are left") from error
    if found != (FORMAT, policy):
        raise StateConflict(
            f"the saved state has format {found[0]} and belongs to {found[1]}; this is format "
            f"{FORMAT} and {policy}. Use another namespace, or delete the old state"
        )
    try:
        return _shaped(document["state"], like)  # type: ignore[no-any-return]  # shaped like S
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateConflict(f"the saved state of {policy} is damaged: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": value.shape, "values": value.ravel().tolist()}
    return value


def _shaped(plain: Any, like: Any) -> Any:
    if dataclasses.is_dataclass(like):
        names = {field.name for field in dataclasses.fields(like)}
        if set(plain) != names:
            raise ValueError(f"fields {sorted(plain)}, expected {sorted(names)}")
        values = {name: _shaped(plain[name], getattr(like, name)) for name in names}
        return type(like)(**values)  # type: ignore[misc]  # an instance: checked by is_dataclass
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

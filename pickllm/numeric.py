"""What must be numbers: told in words, before anything is computed with it.

>>> check_numbers(share=0.5, limit=3)
>>> check_numbers(keep_s="30d")
Traceback (most recent call last):
    ...
pickllm.errors.ConfigError: keep_s must be a number; it is of type str
>>> check_counts(most=2.5)
Traceback (most recent call last):
    ...
pickllm.errors.ConfigError: most must be a whole number; it is of type float
>>> checked_vector([0.5, float("nan")], dim=2)
Traceback (most recent call last):
    ...
pickllm.errors.ConfigError: features must be finite numbers
"""

from numbers import Integral, Real

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError

__all__ = ["check_counts", "check_numbers", "checked_vector"]


def check_numbers(**name_to_value: object) -> None:
    """`ConfigError` unless each is a number; a bool is none."""
    _check(Real, "a number", name_to_value)


def check_counts(**name_to_value: object) -> None:
    """`ConfigError` unless each is a whole number; a bool is none."""
    _check(Integral, "a whole number", name_to_value)


def checked_vector(given: object, *, dim: int | None) -> Floats:
    """What is given as a vector, ``[dim]`` float32, of any length where that is None.

    Raises:
        ConfigError: It is none.
    """
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
            vector = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError):
        kind = type(given).__name__
        raise ConfigError(f"features must be numbers; they are {kind}") from None  # it may quote
    if vector.ndim != 1 or dim not in {None, len(vector)}:
        length = "one row of" if dim is None else dim
        raise ConfigError(f"features must be {length} numbers; their shape is {vector.shape}")
    if not np.isfinite(vector).all():
        raise ConfigError("features must be finite numbers")
    return vector


def _check(kind: type, words: str, name_to_value: dict[str, object]) -> None:
    for name, value in name_to_value.items():
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ConfigError(f"{name} must be {words}; it is of type {type(value).__name__}")

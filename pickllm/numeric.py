"""Settings that must be numbers: told in words, before anything is computed with them.

>>> check_numbers(share=0.5, limit=3)
>>> check_numbers(keep_s="30d")
Traceback (most recent call last):
    ...
pickllm.errors.ConfigError: keep_s must be a number; it is of type str
>>> check_counts(most=2.5)
Traceback (most recent call last):
    ...
pickllm.errors.ConfigError: most must be a whole number; it is of type float
"""

from numbers import Integral, Real

from pickllm.errors import ConfigError

__all__ = ["check_counts", "check_numbers"]


def check_numbers(**name_to_value: object) -> None:
    """`ConfigError` unless each is a number; a bool is none."""
    _check(Real, "a number", name_to_value)


def check_counts(**name_to_value: object) -> None:
    """`ConfigError` unless each is a whole number; a bool is none."""
    _check(Integral, "a whole number", name_to_value)


def _check(kind: type, words: str, name_to_value: dict[str, object]) -> None:
    for name, value in name_to_value.items():
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ConfigError(f"{name} must be {words}; it is of type {type(value).__name__}")

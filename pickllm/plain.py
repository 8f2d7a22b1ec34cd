"""Frozen nouns as plain JSON values, and back by their type hints. No bytes name a class.

Fields that are missing take their defaults, and unknown ones are left out, so that newer and older
programs read each other's.

>>> from pickllm.types import Usage
>>> to_plain(Usage(tokens_in=3, tokens_out=5))
{'tokens_in': 3, 'tokens_out': 5, 'tokens_in_cached': 0, 'estimated': False}
>>> from_plain(Usage, {"tokens_in": 3, "tokens_out": 5}).tokens_out
5
"""

import base64
import dataclasses
import types
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import (
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")

Reader: TypeAlias = Callable[[Any], Any]


def to_plain(value: Any) -> Any:
    """Dataclasses, mappings, tuples, numbers, strings and float32 vectors as JSON has them."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return base64.b64encode(value.astype("<f4").tobytes()).decode()
    return {name: to_plain(getattr(value, name)) for name in _hints(cast("Hashable", type(value)))}


def from_plain(kind: type[T], plain: Any) -> T:
    """The value of that kind; `ValueError`, `TypeError` or `KeyError` where it does not fit."""
    return cast("T", _reader(cast("Hashable", kind))(plain))


@lru_cache(maxsize=256)
def _reader(kind: Hashable) -> Reader:
    """What reads a kind: worked out once, for the hints of a class are slow to ask for."""
    origin = get_origin(kind)
    if origin is None:
        return _reader_of_noun(kind) if dataclasses.is_dataclass(kind) else _reader_of_atom(kind)
    if origin in (Union, types.UnionType):
        (one,) = (_reader(part) for part in get_args(kind) if part is not type(None))
        return lambda plain: None if plain is None else one(plain)
    if origin is np.ndarray:
        return lambda plain: np.frombuffer(base64.b64decode(plain), "<f4").astype(np.float32)
    return _reader_of_many(origin, get_args(kind))


def _reader_of_many(origin: Any, parts: tuple[Any, ...]) -> Reader:
    if origin is Literal:
        return lambda plain: _checked(plain in parts, origin, plain)
    if origin is tuple:
        item = _reader(parts[0])
        return lambda plain: tuple([item(each) for each in plain])
    value = _reader(parts[1])  # of a mapping
    return lambda plain: {key: value(each) for key, each in plain.items()}


def _reader_of_atom(kind: Any) -> Reader:
    if kind is Any:
        return lambda plain: plain
    if kind is float:
        return lambda plain: float(_checked(isinstance(plain, int | float), kind, plain))
    return lambda plain: _checked(isinstance(plain, kind), kind, plain)


def _reader_of_noun(kind: Any) -> Reader:
    name_to_reader = {name: _reader(hint) for name, hint in _hints(kind).items()}

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict):
            raise TypeError(f"{type(plain).__name__} where {kind.__name__} belongs")
        return kind(
            **{name: read(plain[name]) for name, read in name_to_reader.items() if name in plain}
        )

    return read


def _checked(fits: bool, kind: Any, plain: Any) -> Any:  # read as a sentence
    if not fits:
        raise ValueError(f"{type(plain).__name__} where {getattr(kind, '__name__', kind)} belongs")
    return plain


@lru_cache(maxsize=64)
def _hints(kind: Hashable) -> dict[str, Any]:
    noun = cast("Any", kind)
    hints = get_type_hints(noun)
    return {field.name: hints[field.name] for field in dataclasses.fields(noun)}

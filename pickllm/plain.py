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
import binascii
import dataclasses
import types
from collections.abc import Callable, Hashable
from functools import lru_cache
from operator import attrgetter
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

Translate: TypeAlias = Callable[[Any], Any]


def to_plain(value: Any) -> Any:
    """A dataclass of mappings, tuples, numbers, strings and float32 vectors, as JSON has it."""
    write = _writer(cast("Hashable", type(value)))
    return value if write is None else write(value)


def from_plain(kind: type[T], plain: Any) -> T:
    """The value of that kind; `ValueError`, `TypeError` or `KeyError` where it does not fit."""
    return cast("T", _reader(cast("Hashable", kind))(plain))


# Writing. What writes a kind is worked out once: the hints of a class are slow to ask for.


@lru_cache(maxsize=256)
def _writer(kind: Hashable) -> Translate | None:
    """What writes a kind; None for one that JSON has."""
    origin = get_origin(kind)
    if origin is None:
        return _writer_of_noun(kind) if dataclasses.is_dataclass(kind) else None
    if origin in (Union, types.UnionType):
        (one,) = (_writer(part) for part in get_args(kind) if part is not type(None))
        return one and (lambda value: None if value is None else one(value))
    if origin is np.ndarray:
        return _text_of_vector
    return _writer_of_many(origin, get_args(kind))


def _writer_of_many(origin: Any, parts: tuple[Any, ...]) -> Translate | None:
    if origin is Literal:
        return None
    item = _writer(parts[0] if origin is tuple else parts[1])
    if origin is tuple:
        return list if item is None else lambda value: [item(each) for each in value]
    return dict if item is None else lambda value: {k: item(each) for k, each in value.items()}


def _writer_of_noun(kind: Any) -> Translate:
    name_to_writer = {name: _writer(hint) for name, hint in _hints(kind).items()}
    names = tuple(name_to_writer)
    fields = attrgetter(*names, names[0])  # of a single name it would make no tuple
    others = [(name, write) for name, write in name_to_writer.items() if write is not None]

    def write(value: Any) -> Any:
        plain = dict(zip(names, fields(value), strict=False))
        for name, write_field in others:
            plain[name] = write_field(plain[name])
        return plain

    return write


def _text_of_vector(value: Any) -> str:
    return binascii.b2a_base64(value.astype("<f4", copy=False).tobytes(), newline=False).decode()


# Reading


@lru_cache(maxsize=256)
def _reader(kind: Hashable) -> Translate:
    origin = get_origin(kind)
    if origin is None:
        return _reader_of_noun(kind) if dataclasses.is_dataclass(kind) else _reader_of_atom(kind)
    if origin in (Union, types.UnionType):
        (one,) = (_reader(part) for part in get_args(kind) if part is not type(None))
        return lambda plain: None if plain is None else one(plain)
    if origin is np.ndarray:
        return lambda plain: np.frombuffer(base64.b64decode(plain), "<f4").astype(np.float32)
    return _reader_of_many(origin, get_args(kind))


def _reader_of_many(origin: Any, parts: tuple[Any, ...]) -> Translate:
    if origin is Literal:
        return lambda plain: _checked(plain in parts, origin, plain)
    if origin is tuple:
        item, same = _reader(parts[0]), {parts[0]}
        return lambda plain: tuple(
            plain if same.issuperset(map(type, plain)) else [item(each) for each in plain]
        )
    value = _reader(parts[1])  # of a mapping
    return lambda plain: {key: value(each) for key, each in plain.items()}


def _reader_of_atom(kind: Any) -> Translate:
    if kind is Any:
        return lambda plain: plain
    if kind is float:
        return lambda plain: float(_checked(isinstance(plain, int | float), kind, plain))
    return lambda plain: _checked(isinstance(plain, kind), kind, plain)


def _reader_of_noun(kind: Any) -> Translate:
    fields = [(name, hint, _reader(hint)) for name, hint in _hints(kind).items()]

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict):
            raise TypeError(f"{type(plain).__name__} where {kind.__name__} belongs")
        values = {}
        for name, hint, read_field in fields:
            if name in plain:
                value = plain[name]
                values[name] = value if type(value) is hint else read_field(value)  # most are
        return kind(**values)

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

"""Fitted rankers on disk: a folder of plain arrays beside one file of JSON. Never pickle.

    folder/
      manifest.json       format, class, settings and names; shape, type and digest of every array
      0.npy, 1.npy, …     the arrays, which are mapped into memory, not read, when loaded

What is saved is a frozen dataclass of numbers, strings, arrays, tuples and other such dataclasses.
Which classes may come of a folder is said by whoever loads it. A folder is written beside its place
and moved there whole; one that is cut short, changed or of another version is told apart.
"""

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pickllm.errors import ConfigError, StateConflict
from pickllm.places import new_place

__all__ = ["load_fitted", "save_fitted"]

_FORMAT = 1
_MANIFEST = "manifest.json"
_KIND, _ARRAY = "class", "array"
_BYTES_AT_ONCE = 1 << 24
T = TypeVar("T")


def save_fitted(folder: str | Path, fitted: Any) -> Path:
    """Write what was learnt to a folder that is not there yet.

    Raises:
        ConfigError: The folder is there already, or the value holds something that is no state.
    """
    place = new_place(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unfinished-") as temporary:
        unfinished = Path(temporary) / "fitted"
        unfinished.mkdir()
        arrays: list[dict[str, Any]] = []
        value = _plain(fitted, unfinished, arrays)
        document = {"pickllm_ranker": _FORMAT, "arrays": arrays, "value": value}
        text = json.dumps(document, allow_nan=False, indent=1)
        (unfinished / _MANIFEST).write_text(text, encoding="utf-8")
        unfinished.rename(place)
    return place


def load_fitted(
    folder: str | Path, *classes: type[T], parts: Iterable[type] = (), check: bool = True
) -> T:
    """Read what was learnt; large arrays stay on disk until they are looked at.

    Args:
        folder: What `save_fitted` wrote.
        classes: Which may come of it.
        parts: Classes that may stand inside those.
        check: Whether to read all arrays once and compare their digests.

    Raises:
        StateConflict: There is nothing, it is damaged, or it is of another version or class.
    """
    place = Path(folder)
    allowed = {each.__name__: each for each in (*classes, *parts)}
    try:
        document = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        if document["pickllm_ranker"] != _FORMAT:
            raise StateConflict(
                f"{place} has format {document['pickllm_ranker']}; this reads {_FORMAT}. Fit anew"
            )
        arrays = [_array(place, entry, check) for entry in document["arrays"]]
        fitted = _value(document["value"], arrays, allowed)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StateConflict(f"{place} holds no sound ranker: {error!r}") from error
    if not isinstance(fitted, classes):
        raise StateConflict(f"{place} holds a {type(fitted).__name__}, which was not asked for")
    return fitted


def _plain(value: Any, folder: Path, arrays: list[dict[str, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        return {_ARRAY: _written(value, folder, arrays)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _plain(getattr(value, field.name), folder, arrays)
            for field in dataclasses.fields(value)
        }
        return {_KIND: type(value).__name__, "fields": fields}
    if isinstance(value, tuple):
        return [_plain(each, folder, arrays) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"a {type(value).__name__} can not be saved; states are plain values")


def _written(array: np.ndarray[Any, Any], folder: Path, arrays: list[dict[str, Any]]) -> int:
    if array.dtype.hasobject:
        raise ConfigError("arrays of objects can not be saved; states are plain values")
    name = f"{len(arrays)}.npy"
    np.save(folder / name, array, allow_pickle=False)
    arrays.append(
        {
            "file": name,
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "digest": _digest(folder / name),
        }
    )
    return len(arrays) - 1


def _array(folder: Path, entry: Mapping[str, Any], check: bool) -> np.ndarray[Any, Any]:
    file = folder / os.path.basename(entry["file"])  # noqa: PTH119  # never above the folder
    if check and _digest(file) != entry["digest"]:
        raise StateConflict(f"{file} is not what was saved. Copy it again, or fit anew")
    array: np.ndarray[Any, Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    if (array.dtype.str, list(array.shape)) != (entry["dtype"], entry["shape"]):
        raise StateConflict(f"{file} has another type or shape than was saved")
    return array.view(np.ndarray)


def _value(value: Any, arrays: list[np.ndarray[Any, Any]], allowed: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return tuple(_value(each, arrays, allowed) for each in value)
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]]
    fields = {name: _value(each, arrays, allowed) for name, each in value["fields"].items()}
    return allowed[value[_KIND]](**fields)


def _digest(file: Path) -> str:
    digest = blake2b(digest_size=16)
    for piece in _pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_BYTES_AT_ONCE):
            yield piece

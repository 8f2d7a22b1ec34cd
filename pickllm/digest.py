"""A digest of settings, by which calls that may be answered alike are told from those that may not.

>>> digest_of({"stop": ["."], "temperature": 0.0}) == digest_of({"temperature": 0.0, "stop": ["."]})
True
>>> digest_of({"temperature": object()})
''
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["digest_of"]


def digest_of(settings: Mapping[str, Any]) -> str:
    """The digest; empty where something is in them of which nobody can say what it means.

    Schemas given as pydantic models count as what they describe.
    """
    try:
        text = json.dumps(settings, sort_keys=True, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return ""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> object:
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    if hasattr(value, "model_dump"):
        return {type(value).__qualname__: value.model_dump(mode="json")}
    if isinstance(value, tuple | set | frozenset):
        return sorted(map(str, value))
    raise TypeError(f"{type(value).__name__} has no digest")

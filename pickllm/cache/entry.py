"""A kept answer as bytes: versioned JSON, sealed where there is a secret. Never pickle.

    {"pickllm_answer": 1, "question": …, "vector": …, "kept": {"text": …, "arm": …, …}}

The seal is an HMAC over the key and the bytes, so that who can write to a shared store can neither
change an answer nor move it under another question. Whatever does not read back as what was
written is `Damaged`, and a miss.

>>> from pickllm.types import Kept
>>> entry = Entry(question="2 + 2 =", kept=Kept(text="4", arm="small", decision_id="d"))
>>> data = packed(entry, key="k", secret=b"s")
>>> unpacked(data, key="k", secret=b"s") == entry
True
>>> unpacked(data.replace(b'"4"', b'"5"'), key="k", secret=b"s")
Traceback (most recent call last):
pickllm.cache.entry.Damaged: the seal does not fit
"""

import base64
import binascii
import hmac
import json
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Any

import numpy as np

from pickllm.types import NO_FEATURES, Kept, Usage, Vector

__all__ = ["Damaged", "Entry", "packed", "unpacked"]

_FORMAT = 1
_SEAL = 32
_KEPT = frozenset(field.name for field in fields(Kept))


class Damaged(ValueError):
    """Bytes that this cache has not written, or not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An answer with the question that it was given to."""

    question: str = field(repr=False)
    kept: Kept = field(repr=False)
    vector: Vector = field(default_factory=lambda: NO_FEATURES, compare=False, repr=False)
    """``[dim]`` of the question; empty where nothing near is looked for. Kept in half precision."""


def packed(entry: Entry, *, key: str, secret: bytes = b"") -> bytes:
    """Bytes for a store; ``key`` is where they will stand."""
    vector = entry.vector.astype("<f2").tobytes()
    document = {
        "pickllm_answer": _FORMAT,
        "question": entry.question,
        "vector": base64.b64encode(vector).decode(),
        "kept": asdict(entry.kept),
    }
    body = json.dumps(document, allow_nan=False).encode()
    return (_seal(body, key, secret) + body) if secret else body


def unpacked(data: bytes, *, key: str, secret: bytes = b"") -> Entry:
    """The entry; `Damaged` where these are not the bytes that were written under ``key``."""
    body = data[_SEAL:] if secret else data
    if secret and not hmac.compare_digest(data[:_SEAL], _seal(body, key, secret)):
        raise Damaged("the seal does not fit")
    try:
        document = json.loads(body)
        if document["pickllm_answer"] != _FORMAT:
            raise Damaged(f"its format is not {_FORMAT}")
        return Entry(
            question=_text(document["question"]),
            kept=_kept(document["kept"]),
            vector=_vector(document["vector"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Damaged(f"it cannot be read ({type(error).__name__})") from error


def _seal(body: bytes, key: str, secret: bytes) -> bytes:
    return hmac.new(secret, key.encode() + b"\0" + body, sha256).digest()


def _kept(plain: Any) -> Kept:
    if set(plain) != _KEPT:
        raise Damaged("its fields are others")
    usage = None if plain["usage"] is None else _usage(plain["usage"])
    score = None if plain["score"] is None else _number(plain["score"])
    if score is not None and not 0.0 <= score <= 1.0:
        raise Damaged("its score lies outside of [0, 1]")
    reason = None if plain["finish_reason"] is None else _text(plain["finish_reason"])
    return Kept(
        **{name: _text(plain[name]) for name in ("text", "arm", "decision_id", "policy")},
        usage=usage,
        finish_reason=reason,
        score=score,
        time_s=_number(plain["time_s"]),
    )


def _usage(plain: Any) -> Usage:
    usage = Usage(**plain)
    if not all(isinstance(value, int) and value >= 0 for value in plain.values()):
        raise Damaged("its tokens are no counts")
    return usage


def _vector(encoded: Any) -> Vector:
    try:
        found = np.frombuffer(base64.b64decode(_text(encoded), validate=True), dtype="<f2")
    except binascii.Error as error:
        raise Damaged("its vector cannot be read") from error
    if not np.isfinite(found).all():
        raise Damaged("its vector is not finite")
    return found.astype(np.float32)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Damaged("text is missing")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Damaged("a number is missing")
    return float(value)

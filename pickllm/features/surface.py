"""What a prompt looks like: how long it is, and how much of it is digits, code, capitals, lines.

>>> features = Surface()
>>> [round(float(value), 2) for value in features.features("2 + 2 = ?")[:4]]
[0.25, 0.47, 0.0, 0.47]
"""

import math
from dataclasses import dataclass

import numpy as np

from pickllm.types import Vector

__all__ = ["Surface"]

_LONG = 10_000.0
"""Characters of a prompt that counts as long."""
_GROUPS = (
    b"0123456789",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"+-*/=<>^%$\\",
    b"{}[]();_`#|&",
    b"\n",
    b"?",
    b",.:;!",
    b" ",
    bytes(range(128, 256)),
)
_SHARE = np.zeros((256, len(_GROUPS)), dtype=np.float64)
for _column, _group in enumerate(_GROUPS):
    _SHARE[list(_group), _column] = 1.0
_KINDS, _byte_to_kind = np.unique(_SHARE, axis=0, return_inverse=True)
"""``[kinds, groups]``: which groups bytes of a kind are in; a byte may be in two."""
_BYTE_TO_KIND = bytes(_byte_to_kind.ravel().tolist())
_STARTS = (b"what", b"who", b"how", b"why", b"which", b"write", b"find")
_MOST_BYTES = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """Length, roots of the shares of kinds of characters, and the first word; each in [0, 1]."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return 1 + len(_GROUPS) + len(_STARTS)

    @property
    def name(self) -> str:
        """Name in one line."""
        return "surface()"

    @property
    def instant(self) -> bool:
        """It takes less time than handing it to a thread would."""
        return True

    def features(self, text: str) -> Vector:
        """The prompt's features, ``[dim]`` float32."""
        data = text[:_MOST_BYTES].encode(errors="surrogatepass")
        vector = np.zeros(self.dim, dtype=np.float32)
        if not data:
            return vector
        kinds = np.frombuffer(data.translate(_BYTE_TO_KIND), dtype=np.uint8)
        counts = np.bincount(kinds, minlength=len(_KINDS))
        vector[0] = min(math.log1p(len(text)) / math.log1p(_LONG), 1.0)
        vector[1 : 1 + len(_GROUPS)] = np.sqrt(counts.dot(_KINDS) / float(len(data)))
        beginning = data.lstrip()[:8].lower()
        vector[1 + len(_GROUPS) :] = [beginning.startswith(word) for word in _STARTS]
        return vector

"""Names for arrays in signatures; each place says the shape.

>>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
array([[0.6, 0.8],
       [0. , 0. ]])
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Integers", "unit_rows"]

# numpy's signatures lose the kind of number in most sums, so the names tell it to the reader alone.
Floats: TypeAlias = NDArray[Any]
"""Real numbers, of single or double precision."""

Integers: TypeAlias = NDArray[Any]
"""Whole numbers or booleans, most often places in some list, or a mask."""


def unit_rows(rows: Floats) -> Floats:
    """Each row scaled to length one, ``[rows, dim]``; a row of zeros stays as it is."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(rows.dtype).tiny))

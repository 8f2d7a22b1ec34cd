r"""Whether a mean is above a bound, tested by betting: valid for bounded data of any size.

    capital_t = prod over s <= t of (1 + bet_s * (x_s - bound)),        p = 1 / max_t capital_t

x lies in [0, 1]. If its mean is at most ``bound``, no bet >= 0 grows the capital in the mean, so it
exceeds 1 / delta with a probability of at most delta (Ville's inequality). Each bet looks at
earlier rows alone, and is the larger the less these vary: paired differences between two models are
mostly zero, and a test that knows only their range would need ten times as many rows.

References: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2024),
arXiv 2010.09686.

>>> rng = np.random.default_rng(0)
>>> p_above(rng.random(500) < 0.6, bound=0.5, level=0.05) < 0.05
True
"""

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["p_above"]

_MOST = 0.75
"""Share of the capital that may be lost on one row."""


def p_above(values: ArrayLike, *, bound: float, level: float) -> float:
    """How likely such values are where their mean is at most ``bound``: an upper limit, in [0, 1].

    Args:
        values: In [0, 1], in an order that says nothing about them, ``[rows]``.
        bound: In (0, 1).
        level: The probability of error that the bets aim at, in (0, 1); valid for any other too.
    """
    rows = np.asarray(values, dtype=np.float64)
    count = np.arange(1, len(rows) + 1)
    mean = (0.5 + np.cumsum(rows)) / (count + 1.0)
    variance = (0.25 + np.cumsum((rows - mean) ** 2)) / (count + 1.0)
    before = np.append(0.25, variance[:-1])
    bets = np.sqrt(2.0 * math.log(1.0 / level) / (before * max(1, len(rows))))
    bets = np.minimum(bets, _MOST / bound)
    capital = np.cumsum(np.log1p(bets * (rows - bound)))
    return float(np.exp(-max(0.0, capital.max(initial=0.0))))

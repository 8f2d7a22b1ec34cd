r"""Spend a budget per request where it buys most: a price on dollars that keeps to it.

Among probabilities over the arms, those of an explorer at some price :math:`\lambda` of a dollar,

    p(lambda) = explorer's, at  utility_a - lambda cost_a        spend(lambda) = sum_a p_a cost_a

expected spending falls as the price rises. The least price at which it is within the target is
found by halving, and the two prices next to it are mixed so that it meets the target exactly. With
sure estimates that is the best mixture of arms that the target buys for this very prompt; what it
costs to explore is paid out of the same purse. The price is linear in dollars, for a budget is: a
price on their logarithm would prefer arms of middling cost to the mixture that beats them.

What was overspent, or saved, moves the target of the requests to come:

    target = budget clip( 1 - pace * overspent, 1/2, 2 )                overspent: in budgets

A budget cannot be worth more than the whole quality of an answer, so the price ends at one budget
for a quality of 1: below what the cheapest good arm costs, the budget is overspent.

References: Agrawal and Devanur, Bandits with concave rewards and convex knapsacks (2014), arXiv
1402.5758.

>>> utilities, costs_usd = (0.5, 0.9), (0.001, 0.011)
>>> def best(price):
...     small, large = (u - price * c for u, c in zip(utilities, costs_usd))
...     return (1.0, 0.0) if small >= large else (0.0, 1.0)
>>> [round(p, 3) for p in within(0.003, costs_usd, best, most=1.0 / 0.003)]
[0.8, 0.2]
"""

import math
from collections.abc import Callable, Sequence

__all__ = ["target_usd", "within"]

_HALVINGS = 7
_SPAN = 1e-5
"""The least price, as a share of the highest."""


def target_usd(budget_usd: float, overspent: float, pace: float) -> float:
    """What a request may cost, where ``overspent`` budgets too many were spent, or saved if < 0."""
    return budget_usd * min(max(1.0 - pace * overspent, 0.5), 2.0)


def within(
    target_usd: float,
    costs_usd: Sequence[float],
    explore: Callable[[float], tuple[float, ...]],
    *,
    most: float,
) -> tuple[float, ...]:
    """Probabilities over the arms whose expected cost is the target, or less.

    Args:
        target_usd: What a request may cost.
        costs_usd: What a call of each arm costs, ``[arms]``.
        explore: Probabilities ``[arms]`` at a price of a dollar.
        most: The highest price, above 0; the target is missed where that is not enough.
    """

    def spent_usd(probabilities: tuple[float, ...]) -> float:
        return math.fsum(p * cost for p, cost in zip(probabilities, costs_usd, strict=True))

    freely = explore(0.0)
    if spent_usd(freely) <= target_usd:
        return freely
    thriftily = explore(most)
    if spent_usd(thriftily) >= target_usd:
        return thriftily
    low, high = math.log(_SPAN * most), math.log(most)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        found = explore(math.exp(middle))
        if spent_usd(found) > target_usd:
            low, freely = middle, found
        else:
            high, thriftily = middle, found
    more, less = spent_usd(freely), spent_usd(thriftily)
    share = (target_usd - less) / (more - less)
    return tuple(share * f + (1.0 - share) * t for f, t in zip(freely, thriftily, strict=True))

"""A budget per request: the price of a dollar that keeps to it, and no more."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Thompson
from pickllm.policies.pacing import target_usd, within
from pickllm.rng import Rng
from pickllm.types import Estimate

RNG = Rng(seed=1, number=1)
UTILITIES = (0.4, 0.64, 0.72, 0.73)
COSTS_USD = (0.0001, 0.0002, 0.0020, 0.0130)


def explored(spread: float, price: float) -> tuple[float, ...]:
    """Thompson's probabilities at the price of a dollar."""
    worth = tuple(u - price * c for u, c in zip(UTILITIES, COSTS_USD, strict=True))
    estimate = Estimate(means=worth, spreads=(spread,) * 4, counts=(9.0,) * 4)
    return Thompson(epsilon=0.0).probabilities(estimate, 9, RNG)


def spent_usd(probabilities: tuple[float, ...]) -> float:
    """Expected cost of a request."""
    return math.fsum(p * c for p, c in zip(probabilities, COSTS_USD, strict=True))


@given(
    target=st.floats(0.0001, 0.02),
    spread=st.sampled_from((1e-6, 0.01, 0.1)),
)
def test_target_is_met_or_undercut(target: float, spread: float) -> None:
    """Probabilities sum to one, and cost the target in the mean, or less where less is as good."""
    probabilities = within(
        target, COSTS_USD, lambda price: explored(spread, price), most=1e3 / target
    )
    assert 1.0 == pytest.approx(math.fsum(probabilities))
    assert min(probabilities) >= 0.0
    free = spent_usd(explored(spread, 0.0))
    cheapest = spent_usd(explored(spread, 1e3 / target))
    assert min(max(target, cheapest), free) == pytest.approx(spent_usd(probabilities))


def test_sure_estimates_make_the_best_mixture() -> None:
    """Between two corners of the hull the money goes to these two, in the right shares."""
    for (low, low_usd), (high, high_usd) in pairwise(
        zip(UTILITIES[1:], COSTS_USD[1:], strict=True)
    ):
        target = 0.5 * (low_usd + high_usd)
        found = within(target, COSTS_USD, lambda price: explored(1e-9, price), most=1e6)
        value = math.fsum(p * u for p, u in zip(found, UTILITIES, strict=True))
        assert 0.5 * (low + high) == pytest.approx(value, abs=1e-3)


def test_what_was_overspent_is_made_up_for() -> None:
    """The target falls and rises with what was spent before, between half and twice the budget."""
    assert 1.0 == target_usd(1.0, 0.0, 0.01)
    assert 0.8 == pytest.approx(target_usd(1.0, 20.0, 0.01))
    assert (0.5, 2.0) == (target_usd(1.0, 1e9, 0.01), target_usd(1.0, -1e9, 0.01))


def test_budget_that_cannot_be_kept_does_not_cost_all_quality() -> None:
    """The price ends where a budget is worth a whole answer: a hair cheaper earns no third."""
    costs_usd, values = (0.00089, 0.00090), (0.3, 0.6)

    def best(price: float) -> tuple[float, ...]:
        first, second = (v - price * c for v, c in zip(values, costs_usd, strict=True))
        return (1.0, 0.0) if first > second else (0.0, 1.0)

    assert (0.0, 1.0) == within(0.0001, costs_usd, best, most=1.0 / 0.0001)

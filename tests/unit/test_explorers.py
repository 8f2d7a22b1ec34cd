"""Explorers: published numbers, floors and ceilings, and no preference for a place."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from pickllm import Bounded, ConfigError, Softmax, SquareCB, Thompson, UpperBound
from pickllm.protocols import Explorer
from pickllm.rng import Rng
from pickllm.types import Estimate

RNG = Rng(seed=1, number=1)


def told(*means: float | None, spread: float = 0.1, count: float = 25.0) -> Estimate:
    """Means that are all equally sure."""
    return Estimate(means=means, spreads=(spread,) * len(means), counts=(count,) * len(means))


EXPLORERS: dict[str, Explorer] = {
    "upper bound": UpperBound(),
    "growing bound": UpperBound(width=2.0, growing=True, epsilon=0.0),
    "thompson": Thompson(),
    "beta": Thompson(posterior="beta"),
    "softmax": Softmax(),
    "square_cb": SquareCB(),
    "bounded": Bounded(explorer=SquareCB(), floor=0.02, ceiling=0.3),
}


@pytest.mark.parametrize("explorer", EXPLORERS.values(), ids=EXPLORERS.keys())
@pytest.mark.parametrize("steps", [0, 1, 10_000])
@pytest.mark.parametrize(
    "means", [(0.5,), (0.5, None), (None, None, None), (0.9, 0.1, 0.5), (0.0,) * 20, (-3.0, 2.0)]
)
def test_explorers_give_probabilities(
    explorer: Explorer, steps: int, means: tuple[float | None, ...]
) -> None:
    """Whatever the means, each arm has a probability and they sum to one."""
    given = explorer.probabilities(told(*means), steps, RNG)
    assert len(means) == len(given)
    assert min(given) >= 0.0
    assert math.fsum(given) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("explorer", EXPLORERS.values(), ids=EXPLORERS.keys())
def test_equals_are_equally_likely(explorer: Explorer) -> None:
    """Ties are broken by the router's draw, not by the order of the pool."""
    given = explorer.probabilities(told(0.5, 0.5, 0.5), 9, RNG)
    assert (1 / 3,) * 3 == pytest.approx(given, abs=1e-9)


def test_thompson_is_the_probability_of_being_best() -> None:
    """Two normal posteriors: Phi of the gap over the root of both variances."""
    estimate = Estimate(means=(0.6, 0.5), spreads=(0.05, 0.1), counts=(9, 9))
    expected = NormalDist().cdf(0.1 / math.hypot(0.05, 0.1))
    given = Thompson(epsilon=0.0).probabilities(estimate, 9, RNG)
    assert expected == pytest.approx(given[0], abs=0.01)


@pytest.mark.parametrize(
    ("means", "counts"),
    [
        ((0.8, 0.2), (10.0, 10.0)),
        ((0.7, 0.72, 0.5), (10_000.0, 5.0, 2.0)),
        ((0.999, 0.997), (1_003.0, 1_003.0)),
        ((0.25, 0.75), (2.0, 2.0)),
        ((0.9, 0.91, 0.92, 0.5), (10.0, 100.0, 1_000.0, 2.0)),
        ((0.5,) * 12, (2.0,) * 12),
    ],
)
def test_beta_thompson_is_the_probability_of_being_best(
    means: tuple[float, ...], counts: tuple[float, ...]
) -> None:
    """As often as the greatest of the posteriors' draws is the arm's: wide or narrow, near 1."""
    won = np.array(means) * counts
    drawn = np.random.default_rng(1).beta(won, np.array(counts) - won, size=(100_000, len(means)))
    expected = np.bincount(drawn.argmax(axis=1), minlength=len(means)) / len(drawn)
    estimate = Estimate(means=means, spreads=(0.1,) * len(means), counts=counts)
    given = Thompson(posterior="beta", epsilon=0.0).probabilities(estimate, 9, RNG)
    assert expected.tolist() == pytest.approx(list(given), abs=0.01)


def test_thompson_copes_with_no_spread_at_all() -> None:
    """Known means: the best one, and epsilon of any."""
    assert (0.99, 0.01) == pytest.approx(
        Thompson(epsilon=0.02).probabilities(told(0.6, 0.5, spread=0.0), 9, RNG)
    )


def test_square_cb_is_its_formula() -> None:
    """1 / (K + gamma gap) behind the best, the rest to the best."""
    given = SquareCB(gamma=100.0, growth=0.0).probabilities(told(0.5, 0.4, 0.3), 1, RNG)
    assert (1 - 1 / 13 - 1 / 23, 1 / 13, 1 / 23) == pytest.approx(given)


def test_upper_bound_prefers_what_is_less_known() -> None:
    """A spread makes up for a mean; epsilon keeps the other alive."""
    estimate = Estimate(means=(0.6, 0.5), spreads=(0.01, 0.2), counts=(900, 4))
    assert (0.01, 0.99) == pytest.approx(UpperBound(epsilon=0.02).probabilities(estimate, 9, RNG))


def test_bounds_hold() -> None:
    """No arm below the floor; those that do not look best no more than the ceiling together."""
    wild = Softmax(temperature=100.0)
    given = Bounded(explorer=wild, ceiling=0.1).probabilities(told(0.1, 0.9, 0.2), 9, RNG)
    assert 0.9 == pytest.approx(given[1])
    tame = Softmax(temperature=0.001)
    given = Bounded(explorer=tame, floor=0.05).probabilities(told(0.1, 0.9, 0.2), 9, RNG)
    assert (0.05, 0.9, 0.05) == pytest.approx(given)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: UpperBound(width=-1.0), "width must be"),
        (lambda: UpperBound(epsilon=2.0), "epsilon must lie"),
        (lambda: Thompson(width=0.0), "width must be above 0"),
        (lambda: Thompson(posterior="normal"), "'gaussian' or 'beta'"),  # type: ignore[arg-type]  # that is the point
        (lambda: Softmax(temperature=0.0), "temperature must be above 0"),
        (lambda: SquareCB(gamma=0.0), "gamma must be above 0"),
        (lambda: SquareCB(growth=2.0), "growth must lie"),
        (lambda: Bounded(explorer=Softmax(), floor=1.0), "floor must lie"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, says: str) -> None:
    """A setting out of its range is an error when it is made."""
    with pytest.raises(ConfigError, match=says):
        make()

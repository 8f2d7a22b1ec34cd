"""Hulls of models and routers, AIQ, and the arena's score."""

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.evaluation.frontier import above, aiq, arena_score, upper_hull


def test_what_a_mixture_beats_is_not_on_the_hull() -> None:
    """The middle model lies under the line between its neighbours, the last is dear and worse."""
    hull = upper_hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.3, 0.8, 0.7]))

    assert [1.0, 3.0] == hull.cost.tolist()
    assert [0.2, 0.8] == hull.quality.tolist()


def test_a_hull_knows_its_ends() -> None:
    """Too little money buys nothing, more than enough changes nothing, too much quality is NaN."""
    hull = upper_hull(np.array([1.0, 3.0]), np.array([0.2, 0.8]))

    assert [0.0, 0.2, 0.5, 0.8] == [hull.quality_at(cost) for cost in (0.5, 1.0, 2.0, 9.0)]
    assert 2.0 == pytest.approx(hull.cost_at(0.5))
    assert np.isnan(hull.cost_at(0.9))


def test_improvement_counts_costs_that_buy_nothing_as_zero() -> None:
    """Half of the range lies left of the only model."""
    hull = upper_hull(np.array([1.0]), np.array([0.6]))

    assert 0.3 == pytest.approx(aiq(hull, low=0.0, high=2.0))
    assert 0.0 == aiq(hull, low=0.0, high=0.5)
    with pytest.raises(ConfigError, match="range"):
        aiq(hull, low=1.0, high=1.0)


def test_a_router_is_measured_against_the_mixtures() -> None:
    """Distances to the static hull are in quality."""
    models = upper_hull(np.array([1.0, 3.0]), np.array([0.2, 0.8]))

    assert [0.1, -0.1] == pytest.approx(above(models, np.array([2.0, 2.0]), np.array([0.6, 0.4])))


def test_a_hull_of_nothing_is_an_error() -> None:
    """There is no frontier without a point."""
    with pytest.raises(ConfigError, match="at least one"):
        upper_hull(np.zeros(0), np.zeros(0))


def test_the_arena_gives_both_ends() -> None:
    """Free and right is 1; as dear as its anchor is 0, however right."""
    assert 1.0 == pytest.approx(arena_score(quality=1.0, cost_usd_per_1000=0.0044))
    assert 0.0 == arena_score(quality=1.0, cost_usd_per_1000=500.0)
    assert 0.0 == arena_score(quality=0.0, cost_usd_per_1000=500.0)

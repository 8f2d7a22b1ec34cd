"""Laws of routing curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pickllm.evaluation.frontier import above, upper_hull
from pickllm.evaluation.metrics import apgr, cpt, quality_at, routing_curve

shares = st.floats(min_value=0.0, max_value=1.0, width=16)
tables = st.integers(min_value=1, max_value=30).flatmap(
    lambda prompts: arrays.arrays(np.float64, (3, prompts), elements=shares)
)


@given(table=tables)
def test_a_curve_joins_its_models(table: np.ndarray) -> None:
    """Whatever the scores, it starts at the weak model and ends at the strong one."""
    scores, weak, strong = table
    curve = routing_curve(scores, weak, strong)

    assert (0.0, 1.0) == (curve.share[0], curve.share[-1])
    assert [weak.mean(), strong.mean()] == pytest.approx(curve.quality[[0, -1]], abs=1e-12)


@given(table=tables, seed=st.integers(0, 99))
def test_only_the_order_of_scores_counts(table: np.ndarray, seed: int) -> None:
    """Neither a rising transformation nor another order of the prompts changes the curve."""
    scores, weak, strong = table
    rows = np.random.default_rng(seed).permutation(len(scores))
    plain = routing_curve(scores, weak, strong)
    other = routing_curve(np.exp(3 * scores)[rows], weak[rows], strong[rows])

    assert plain.share.tolist() == other.share.tolist()
    assert plain.quality == pytest.approx(other.quality)


@given(table=tables)
def test_turned_round_a_router_loses_what_it_won(table: np.ndarray) -> None:
    """APGR of the opposite scores is one less APGR: chance is a half."""
    scores, weak, strong = table
    if strong.mean() - weak.mean() < 1e-3:
        return
    ahead, back = (apgr(routing_curve(sign * scores, weak, strong)) for sign in (1, -1))
    assert 1.0 == pytest.approx(ahead + back)


@given(table=tables)
def test_every_prompt_twice_changes_nothing(table: np.ndarray) -> None:
    """A curve is about shares, not about counts."""
    doubled = np.concatenate((table, table), axis=1)
    plain, twice = routing_curve(*table), routing_curve(*doubled)

    assert plain.share == pytest.approx(twice.share)
    assert plain.quality == pytest.approx(twice.quality)


@given(table=tables, recovered=st.floats(min_value=0.0, max_value=1.0))
def test_the_threshold_for_a_gain_gives_that_gain(table: np.ndarray, recovered: float) -> None:
    """At CPT(x) PGR is x, and at no smaller share."""
    curve = routing_curve(*table)
    if not curve.gap > 1e-3:
        return
    share = cpt(curve, recovered)
    wanted = curve.quality[0] + recovered * curve.gap
    earlier = [quality_at(curve, part * share) for part in np.linspace(0.0, 0.999, 20)]

    assert wanted == pytest.approx(quality_at(curve, share))
    assert wanted >= max(earlier) - 1e-9


@given(points=arrays.arrays(np.float64, (2, 12), elements=shares))
def test_no_point_lies_above_its_own_hull(points: np.ndarray) -> None:
    """A hull is over all points, rises, and rises ever less."""
    cost, quality = points
    hull = upper_hull(cost, quality)

    assert above(hull, cost, quality).max() <= 1e-9
    assert (np.diff(hull.quality) > 0).all()
    assert (np.diff(np.diff(hull.quality) / np.diff(hull.cost)) <= 1e-9).all()

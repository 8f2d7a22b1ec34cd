"""Learnt acceptance: the bound holds, whenever one looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError
from pickllm.cache import Acceptance
from pickllm.cache.acceptance import BANDS, Verified, band_of, lower_bound, upper_bound

counts = st.integers(min_value=0, max_value=400)


def taught(kind: str, similarity: float, *, right: int, wrong: int = 0) -> Verified:
    """So many pairs."""
    state = Verified()
    for number in range(right + wrong):
        state = state.with_pair(kind, similarity, right=number >= wrong)
    return state


@given(counts, counts)
def test_bounds_enclose_the_share(wrong: int, right: int) -> None:
    """The share that was seen lies between them, and both in [0, 1]."""
    low, high = (
        bound(wrong=wrong, right=right, prior=50.0, risk=0.05)
        for bound in (lower_bound, upper_bound)
    )
    share = wrong / (wrong + right) if wrong + right else 0.0

    assert 0.0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1.0


@given(counts, counts)
def test_more_right_ones_lower_the_bound(wrong: int, right: int) -> None:
    """One more right pair never raises it, one more wrong one never lowers it."""
    bounds = [
        upper_bound(wrong=float(w), right=float(r), prior=50.0, risk=0.05)
        for w, r in ((wrong, right + 1), (wrong, right), (wrong + 1, right))
    ]

    assert sorted(bounds) == pytest.approx(bounds)


def test_nothing_is_open_before_enough_is_known() -> None:
    """With the defaults it takes some two hundred right pairs; one wrong among them takes more."""
    acceptance = Acceptance()

    assert not acceptance.opens(Verified(), "added", 1.0)
    assert not acceptance.opens(taught("added", 0.96, right=230), "added", 0.96)
    assert acceptance.opens(taught("added", 0.96, right=240), "added", 0.96)
    assert not acceptance.opens(taught("added", 0.96, right=240, wrong=1), "added", 0.96)
    assert acceptance.opens(taught("added", 0.96, right=400, wrong=1), "added", 0.96)


def test_what_is_more_alike_is_open_too() -> None:
    """Unless its own pairs rule it out; what is less alike is not."""
    state = taught("added", 0.9, right=300)
    acceptance = Acceptance()

    opened = [band for band in BANDS if acceptance.opens(state, "added", band)]
    assert [0.98, 0.95, 0.9] == opened
    for _ in range(40):
        state = state.with_pair("added", 0.95, right=False)
    opened = [band for band in BANDS if acceptance.opens(state, "added", band)]
    assert [0.9] == opened


def test_kinds_are_learnt_apart() -> None:
    """Pairs with words added say nothing of pairs with other words, which are off unless named."""
    state = taught("replaced", 0.96, right=300)

    assert not Acceptance().opens(state, "replaced", 0.96)
    both = Acceptance(kinds=("added", "replaced"))
    assert both.opens(state, "replaced", 0.96)
    assert not both.opens(state, "added", 0.96)


def test_a_circle_with_wrong_ones_of_its_own_is_closed() -> None:
    """What is right for all may be wrong for one tenant."""
    pooled, own = taught("added", 0.96, right=300), taught("added", 0.96, right=2, wrong=3)

    assert Acceptance().opens(pooled, "added", 0.96, own=taught("added", 0.96, right=9))
    assert not Acceptance().opens(pooled, "added", 0.96, own=own)


def test_the_bound_holds_at_every_look() -> None:
    """Where a fifteenth more is wrong than is put up with, few of 400 sessions ever open a band."""
    acceptance = Acceptance(most_wrong=0.1, risk=0.1)
    rng = np.random.default_rng(5)
    opened = 0
    for _ in range(400):
        wrong = np.cumsum(rng.random(150) < 0.107)
        opened += any(
            upper_bound(wrong=float(w), right=float(n + 1 - w), prior=10.0, risk=acceptance.risk)
            <= acceptance.most_wrong
            for n, w in enumerate(wrong)
        )

    assert opened <= 0.1 * 400


def test_dissimilar_pairs_teach_nothing() -> None:
    """Below the lowest band nothing is near, and nothing is counted."""
    assert band_of(0.69) is None
    assert Verified() == Verified().with_pair("added", 0.5, right=True)


@pytest.mark.parametrize("settings", [{"most_wrong": 0.0}, {"most_wrong": 1.0}, {"risk": 0.0}])
def test_impossible_wishes_are_refused(settings: dict[str, float]) -> None:
    """Never wrong, and never by chance, cannot be had."""
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Acceptance(**settings)  # type: ignore[arg-type]  # floats both

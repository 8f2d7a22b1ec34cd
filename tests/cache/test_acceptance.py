"""Learnt acceptance: the bound holds, whenever one looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError
from pickllm.cache import Acceptance
from pickllm.cache.acceptance import BANDS, Verified, band_of, pair_name, rules_out

counts = st.integers(min_value=0, max_value=400)


def taught(kind: str, similarity: float, *, right: int, wrong: int = 0) -> Verified:
    """So many pairs."""
    state = Verified()
    for number in range(right + wrong):
        state = state.with_pair(kind, similarity, right=number >= wrong)
    return state


@given(counts, counts)
def test_what_was_seen_is_never_ruled_out(wrong: int, right: int) -> None:
    """Of all shares, the one that the pairs show is the likeliest."""
    share = (wrong + 1e-9) / (wrong + right + 2e-9)

    assert not rules_out(share, wrong=wrong, right=right, prior=50.0, risk=0.05)


@given(counts, counts)
def test_more_right_ones_never_shut(wrong: int, right: int) -> None:
    """What is open stays open with one more right pair, and opens with one less that is wrong."""
    acceptance = Acceptance(most_wrong=0.1)
    sums = {pair_name("added", 0.9, right=True): right, pair_name("added", 0.9, right=False): wrong}
    better = {**sums, pair_name("added", 0.9, right=True): right + 1}

    opened = [acceptance.opens(Verified(sums=each), "added", 0.9) for each in (sums, better)]
    assert opened == sorted(opened)


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
    rng = np.random.default_rng(5)
    opened = 0
    for _ in range(400):
        wrong = np.cumsum(rng.random(150) < 0.107)
        opened += any(
            w < 0.1 * n and rules_out(0.1, wrong=w, right=n - w, prior=10.0, risk=0.1)
            for n, w in enumerate(map(float, wrong), start=1)
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

"""Laws of ratings and of similarity-weighted rankings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickllm.ranking.bradley_terry import fit_ratings
from pickllm.ranking.similarity import SimilarityBradleyTerry
from pickllm.ranking.tiers import tiers_of
from tests.ranking.battles import made_battles

seeds = st.integers(min_value=0, max_value=1_000)
gammas = st.sampled_from([1.0, 2.0, 10.0])


@given(seed=seeds, times=st.floats(min_value=0.1, max_value=100.0))
def test_ratings_depend_on_shares_alone(seed: int, times: float) -> None:
    """Every battle so many times over changes nothing."""
    wins = np.random.default_rng(seed).uniform(0.5, 5.0, size=(5, 5)) * (1 - np.eye(5))

    assert fit_ratings(wins) == pytest.approx(fit_ratings(times * wins), abs=1e-6)


@given(seed=seeds)
def test_ratings_know_no_order_of_players(seed: int) -> None:
    """Players renumbered have the same ratings, renumbered."""
    rng = np.random.default_rng(seed)
    wins = rng.uniform(0.5, 5.0, size=(5, 5)) * (1 - np.eye(5))
    order = rng.permutation(5)

    assert fit_ratings(wins)[order] == pytest.approx(fit_ratings(wins[order][:, order]), abs=1e-6)


@given(seed=seeds, shift=st.floats(min_value=-1e3, max_value=1e3), tiers=st.integers(1, 6))
def test_tiers_know_no_zero(seed: int, shift: float, tiers: int) -> None:
    """Ratings shifted or stretched have the same tiers, and a better model no lower one."""
    ratings = np.random.default_rng(seed).normal(size=9)
    found = tiers_of(ratings, tiers=tiers)

    assert found.tolist() == tiers_of(3.0 * ratings + shift, tiers=tiers).tolist()
    assert found[np.argsort(ratings)].tolist() == sorted(found.tolist())
    assert tiers == len(set(found.tolist()))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, gamma=gammas)
def test_battles_may_be_told_either_way_round_and_twice(seed: int, gamma: float) -> None:
    """Which arm is named first, in which order, and how often all of them are, changes nothing."""
    table, prompts = made_battles(80, arms=4, seed=seed)
    turned = replace(table, first=table.second, second=table.first, won=1.0 - table.won)
    order = np.random.default_rng(seed).permutation(80)
    twice = turned.take(np.concatenate((order, order)))
    ranker = SimilarityBradleyTerry(gamma=gamma)
    plain, other = (ranker.fit(each, prompts).strengths(prompts) for each in (table, twice))

    assert plain == pytest.approx(other, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, gamma=gammas)
def test_names_of_arms_do_not_matter(seed: int, gamma: float) -> None:
    """Arms renamed, and so in another order, have the same strengths."""
    table, prompts = made_battles(80, arms=4, seed=seed)
    moved = replace(table, first=3 - table.first, second=3 - table.second)
    ranker = SimilarityBradleyTerry(gamma=gamma)
    plain, other = (ranker.fit(each, prompts).strengths(prompts) for each in (table, moved))

    assert plain == pytest.approx(other[:, ::-1], abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, gamma=gammas)
def test_chances_of_two_arms_add_up_to_one(seed: int, gamma: float) -> None:
    """One wins or the other does, and a stronger rating of one is a weaker one of the other."""
    table, prompts = made_battles(80, arms=4, seed=seed)
    fitted = SimilarityBradleyTerry(gamma=gamma).fit(table, prompts)
    there = fitted.win_rates(prompts.vectors[:5], "arm 00", "arm 01")
    back = fitted.win_rates(prompts.vectors[:5], "arm 01", "arm 00")

    assert np.ones(5) == pytest.approx(there + back)

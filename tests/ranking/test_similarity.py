"""Similarity-weighted Bradley-Terry: the published mathematics, and what we made of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.data import Battle, preference_table
from pickllm.errors import StateConflict
from pickllm.ranking.contract import Prompts, pair_scores
from pickllm.ranking.similarity import (
    FittedSimilarity,
    SimilarityBradleyTerry,
    load_similarity,
    routellm_similarity,
)
from pickllm.ranking.state import save_fitted
from tests.ranking.battles import made_battles
from tests.ranking.published import GOLDEN, QUERIES, published_win_rates

PAIR = ("arm 10", "arm 02")


def rates(fitted: FittedSimilarity, queries: Prompts) -> np.ndarray:
    """Win rates of a pair."""
    return np.asarray(fitted.win_rates(queries.vectors, *PAIR))


def test_the_published_form_gives_the_golden_numbers() -> None:
    """Tiers are equal, win rates equal to 1e-6 to those of a logistic regression run to its end."""
    golden = json.loads(GOLDEN.read_text())
    table, prompts = made_battles(400, arms=24)
    _, queries = made_battles(QUERIES, seed=1)
    fitted = routellm_similarity().fit(table, prompts)

    assert golden["tiers"] == fitted.player_of.tolist()
    assert golden["win_rates"] == pytest.approx(
        fitted.win_rates(queries.vectors, "arm 23", "arm 04"), abs=1e-6
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_published_form_is_that_of_the_slow_code(seed: int) -> None:
    """On other battles too, with prompts that several battles share."""
    table, prompts = made_battles(300, arms=15, prompts=80, seed=seed)
    _, queries = made_battles(3, seed=seed + 10)
    slow = published_win_rates(table, prompts, queries.vectors, PAIR, tiers=6)
    ranker = replace(routellm_similarity(), tiers=6)

    assert slow == pytest.approx(rates(ranker.fit(table, prompts), queries), abs=1e-6)


def test_a_battle_within_a_tier_says_nothing_about_tiers() -> None:
    """Without the anchor of the published code its weight makes no difference."""
    table, prompts = made_battles(300, arms=12)
    ranker = replace(routellm_similarity(same_tier_anchor=False), tiers=4)
    fitted = ranker.fit(table, prompts)
    same = fitted.player_of[table.first] == fitted.player_of[table.second]
    alone = fitted.add(table.take(~same), prompts)

    assert same.any()
    with_anchor = replace(ranker, same_tier_anchor=True).fit(table, prompts)
    _, queries = made_battles(5, seed=1)
    assert rates(fitted, queries) == pytest.approx(rates(alone, queries), abs=1e-6)
    assert 1e-3 < np.abs(rates(fitted, queries) - rates(with_anchor, queries)).max()


def test_two_arms_are_kernel_regression() -> None:
    """The win rate is the weighted share of what was won."""
    table, prompts = made_battles(200, arms=2)
    fitted = SimilarityBradleyTerry(gamma=5.0).fit(table, prompts)
    query = made_battles(1, seed=3)[1].vectors[0]
    similarity = prompts.vectors @ query
    weight = 5.0 ** (similarity / similarity.max())
    won = np.where(table.first == 1, table.won, 1.0 - table.won)

    assert np.average(won, weights=weight) == pytest.approx(
        fitted.win_rate(query, "arm 01", "arm 00"), abs=1e-6
    )


def test_equal_weights_give_the_plain_fit() -> None:
    """With gamma 1 every prompt has the global ratings."""
    table, prompts = made_battles(300)
    fitted = SimilarityBradleyTerry(gamma=1.0).fit(table, prompts)

    assert fitted.ratings == pytest.approx(fitted.ratings_for(prompts.vectors[:1])[0], abs=1e-5)


def test_where_nothing_is_similar_all_battles_count_alike() -> None:
    """A prompt at right angles to all of them falls back on the global ratings."""
    table, prompts = made_battles(300, dim=4)
    wide = np.hstack([prompts.vectors, np.zeros((300, 1), dtype=np.float32)])
    fitted = SimilarityBradleyTerry(gamma=10.0).fit(
        table, Prompts(texts=prompts.texts, vectors=wide)
    )
    lonely = np.array([[0, 0, 0, 0, 1]], dtype=np.float32)

    assert fitted.ratings == pytest.approx(fitted.ratings_for(lonely)[0], abs=1e-5)


def test_sharp_weights_need_a_prior() -> None:
    """A model that won its one near battle stays near its global rating with a prior."""
    table, prompts = made_battles(60, arms=12)
    query = made_battles(1, seed=3)[1].vectors
    bold, held = (
        SimilarityBradleyTerry(gamma=1e6, prior_battles=prior).fit(table, prompts)
        for prior in (0.0, 1.0)
    )
    assert 5.0 < np.ptp(bold.ratings_for(query)[0])
    assert 1.0 > np.abs(held.ratings_for(query)[0] - held.ratings).max()


@pytest.mark.parametrize("clustering", ["faiss", "numpy"])
@pytest.mark.parametrize("prompts", [None, 700])
def test_the_multipole_is_near_to_the_exact_form(
    clustering: Literal["faiss", "numpy"], prompts: int | None
) -> None:
    """Its error is a small part of what win rates differ by between prompts."""
    if clustering == "faiss":
        pytest.importorskip("faiss", reason="clusters by FAISS")
    table, known = made_battles(2_000, prompts=prompts, dim=5)
    _, queries = made_battles(100, dim=5, seed=1)
    exact = rates(SimilarityBradleyTerry(gamma=10.0).fit(table, known), queries)
    settings = SimilarityBradleyTerry(gamma=10.0, clusters=128, clustering=clustering)
    found = rates(settings.fit(table, known), queries)

    assert np.abs(found - exact).mean() < 0.1 * exact.std()
    assert 0.99 < np.corrcoef(found, exact)[0, 1]


def test_a_multipole_of_near_clusters_alone_is_exact() -> None:
    """Where all clusters are summed battle by battle nothing is left to err on."""
    table, prompts = made_battles(500, prompts=200)
    _, queries = made_battles(10, seed=1)
    exact = SimilarityBradleyTerry(gamma=10.0).fit(table, prompts)
    all_near = SimilarityBradleyTerry(gamma=10.0, clusters=9, near=9).fit(table, prompts)

    assert rates(exact, queries) == pytest.approx(rates(all_near, queries), abs=1e-5)


@pytest.mark.parametrize("clusters", [None, 20])
def test_what_is_added_counts_as_if_it_had_been_there(clusters: int | None) -> None:
    """Bit by bit or at once, with few parts in the end."""
    table, prompts = made_battles(600, prompts=300)
    _, queries = made_battles(10, seed=1)
    ranker = SimilarityBradleyTerry(gamma=4.0, clusters=clusters, near=20)
    grown = ranker.fit(table.take(np.arange(300)), prompts)
    for battle in range(300, 600, 10):
        grown = grown.add(table.take(np.arange(battle, battle + 10)), prompts)
    whole = ranker.fit(table, prompts)

    assert rates(whole, queries) == pytest.approx(rates(grown, queries), abs=1e-5)
    assert whole.ratings == pytest.approx(grown.ratings, abs=1e-6)
    assert 5 > len(grown.parts)


def test_only_known_arms_can_be_added() -> None:
    """Their tier would be unknown."""
    table, prompts = made_battles(50)
    stranger = preference_table([Battle(prompt="p", first="x", second="arm 00", winner="tie")])
    with pytest.raises(ConfigError, match="not among the arms"):
        SimilarityBradleyTerry().fit(table, prompts).add(
            stranger, Prompts(texts=("p",), vectors=prompts.vectors[:1])
        )


def test_a_batch_is_the_same_as_one_by_one() -> None:
    """Over more prompts than are looked at in one go."""
    table, prompts = made_battles(300)
    _, queries = made_battles(150, seed=1)
    fitted = SimilarityBradleyTerry(dimensions=8).fit(table, prompts)
    alone = [fitted.win_rate(vector, *PAIR) for vector in queries.vectors]

    assert alone == pytest.approx(rates(fitted, queries), abs=1e-6)


def test_strengths_order_the_arms() -> None:
    """The better arms are stronger, on average over prompts; the mean of all is a half."""
    table, prompts = made_battles(4_000, arms=4)
    strengths = SimilarityBradleyTerry().fit(table, prompts).strengths(prompts.take(np.arange(50)))

    assert [0, 1, 2, 3] == np.argsort(strengths.mean(axis=0)).tolist()
    assert 0.5 == pytest.approx(strengths.mean())
    assert (strengths > 0.0).all()
    assert (strengths < 1.0).all()


def test_more_similar_battles_say_more() -> None:
    """Prompts on which the strong arm leads by more have the higher score."""
    table, prompts = made_battles(3_000, arms=4)
    _, queries = made_battles(300, seed=1)
    fitted = SimilarityBradleyTerry(gamma=20.0).fit(table, prompts)
    scores = pair_scores(fitted, queries, strong="arm 03", weak="arm 00")

    assert 0.6 < np.corrcoef(scores, queries.vectors[:, 0])[0, 1]
    with pytest.raises(ConfigError, match="not arm x"):
        pair_scores(fitted, queries, strong="arm x", weak="arm 00")


@pytest.mark.parametrize("clusters", [None, 8])
def test_a_fit_is_saved_and_mapped(clusters: int | None, tmp_path: Path) -> None:
    """What is loaded ranks the same and has its vectors on disk."""
    table, prompts = made_battles(200)
    fitted = SimilarityBradleyTerry(dimensions=4, clusters=clusters).fit(table, prompts)
    loaded = load_similarity(save_fitted(tmp_path / "fitted", fitted))

    assert rates(fitted, prompts).tolist() == rates(loaded, prompts).tolist()
    assert not loaded.parts[0].rows.flags.writeable


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    """By its digest; a folder that is no ranker says so, and none is overwritten."""
    table, prompts = made_battles(50)
    fitted = SimilarityBradleyTerry().fit(table, prompts)
    folder = save_fitted(tmp_path / "fitted", fitted)
    with pytest.raises(ConfigError, match="there already"):
        save_fitted(folder, fitted)
    array = folder / "0.npy"
    array.write_bytes(array.read_bytes()[:-1] + b"\x07")
    with pytest.raises(StateConflict, match="not what was saved"):
        load_similarity(folder)
    with pytest.raises(StateConflict, match="no sound ranker"):
        load_similarity(tmp_path)


def test_a_fit_needs_vectors() -> None:
    """One for each prompt of the table."""
    table, prompts = made_battles(10)
    with pytest.raises(ConfigError, match="a vector for each prompt"):
        SimilarityBradleyTerry().fit(table, prompts.take(np.arange(3)))


@pytest.mark.parametrize("settings", [{"gamma": 0.5}, {"prior_battles": -1.0}, {"near": 0}])
def test_settings_are_checked(settings: dict[str, float]) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        SimilarityBradleyTerry(**settings)  # type: ignore[arg-type]  # wrong values are the point

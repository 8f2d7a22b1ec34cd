"""What rankers are made of: ratings, tiers, projections, indexes."""

from pathlib import Path

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.arrays import unit_rows
from pickllm.errors import StateConflict
from pickllm.index import ExactIndex, FaissIndex, faiss_clusters, numpy_clusters
from pickllm.ranking.bradley_terry import expected_wins, fit_ratings, win_rate
from pickllm.ranking.projection import fit_projection
from pickllm.ranking.tiers import tiers_of


def test_ratings_give_the_wins_that_were_seen() -> None:
    """At the answer each player's expected wins are those that it had."""
    wins = np.random.default_rng(0).integers(1, 20, size=(7, 7)).astype(float)
    np.fill_diagonal(wins, 0.0)
    ratings = fit_ratings(wins)
    expected = ((wins + wins.T) * win_rate(ratings[:, None] - ratings)).sum(axis=1)

    assert wins.sum(axis=1) == pytest.approx(expected)
    assert 0.0 == pytest.approx(ratings.mean())


def test_a_player_that_never_lost_has_a_finite_rating() -> None:
    """At the end of the scale, or where a prior holds it."""
    wins = np.array([[0.0, 5.0], [0.0, 0.0]])

    assert 10.0 < np.ptp(fit_ratings(wins)) < 61.0
    assert 3.0 > np.ptp(fit_ratings(wins, prior_battles=1.0))


def test_a_player_without_battles_stays_at_its_prior() -> None:
    """Nothing is known of it."""
    wins = np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    prior = np.array([0.0, 0.0, 0.9])
    ratings = fit_ratings(wins, prior=prior, prior_battles=0.1)

    assert 0.9 == pytest.approx(ratings[2] - ratings[:2].mean(), abs=1e-6)


def test_wins_must_be_square() -> None:
    """And no less than nothing."""
    for bad in (np.zeros((2, 3)), -np.ones((2, 2))):
        with pytest.raises(ConfigError, match="square"):
            fit_ratings(bad)


def test_expected_wins_of_one_and_of_two() -> None:
    """An arm alone is as good as any; of two, the chances add up to one."""
    assert [0.5] == expected_wins(np.zeros(1)).tolist()
    assert 1.0 == pytest.approx(expected_wins(np.array([0.3, -1.0])).sum())


def test_tiers_are_cut_at_the_gaps() -> None:
    """Whatever the order of the models."""
    ratings = np.array([10.0, 0.0, 11.0, 1.0, 30.0, 0.5])

    assert [1, 0, 1, 0, 2, 0] == tiers_of(ratings, tiers=3).tolist()
    assert [0] * 6 == tiers_of(ratings, tiers=1).tolist()
    assert [0, 1] == tiers_of(np.array([1.0, 2.0]), tiers=10).tolist()
    with pytest.raises(ConfigError, match="at least one tier"):
        tiers_of(ratings, tiers=0)


def test_a_projection_keeps_what_differs() -> None:
    """The common part is gone, and the strongest axis comes first."""
    rng = np.random.default_rng(0)
    spread = np.array([0.1, 3.0, 0.1], dtype=np.float32)
    vectors = rng.normal(size=(500, 3)).astype(np.float32) * spread + 100.0
    reduced = fit_projection(vectors, dimensions=1)(vectors)

    assert 0.95 < np.abs(np.corrcoef(reduced[:, 0], np.sign(vectors[:, 1] - 100.0))[0, 1])
    assert np.ones(500) == pytest.approx(np.linalg.norm(reduced, axis=1), abs=1e-5)
    with pytest.raises(ConfigError, match="reduced to 4"):
        fit_projection(vectors, dimensions=4)


def unit(rows: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    """Vectors of length one."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    return unit_rows(vectors).astype(np.float32)


def test_indexes_find_the_nearest() -> None:
    """FAISS that reads all its lists finds what looking at each finds, added later or not."""
    pytest.importorskip("faiss", reason="the index is made by FAISS")
    vectors, queries = unit(500), unit(20, seed=1)
    exact = ExactIndex(vectors=vectors[:300]).add(vectors[300:])
    approximate = FaissIndex(lists=10, looked_into=10).add(vectors[:300]).add(vectors[300:])
    places, similarities = exact.search(queries, 5)
    found, near = approximate.search(queries, 5)

    assert np.argsort(-(queries @ vectors.T), axis=1)[:, :5].tolist() == places.tolist()
    assert places.tolist() == found.tolist()
    assert similarities == pytest.approx(near, abs=1e-6)


def test_an_index_of_few_gives_what_it_has() -> None:
    """Fewer columns rather than made-up places; an empty one gives none."""
    pytest.importorskip("faiss", reason="one of the indexes is made by FAISS")
    vectors = unit(3)

    assert (2, 3) == ExactIndex(vectors=vectors).search(vectors[:2], 10)[0].shape
    assert (2, 3) == FaissIndex(lists=1).add(vectors).search(vectors[:2], 10)[0].shape
    assert (2, 0) == FaissIndex().search(vectors[:2], 10)[0].shape


def test_an_inverted_file_is_kept_on_disk(tmp_path: Path) -> None:
    """Mapped, it finds the same; added to, it becomes one in memory; the file stays as it was."""
    pytest.importorskip("faiss", reason="is made by FAISS")
    vectors = unit_rows(np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    index = FaissIndex(lists=10, looked_into=5).add(vectors[:200])
    index.save(tmp_path / "index")

    loaded = FaissIndex.load(tmp_path / "index")
    grown = loaded.add(vectors[200:])

    assert [part.tolist() for part in index.search(vectors[:9], 4)] == [
        part.tolist() for part in loaded.search(vectors[:9], 4)
    ]
    assert (10, 5) == (loaded.lists, loaded.looked_into)
    assert [[250]] == grown.search(vectors[250:251], 1)[0].tolist()
    assert 200 == FaissIndex.load(tmp_path / "index").search(vectors[:1], 999)[0].shape[1]
    with pytest.raises(ConfigError, match="there already"):
        index.save(tmp_path / "index")
    with pytest.raises(ConfigError, match="no vectors"):
        FaissIndex().save(tmp_path / "other")


def test_an_index_that_is_damaged_is_told(tmp_path: Path) -> None:
    """By its digest, by its version, and where it is missing."""
    pytest.importorskip("faiss", reason="is made by FAISS")
    FaissIndex(lists=2).add(np.eye(4, dtype=np.float32)).save(tmp_path / "index")
    file, settings = tmp_path / "index" / "vectors.faiss", tmp_path / "index" / "index.json"
    whole = file.read_bytes()

    file.write_bytes(whole[:-4] + b"oops")
    with pytest.raises(StateConflict, match="not what was saved"):
        FaissIndex.load(tmp_path / "index")
    file.write_bytes(whole[:20])
    with pytest.raises(StateConflict, match="holds no index"):
        FaissIndex.load(tmp_path / "index", check=False)
    settings.write_text('{"pickllm_index": 9}')
    with pytest.raises(StateConflict):
        FaissIndex.load(tmp_path / "index")
    with pytest.raises(StateConflict, match="holds no index"):
        FaissIndex.load(tmp_path / "nowhere")


@pytest.mark.parametrize("cluster", [faiss_clusters, numpy_clusters])
def test_clusters_hold_their_like(cluster: type[faiss_clusters]) -> None:  # type: ignore[valid-type]  # two functions of one shape
    """Vectors around three centres, far from each other, fall into three clusters."""
    if cluster is faiss_clusters:
        pytest.importorskip("faiss", reason="clusters by FAISS")
    vectors = np.repeat(np.eye(3, 8, dtype=np.float32), 40, axis=0) + 0.01 * unit(120)
    found = cluster(vectors, clusters=3, seed=4)  # type: ignore[misc]  # see above
    groups = found.member_of.reshape(3, 40)

    assert [1, 1, 1] == [len(set(group.tolist())) for group in groups]
    with pytest.raises(ConfigError, match="can not be put"):
        cluster(vectors, clusters=121)  # type: ignore[misc]  # see above

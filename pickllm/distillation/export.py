"""Turns what was kept of routed traffic into training pairs: clean, told apart, and split.

    transcripts ──► fit? ──► redacted ──► known from the evaluation? ──► gathered on disk
                                                                             │
    train.jsonl, held_out.jsonl, export.json ◄── split ◄── best of each cluster of near-duplicates

Prompts whose embeddings have a cosine of at least ``near`` belong to one cluster, and so do their
neighbours' neighbours. A cluster gives its best ``per_cluster`` pairs, and stands on one side of
the split as a whole, so no prompt that is held out has a near-duplicate that is learnt. Which side
that is hangs on the digest of its oldest prompt: it stays the same as traffic grows.

Texts are never held in memory all at once; of the prompts their vectors are (2 kB each as usual),
for all are compared with all: seconds for 10,000 prompts, minutes for 100,000. An export that was
killed goes on where it was when it is begun again with the same settings.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.duplicates import NEAR, leaked, near_duplicate_groups
from pickllm.distillation.exported import Exported, Split, check_new, finish
from pickllm.distillation.gathered import Gathered, Row
from pickllm.distillation.judgements import Judgements
from pickllm.distillation.pairs import Pair
from pickllm.distillation.selection import Selection
from pickllm.embedding import Embedder, HashingEmbedder
from pickllm.errors import ConfigError
from pickllm.transcripts import Redact, Transcript, Transcripts
from pickllm.transcripts.transcript import redacted

__all__ = ["ExportSettings", "export_pairs"]

_AT_ONCE = 256
_GATHERING = "gathering.db"
_SOURCE = "transcripts"
_TENANT = "tenant"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """What is exported, and how."""

    selection: Selection = field(default_factory=Selection)
    near: float = NEAR
    """Cosine from where two prompts are nearly the same, in (0, 1]."""
    per_cluster: int = 1
    """How many pairs a cluster of near-duplicates gives, the best ones, at least 1. Raise it where
    prompts come from one template, and differ in a word or a number that matters."""
    held_out: float = 0.1
    """Share of the clusters that is held out, in [0, 1)."""
    redact: Redact | None = None
    """What every text goes through, such as `pickllm.transcripts.redact_pii`."""
    bare: bool = False
    """Whether lines hold the messages alone."""
    parquet: bool = False
    """Whether Parquet files are written beside the lines."""

    def __post_init__(self) -> None:
        if not 0.0 < self.near <= 1.0 or self.per_cluster < 1:
            raise ConfigError("near must lie in (0, 1], and per_cluster be at least 1")
        if not 0.0 <= self.held_out < 1.0:
            raise ConfigError(f"held_out must lie in [0, 1); it is {self.held_out}")

    @property
    def name(self) -> str:
        """All that decides what comes of it, in one line."""
        redact = getattr(self.redact, "__qualname__", type(self.redact).__name__)
        return (
            f"{self.selection.name}, near={self.near}, per_cluster={self.per_cluster}, "
            f"held_out={self.held_out}, redact={redact if self.redact else None}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    settings: ExportSettings
    judgements: Judgements | None
    embedder: Embedder
    known: Floats | None
    """Prompts of the evaluation to come, ``[prompts, dim]``."""

    @property
    def name(self) -> str:
        """What an unfinished export is known by."""
        vectors = b"" if self.known is None else np.ascontiguousarray(self.known).tobytes()
        known = blake2b(vectors, digest_size=8).hexdigest()
        embedder = getattr(self.embedder, "name", self.embedder.dim)
        return f"{self.settings.name}, embedder={embedder}, against={known}"


def export_pairs(
    source: Transcripts | Iterable[Transcript],
    out: Path | str,
    *,
    settings: ExportSettings | None = None,
    judgements: Judgements | None = None,
    against: Sequence[str] = (),
    embedder: Embedder | None = None,
) -> Exported:
    """Write training pairs, and those held out, into a folder.

    Args:
        source: Transcripts that are kept; or any, in an order that does not change.
        out: The folder; one that an export was killed in is gone on with.
        settings: What is exported, and how.
        judgements: What else was said of the answers; it counts more than the transcripts' own.
        against: Prompts of an evaluation to come; pairs that are nearly theirs are left out.
        embedder: What makes vectors of prompts; hashed words by default.

    Raises:
        ConfigError: The folder holds an export already, or an unfinished one of other settings; or
            there are pairs of several tenants, and nobody said that these may be mixed.
        MissingExtra: pyarrow, which writes Parquet, is not installed.
    """
    embedder = embedder or HashingEmbedder()
    plan = _Plan(
        settings=settings or ExportSettings(),
        judgements=judgements,
        embedder=embedder,
        known=embedder.embed(list(against)) if against else None,
    )
    folder, wanted = Path(out), plan.settings
    unfinished = (folder / _GATHERING).exists()
    check_new(folder, parquet=wanted.parquet, unfinished=unfinished)
    folder.mkdir(parents=True, exist_ok=True)
    gathered = Gathered(folder / _GATHERING, settings=plan.name)
    try:
        _gather(gathered, source, plan)
        done = finish(
            folder,
            gathered,
            _split(gathered, wanted, dim=embedder.dim),
            settings=wanted.name,
            bare=wanted.bare,
            parquet=wanted.parquet,
            still=_still_there(source) if isinstance(source, Transcripts) else None,
        )
    finally:
        gathered.close()
    for left in folder.glob(f"{_GATHERING}*"):
        left.unlink()
    return done


# Gathering


def _gather(gathered: Gathered, source: Transcripts | Iterable[Transcript], plan: _Plan) -> None:
    read = _placed(source, gathered.reached(_SOURCE))
    while batch := list(islice(read, _AT_ONCE)):
        counts: Counter[str] = Counter(read=len(batch))
        pairs = []
        for _, transcript in batch:
            pair, why = _pair_of(transcript, plan)
            if pair is None:
                counts[why] += 1
                continue
            _check_tenant(gathered, transcript, plan.settings.selection)
            pairs.append(pair)
        vectors = plan.embedder.embed([pair.question for pair in pairs])
        if plan.known is not None and pairs:
            new = ~leaked(vectors, training=plan.known, cosine=plan.settings.near)
            counts["known from the evaluation"] += int((~new).sum())
            pairs = [pair for pair, is_new in zip(pairs, new, strict=True) if is_new]
            vectors = vectors[new]
        gathered.add(pairs, vectors, read=counts, reached=(_SOURCE, batch[-1][0]))


def _pair_of(transcript: Transcript, plan: _Plan) -> tuple[Pair | None, str]:
    """The pair that a transcript makes, or why it makes none."""
    said = dict(transcript.source_to_score)
    if plan.judgements is not None:
        said |= plan.judgements(transcript.decision_id)
    selection, redact = plan.settings.selection, plan.settings.redact
    score = replace(transcript, source_to_score=said).score(selection.sources)
    why = selection.why_not(transcript, score)
    if why:
        return None, why
    kept = transcript if redact is None else redacted(transcript, redact)
    pair = Pair(
        turns=kept.turns,
        answer=kept.answer,
        id=kept.decision_id,
        arm=kept.arm,
        score=score,
        time_s=kept.time_s,
    )
    return pair, ""


def _check_tenant(gathered: Gathered, transcript: Transcript, selection: Selection) -> None:
    """What one tenant was told must not come to be recited to another, unless somebody says so."""
    if selection.tenants or selection.all_tenants:
        return
    digest = blake2b(transcript.tenant.encode(), digest_size=16).hexdigest()
    first = gathered.reached(_TENANT)
    if not first:
        gathered.reach(_TENANT, digest)
    elif first != digest:
        raise ConfigError(
            "these transcripts are of several tenants, and a model may recite one's to another: "
            "name those that may share one, or say that all may"
        )


def _placed(
    source: Transcripts | Iterable[Transcript], after: str
) -> Iterator[tuple[str, Transcript]]:
    """The transcripts that follow a place, each with its own."""
    if isinstance(source, Transcripts):
        return ((source.place(each), each) for each in source.read(after=after))
    numbered = enumerate(source, start=1)
    return ((str(number), each) for number, each in numbered if number > int(after or 0))


# Splitting


def _split(gathered: Gathered, settings: ExportSettings, *, dim: int) -> Split:
    """The best pairs of each cluster, on its side of the split; in the order of their times."""
    rows = gathered.best()
    vectors = gathered.vectors(rows, dim=dim)
    groups = near_duplicate_groups(vectors, cosine=settings.near).tolist() if rows else []
    members: dict[int, list[Row]] = {}
    for row, group in zip(rows, groups, strict=True):
        members.setdefault(group, []).append(row)
    train: list[tuple[Row, str]] = []
    held_out: list[tuple[Row, str]] = []
    for group in members.values():
        cluster = min(group, key=lambda row: (row.time_s, row.prompt)).prompt
        side = held_out if _share(cluster) < settings.held_out else train
        best = sorted(group, key=_rank)[: settings.per_cluster]
        side.extend((row, cluster) for row in best)
    return Split(
        train=tuple(sorted(train, key=_when)),
        held_out=tuple(sorted(held_out, key=_when)),
        clusters=len(members),
        largest=max(map(len, members.values()), default=0),
        repeated=len(gathered) - len(rows),
        near=len(rows) - len(train) - len(held_out),
    )


def _share(cluster: str) -> float:
    """Where a cluster falls in [0, 1), for good."""
    digest = blake2b(cluster.encode(), digest_size=8, person=b"held out").digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _rank(row: Row) -> tuple[float, float, int]:
    """The best score first, then the newest; what nobody has judged comes last."""
    return (1.0 if row.score is None else -row.score, -row.time_s, -row.number)


def _when(chosen: tuple[Row, str]) -> tuple[float, int]:
    return chosen[0].time_s, chosen[0].number


def _still_there(source: Transcripts) -> Callable[[Pair], bool]:
    return lambda pair: source.find(pair.id) is not None

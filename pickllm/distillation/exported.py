"""The files of an export, written beside their names and moved there when whole.

train.jsonl     what is learnt                     train.parquet, held_out.parquet: if wanted
held_out.jsonl  what shows how well
export.json     what was left out and why, and a digest of each file; written last
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pickllm.distillation.gathered import Gathered, Row
from pickllm.distillation.pairs import Pair, read_pairs, to_line, to_row
from pickllm.errors import ConfigError, MissingExtra, StateConflict

__all__ = [
    "HELD_OUT",
    "TRAIN",
    "Exported",
    "Split",
    "check_new",
    "file_digest",
    "finish",
    "read_export",
]

TRAIN = "train.jsonl"
"""The file with what is learnt."""
HELD_OUT = "held_out.jsonl"
"""The file with what shows how well."""

_SUMMARY = "export.json"
_FORMAT = 1
_AT_ONCE = 1_000
_LOPSIDED = 0.2
"""Share of the prompts in one cluster from where it is worth a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Which pairs go where, each with the name of its cluster."""

    train: Sequence[tuple[Row, str]]
    held_out: Sequence[tuple[Row, str]]
    clusters: int
    largest: int
    """Prompts in the largest cluster."""
    repeated: int
    """Pairs whose very prompt another pair has."""
    near: int
    """Pairs whose prompt is nearly that of a better one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What came of an export."""

    folder: str
    read: int
    """Transcripts looked at."""
    left_out: Mapping[str, int]
    """Why, and how many."""
    train: int
    held_out: int
    clusters: int
    largest_cluster: int
    arm_to_pairs: Mapping[str, int]
    mean_score: float | None
    """Of the judged ones."""
    files: Mapping[str, str]
    """Name to SHA-256."""
    settings: str = field(repr=False)

    def rows(self) -> list[tuple[str, str]]:
        """What there is to tell, as rows of a table."""
        score = "unknown" if self.mean_score is None else f"{self.mean_score:.3f}"
        return [
            ("transcripts read", f"{self.read}"),
            *((f"left out: {why}", f"{count}") for why, count in self.left_out.items()),
            ("clusters of near-duplicates", f"{self.clusters}"),
            ("prompts in the largest", f"{self.largest_cluster}"),
            *((f"answers of {arm}", f"{count}") for arm, count in self.arm_to_pairs.items()),
            ("mean score", score),
            ("pairs to learn", f"{self.train}"),
            ("pairs held out", f"{self.held_out}"),
        ]

    def warnings(self) -> list[str]:
        """What to beware of, in sentences without their ends."""
        prompts = self.train + self.held_out + self.left_out.get("nearly the same prompt", 0)
        found = []
        if not self.train:
            found.append("there is nothing to learn from")
        if self.train and not self.held_out:
            found.append("nothing is held out, so nothing will tell how well it was learnt")
        if self.largest_cluster > max(10, _LOPSIDED * prompts):
            found.append(
                f"{self.largest_cluster} of {prompts} prompts are one cluster: where they come "
                "from one template and differ in what matters, raise near or per_cluster"
            )
        return found


def check_new(folder: Path, *, parquet: bool, unfinished: bool) -> None:
    """Refuse a folder that holds an export, or files of somebody else's.

    In an ``unfinished`` one such files are our own, and written anew.
    """
    if parquet and find_spec("pyarrow") is None:
        raise MissingExtra("writing Parquet", extra="tables")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is there already, and no folder")
    ends = (_SUMMARY,) if unfinished else (_SUMMARY, TRAIN, HELD_OUT)
    if any((folder / name).exists() for name in ends):
        raise ConfigError(f"{folder} holds pairs already; name a new folder, or remove it first")


def finish(
    folder: Path,
    gathered: Gathered,
    split: Split,
    *,
    settings: str,
    bare: bool,
    parquet: bool,
    still: Callable[[Pair], bool] | None,
) -> Exported:
    """Write the files, and what there is to tell of them.

    ``still`` says whether a pair may still be used: it may have been deleted while it was here.
    """
    tally = _Tally()
    sides = {TRAIN: split.train, HELD_OUT: split.held_out}
    written = {
        name: _write(folder / name, tally.watch(name, gathered, chosen, still), bare, parquet)
        for name, chosen in sides.items()
    }
    counts = gathered.counts
    counts.update(
        {
            "the very same prompt": split.repeated,
            "nearly the same prompt": split.near,
            "deleted meanwhile": tally.deleted,
        }
    )
    done = Exported(
        folder=str(folder),
        read=counts.pop("read", 0),
        left_out={why: count for why, count in sorted(counts.items()) if count},
        train=tally.sides[TRAIN],
        held_out=tally.sides[HELD_OUT],
        clusters=split.clusters,
        largest_cluster=split.largest,
        arm_to_pairs=dict(sorted(tally.arms.items())),
        mean_score=tally.score / tally.judged if tally.judged else None,
        files={file.name: file_digest(file) for files in written.values() for file in files},
        settings=settings,
    )
    text = json.dumps({"pickllm_export": _FORMAT, **asdict(done)}, ensure_ascii=False, indent=1)
    unfinished = folder / f"{_SUMMARY}.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(folder / _SUMMARY)
    return done


def read_export(folder: Path | str) -> Exported:
    """What an export says of itself.

    Raises:
        StateConflict: The folder holds none, or one that is not finished.
    """
    place = Path(folder)
    try:
        fields = json.loads((place / _SUMMARY).read_text(encoding="utf-8"))
        if fields.pop("pickllm_export") != _FORMAT:
            raise StateConflict(f"{place} is an export of another version; make it anew")
        return replace(Exported(**fields), folder=str(place))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateConflict(f"{place} holds no finished export") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Tally:
    """Counts pairs as they pass."""

    def __init__(self) -> None:
        self.sides: Counter[str] = Counter()
        self.arms: Counter[str] = Counter()
        self.score = 0.0
        self.judged = self.deleted = 0

    def watch(
        self,
        side: str,
        gathered: Gathered,
        chosen: Sequence[tuple[Row, str]],
        still: Callable[[Pair], bool] | None,
    ) -> Iterator[Pair]:
        for row, cluster in chosen:
            pair = replace(gathered.pair(row.number), cluster=cluster)
            if still is not None and not still(pair):
                self.deleted += 1
                continue
            self.sides[side] += 1
            self.arms[pair.arm] += 1
            if pair.score is not None:
                self.judged += 1
                self.score += pair.score
            yield pair


def _write(file: Path, pairs: Iterator[Pair], bare: bool, parquet: bool) -> list[Path]:
    """The files that hold these pairs."""
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(f"{to_line(pair, bare=bare)}\n" for pair in pairs)
    unfinished.replace(file)
    return [file, _to_parquet(file, bare)] if parquet else [file]


def _to_parquet(file: Path, bare: bool) -> Path:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns = [("messages", pa.list_(message))]
    if not bare:
        texts = [(name, pa.string()) for name in ("id", "arm", "cluster")]
        numbers = [(name, pa.float64()) for name in ("score", "time_s")]
        columns.append(("pickllm", pa.struct([*texts, *numbers])))
    schema, target = pa.schema(columns), file.with_suffix(".parquet")
    with ExitStack() as stack:
        table = stack.enter_context(ParquetWriter(target, schema))
        rows: list[dict[str, Any]] = []
        for pair in read_pairs(file):
            rows.append(to_row(pair, bare=bare))
            if len(rows) == _AT_ONCE:
                table.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows.clear()
        table.write_table(pa.Table.from_pylist(rows, schema=schema))
    return target

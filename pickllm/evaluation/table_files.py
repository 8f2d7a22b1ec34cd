"""Tables of outcomes in files: CSV or Parquet, a row for each prompt, three columns for each arm.

    prompt,small|score,small|cost_usd,small|latency_s,large|score,…

Scores lie in [0, 1]. Costs and latencies may be left out, for all arms or for some: a cost is
unknown then, a latency zero. Rows in which a score is missing are left out. The column ``prompt``
is for policies and rankers that look at it; other columns are not looked at.
"""

import csv
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError, MissingExtra
from pickllm.evaluation.table import Matrix, OutcomeTable

__all__ = ["csv_rows", "is_table_file", "read_columns", "read_table"]

logger = logging.getLogger("pickllm")

_SUFFIXES = (".csv", ".parquet")
_SCORE = "|score"


def is_table_file(path: Path | str) -> bool:
    """Whether the name is one of a table; logs are JSON lines."""
    return Path(path).suffix in _SUFFIXES


def read_table(path: Path | str, *, arms: Sequence[str] = ()) -> OutcomeTable:
    """Read a table; ``arms`` narrows it to some, all by default.

    Raises:
        ConfigError: The file is missing, or is no such table, or no row has all scores.
    """
    columns = read_columns(path)
    found = [name.removesuffix(_SCORE) for name in columns if name.endswith(_SCORE)]
    wanted = tuple(arms or found)
    lacking = [arm for arm in wanted if arm not in found]
    if lacking or not wanted:
        raise ConfigError(
            f"{path} has no column {(lacking or ['NAME'])[0]}{_SCORE}; "
            f"it has {found or list(columns)}"
        )
    score = _matrix(columns, wanted, "score")
    known: NDArray[np.bool_] = np.logical_not(np.isnan(score).any(axis=1))
    if not known.any():
        raise ConfigError(f"no row of {path} has a score of each of {list(wanted)}")
    if not known.all():
        logger.warning(
            "%d of %d rows of %s lack a score", known.size - known.sum(), known.size, path
        )
    return OutcomeTable(
        arms=wanted,
        score=score[known],
        cost_usd=_matrix(columns, wanted, "cost_usd")[known],
        latency_s=np.nan_to_num(_matrix(columns, wanted, "latency_s")[known]),
        prompts=tuple(str(columns["prompt"][row]) for row in np.flatnonzero(known).tolist())
        if "prompt" in columns
        else (),
    )


def read_columns(file: Path | str) -> Mapping[str, Sequence[Any]]:
    """All columns of a table by name; of CSV all cells are text.

    Raises:
        ConfigError: The file is missing, is no table, or has no rows.
    """
    path = Path(file)
    try:
        columns = _from_parquet(path) if path.suffix == ".parquet" else _from_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the table {path}: {type(error).__name__}") from error
    if not any(map(len, columns.values())):
        raise ConfigError(f"the table {path} has no rows")
    return columns


def csv_rows(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file, its head first, as spreadsheets write them too; empty lines are none.

    Cells may be as long as answers are: longer than the 131,072 characters that Python allows.
    """
    before = csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a mark first
            yield from filter(None, csv.reader(file))
    finally:
        csv.field_size_limit(before)


def _from_parquet(path: Path) -> Mapping[str, Sequence[Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table as read_parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", extra="tables") from error
    try:
        columns: Mapping[str, Sequence[Any]] = read_parquet(path).to_pydict()
    except ArrowException as error:
        raise ConfigError(f"{path} is no Parquet file: {type(error).__name__}") from error
    return columns


def _from_csv(path: Path) -> Mapping[str, Sequence[Any]]:
    head, *rows = list(csv_rows(path)) or [[]]
    if any(len(row) != len(head) for row in rows):
        raise ConfigError(f"a row of {path} has not as many cells as its head")
    return {name: [row[index] for row in rows] for index, name in enumerate(head)}


def _matrix(columns: Mapping[str, Sequence[Any]], arms: Sequence[str], what: str) -> Matrix:
    """``[rows, arms]``; NaN where nothing stands."""
    rows = len(next(iter(columns.values())))
    blank = [None] * rows
    return np.array(
        [[_number(cell, arm) for cell in columns.get(f"{arm}|{what}", blank)] for arm in arms],
        dtype=np.float64,
    ).T.reshape(rows, len(arms))


def _number(cell: Any, arm: str) -> float:
    if cell is None or cell == "":
        return float("nan")
    try:
        return float(cell)
    except ValueError as error:
        raise ConfigError(f"{cell!r} in a column of {arm!r} is no number") from error

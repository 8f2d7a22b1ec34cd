"""Tables of outcomes, read from files."""

import logging
from pathlib import Path

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.evaluation.table_files import is_table_file, read_table

HEAD = "prompt,a|score,a|cost_usd,a|latency_s,b|score"
LONG = "why? " * 40_000


def written(folder: Path, *lines: str) -> Path:
    """A CSV."""
    path = folder / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_csv_is_read(tmp_path: Path) -> None:
    """Cost left out is unknown, latency zero; rows without a score are left out, and told."""
    table = read_table(written(tmp_path, HEAD, '"hi, you",1,0.5,2,0', "x,0,,1,1"))

    assert ("a", "b") == table.arms
    np.testing.assert_array_equal(table.score, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(table.cost_usd, [[0.5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(table.latency_s, [[2, 0], [1, 0]])


def test_a_csv_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """With the mark at its beginning, which is no part of a name, with empty lines, long cells."""
    table = read_table(written(tmp_path, f"\ufeff{HEAD}", "", f"{LONG},1,0.5,2,0", "", ""))

    assert (LONG,) == table.prompts


def test_rows_without_a_score_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of the arms that are looked at."""
    path = written(tmp_path, HEAD, "x,1,,,", "x,1,,,1")
    with caplog.at_level(logging.WARNING, logger="pickllm"):
        assert (1, 2) == (len(read_table(path)), len(read_table(path, arms=["a"])))
    assert 1 == caplog.text.count("1 of 2 rows")


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    """The same table in the other format."""
    pyarrow = pytest.importorskip("pyarrow", reason="an extra of its own")
    parquet = pytest.importorskip("pyarrow.parquet", reason="an extra of its own")
    columns = {"a|score": [1.0, 0.0], "b|score": [0.5, None], "b|cost_usd": [0.1, 0.2]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")

    table = read_table(tmp_path / "table.parquet")

    np.testing.assert_array_equal(table.score, [[1.0, 0.5]])
    np.testing.assert_array_equal(table.cost_usd, [[np.nan, 0.1]])
    with pytest.raises(ConfigError, match="is no Parquet file"):
        read_table(written(tmp_path, "x").rename(tmp_path / "bad.parquet"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((), "has no rows"),
        (("a|score,b|score",), "has no rows"),
        (("a,b", "1,2"), r"has no column NAME\|score"),
        (("a|score", "x"), "'x' in a column of 'a' is no number"),
        (("a|score,b|score", "1"), "has not as many cells"),
        (("a|score", "2"), r"scores must be numbers in \[0, 1\]; a has 2.0"),
        (("a|score,a|cost_usd", "1,-1"), "costs and latencies must be 0 or more"),
        (("a|score,b|score", "1,", ",1"), r"has a score of each of \['a', 'b'\]"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    """And told by its name."""
    with pytest.raises(ConfigError, match=told):
        read_table(written(tmp_path, *lines))


def test_an_arm_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And so is a file."""
    with pytest.raises(ConfigError, match=r"no column c\|score; it has \['a', 'b'\]"):
        read_table(written(tmp_path, HEAD, "x,1,,,1"), arms=["a", "c"])
    with pytest.raises(ConfigError, match="cannot read the table"):
        read_table(tmp_path / "none.csv")
    assert (True, False) == (is_table_file("x.parquet"), is_table_file(Path("x.jsonl")))

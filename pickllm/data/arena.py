"""Readers of battles: Chatbot Arena exports and the verdicts of an LLM judge.

An arena export has a row for each vote, in one of two shapes, as CSV or parquet:

    lmsys 55k       model_a, model_b, prompt, winner_model_a, winner_model_b, winner_tie
    33k, 140k       model_a, model_b, conversation_a, winner

``prompt`` is a JSON list with the text of every turn; ``conversation_a`` a list of messages, as
JSON or nested. The winner is ``model_a``, ``model_b``, ``tie`` or ``tie (bothbad)``. A battle is
about the first turn: only there had both models read the same.

A judge's verdicts are JSON lines:

    {"prompt": "…", "model_a": "…", "model_b": "…", "winner": "model_a"}

with ``weight`` and ``source`` where they matter.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pickllm.data.preferences import Battle, PreferenceTable, Winner, preference_table
from pickllm.errors import ConfigError, MissingExtra
from pickllm.evaluation.table_files import csv_rows

__all__ = ["read_arena", "read_judgements", "write_judgements"]

_NAME_TO_WINNER: Mapping[str, Winner] = {
    "model_a": "first",
    "model_b": "second",
    "tie": "tie",
    "tie (bothbad)": "tie",
    "both_bad": "tie",
}


def read_arena(
    path: str | Path, *, source: str = "arena", least_characters: int = 0
) -> PreferenceTable:
    """Read an export of Chatbot Arena.

    Args:
        path: A ``.csv`` or ``.parquet`` file.
        source: Who says so.
        least_characters: Shorter prompts are left out; RouteLLM drops those under 16.

    Raises:
        ConfigError: The file is of another kind, or holds no battle, or a row is none; says which.
        MissingExtra: Parquet needs `pyarrow`.
    """
    file = Path(path)
    rows = _parquet_rows(file) if file.suffix == ".parquet" else _csv_rows(file)
    battles = (_battle(row, source, file, number) for number, row in enumerate(rows, start=1))
    return _table(file, (each for each in battles if each and len(each.prompt) >= least_characters))


def read_judgements(path: str | Path, *, source: str = "judge") -> PreferenceTable:
    """Read a judge's verdicts, one JSON object for each line; blank lines are passed over.

    Raises:
        ConfigError: The file can not be read, or holds no verdict, or a line is none; says which.
    """
    file = Path(path)
    lines = enumerate(_lines(file), start=1)
    return _table(
        file, (_verdict(line, source, file, number) for number, line in lines if line.strip())
    )


def write_judgements(path: str | Path, table: PreferenceTable) -> None:
    """Write battles as `read_judgements` reads them; what was won in part counts as a tie."""
    names = {0.0: "model_b", 1.0: "model_a"}
    columns = (table.prompt, table.first, table.second, table.won, table.weight, table.source)
    unfinished = Path(path).with_suffix(".unfinished")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with unfinished.open("w", encoding="utf-8") as lines:
        for prompt, first, second, won, weight, source in zip(*columns, strict=True):
            line = {
                "prompt": table.prompts[prompt],
                "model_a": table.arms[first],
                "model_b": table.arms[second],
                "winner": names.get(float(won), "tie"),
                "weight": float(weight),
                "source": table.sources[source],
            }
            lines.write(f"{json.dumps(line)}\n")
    unfinished.replace(path)


def _table(file: Path, battles: Iterable[Battle]) -> PreferenceTable:
    try:
        found = list(battles)
    except ConfigError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"cannot read {file}: {type(error).__name__}") from error
    if not found:
        raise ConfigError(f"{file} holds no battle of two models on a prompt")
    return preference_table(found)


def _battle(row: Mapping[str, Any], source: str, file: Path, number: int) -> Battle | None:
    """A row's battle; None where a vote was cast on an empty prompt or on one model twice."""
    try:
        prompt = _first_turn(row["prompt"] if "prompt" in row else row["conversation_a"])
        first, second = str(row["model_a"]), str(row["model_b"])
        winner = _winner(row)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{file}, row {number} is no battle ({type(error).__name__}: {error}); columns are "
            "model_a, model_b, prompt (a JSON list of turns) or conversation_a (one of messages), "
            "and winner or winner_model_a, winner_model_b, winner_tie"
        ) from error
    if not prompt or first == second:
        return None
    return Battle(prompt=prompt, first=first, second=second, winner=winner, source=source)


def _winner(row: Mapping[str, Any]) -> Winner:
    if "winner" in row:
        return _NAME_TO_WINNER[row["winner"]]
    votes = [int(float(row[f"winner_{name}"])) for name in ("model_a", "model_b", "tie")]
    names: tuple[Winner, ...] = ("first", "second", "tie")
    if sum(votes) != 1:
        raise ValueError("exactly one of the winner columns must be 1")
    return names[votes.index(1)]


def _first_turn(value: Any) -> str:
    """The first thing said by the user; lone halves of surrogate pairs become question marks."""
    turns = json.loads(value) if value and isinstance(value, str) else value
    turn = next((each for each in turns or () if each), "")
    if isinstance(turn, Mapping):
        turn = turn["content"]
    if not isinstance(turn, str):  # content blocks
        turn = "\n".join(block["text"] for block in turn if block.get("type", "text") == "text")
    return turn.encode("utf-8", errors="replace").decode("utf-8")


def _verdict(line: str, source: str, file: Path, number: int) -> Battle:
    try:
        fields = json.loads(line)
        return Battle(
            prompt=fields["prompt"],
            first=fields["model_a"],
            second=fields["model_b"],
            winner=_NAME_TO_WINNER[fields["winner"]],
            source=fields.get("source", source),
            weight=float(fields.get("weight", 1.0)),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}, line {number} is no verdict ({type(error).__name__}: {error}); a verdict has "
            "prompt, model_a, model_b, and winner, which is model_a, model_b or tie"
        ) from error


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        yield from lines


def _csv_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    if file.suffix != ".csv":
        raise ConfigError(f"{file} is neither .csv nor .parquet")
    rows = csv_rows(file)
    head = next(rows, [])
    for row in rows:
        yield dict(zip(head, row, strict=False))  # what lacks a cell is told as no battle


def _parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("reading parquet", extra="ranking") from error
    wanted = {"model_a", "model_b", "prompt", "conversation_a", "winner"}
    with parquet.ParquetFile(file) as table:
        columns = [n for n in table.schema_arrow.names if n in wanted or n.startswith("winner_")]
        for batch in table.iter_batches(columns=columns):
            yield from batch.to_pylist()

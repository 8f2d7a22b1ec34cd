"""What the commands of rankers read, whichever kind of file it is.

.jsonl              verdicts of a judge, as `read_judgements` has them; or one prompt a line; or,
                    with the fields prompt, model and response, one answer a line
.csv, .parquet      graded answers (NAME|score), or an export of Chatbot Arena (model_a, …)
                    or answers to be judged, in columns prompt, model and response
.txt                one prompt a line
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pickllm.data.arena import read_arena, read_judgements
from pickllm.data.preferences import PreferenceTable, from_grades, from_outcomes
from pickllm.errors import ConfigError
from pickllm.evaluation.table import OutcomeTable
from pickllm.evaluation.table_files import is_table_file, read_columns, read_table

__all__ = ["graded", "read_answers", "read_preferences", "read_prompts", "read_prompts_by_id"]


def read_preferences(path: Path, *, between: tuple[str, str] | None = None) -> PreferenceTable:
    """Battles of a file. Grades of two arms become battles of the two, of more arms grades.

    ``between`` takes two arms out of the graded ones.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    if path.suffix == ".jsonl":
        return read_judgements(path)
    if not is_table_file(path):
        raise ConfigError(f"{path} is none of .csv, .parquet and .jsonl")
    if "model_a" in read_columns(path):
        return read_arena(path)
    table = graded(path, arms=between or ())
    if len(table.arms) < 2:
        raise ConfigError(f"{path} has grades of {table.arms[0]} alone: there is nothing to choose")
    make = from_outcomes if len(table.arms) == 2 else from_grades
    return make(table, table.prompts)


def graded(path: Path, *, arms: tuple[str, ...] = ()) -> OutcomeTable:
    """Graded answers with their prompts; of some arms, all by default."""
    if path.exists() and not is_table_file(path):
        raise ConfigError(f"graded answers come as .csv or .parquet; {path} is neither")
    table = read_table(path, arms=arms)
    if not table.prompts:
        raise ConfigError(f"{path} has no column prompt, and a ranker has nothing to look at")
    return table


def read_prompts(path: Path) -> tuple[str, ...]:
    """Prompts alone; empty lines are passed over."""
    if is_table_file(path):
        columns = read_columns(path)
        if "prompt" not in columns:
            raise ConfigError(f"{path} has no column prompt")
        found = [str(prompt) for prompt in columns["prompt"]]
    else:
        found = [_prompt(line, path) for line in _lines(path) if line.strip()]
    if not found:
        raise ConfigError(f"there is no prompt in {path}")
    return tuple(found)


def read_answers(path: Path) -> dict[str, dict[str, str]]:
    """From each prompt to what each model answered; of two answers of one model the last."""
    if is_table_file(path):
        columns = read_columns(path)
        if lacking := {"prompt", "model", "response"}.difference(columns):
            raise ConfigError(f"{path} has no column {min(lacking)}")
        wanted = (columns[name] for name in ("prompt", "model", "response"))
        rows: Iterable[tuple[Any, ...]] = zip(*wanted, strict=True)
    else:
        rows = ((row["prompt"], row["model"], row["response"]) for row in _objects(path))
    found: dict[str, dict[str, str]] = {}
    try:
        for prompt, model, response in rows:
            found.setdefault(str(prompt), {})[str(model)] = str(response or "")
    except KeyError as error:
        raise ConfigError(f"a line of {path} has no {error}") from error
    return found


def read_prompts_by_id(path: Path) -> dict[str, str]:
    """Prompts by the id of their decision or run, from JSON lines with ``id`` and ``prompt``."""
    try:
        return {str(row["id"]): str(row["prompt"]) for row in _objects(path)}
    except KeyError as error:
        raise ConfigError(f"a line of {path} has no {error}") from error


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"line {number} of {path} is no JSON") from error
        if not isinstance(found, dict):
            raise ConfigError(f"line {number} of {path} is no JSON object")
        yield found


def _lines(path: Path) -> list[str]:
    """Not by `str.splitlines`, which breaks at U+2028, too: that may stand in a prompt."""
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {type(error).__name__}") from error


def _prompt(line: str, path: Path) -> str:
    if path.suffix != ".jsonl":
        return line
    try:
        given = json.loads(line)
        return str(given if isinstance(given, str) else given["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"a line of {path} is no prompt ({type(error).__name__}); it is text, or an object "
            "with the field prompt"
        ) from error

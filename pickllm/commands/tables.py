"""What the commands of rankers read, whichever kind of file it is.

.jsonl              verdicts of a judge, as `read_judgements` has them; or one prompt a line
.csv, .parquet      graded answers (NAME|score), or an export of Chatbot Arena (model_a, …)
.txt                one prompt a line
"""

import json
from pathlib import Path

from pickllm.data.arena import read_arena, read_judgements
from pickllm.data.preferences import PreferenceTable, from_grades, from_outcomes
from pickllm.errors import ConfigError
from pickllm.evaluation.table import OutcomeTable
from pickllm.evaluation.table_files import is_table_file, read_columns, read_table

__all__ = ["graded", "read_preferences", "read_prompts"]


def read_preferences(path: Path) -> PreferenceTable:
    """Battles of a file. Grades of two arms become battles of the two, of more arms grades."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    if path.suffix == ".jsonl":
        return read_judgements(path)
    if not is_table_file(path):
        raise ConfigError(f"{path} is none of .csv, .parquet and .jsonl")
    if "model_a" in read_columns(path):
        return read_arena(path)
    table = graded(path)
    make = from_outcomes if len(table.arms) == 2 else from_grades
    return make(table, table.prompts)


def graded(path: Path) -> OutcomeTable:
    """Graded answers with their prompts."""
    table = read_table(path)
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
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {type(error).__name__}") from error
        found = [_prompt(line, path) for line in lines if line.strip()]
    if not found:
        raise ConfigError(f"there is no prompt in {path}")
    return tuple(found)


def _prompt(line: str, path: Path) -> str:
    if path.suffix != ".jsonl":
        return line
    try:
        given = json.loads(line)
        return str(given if isinstance(given, str) else given["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"a line of {path} is no prompt ({type(error).__name__})") from error

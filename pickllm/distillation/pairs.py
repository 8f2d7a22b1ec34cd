"""What a student learns from: a conversation and the answer to it, in the format of fine-tuning.

One line is one pair, as OpenAI, trl and most other trainers read it:

    {"messages": [{"role": "user", "content": "2 + 2 ="}, {"role": "assistant", "content": "4"}],
     "pickllm": {"id": "d1", "arm": "large", "score": 1.0, "time_s": 99.0, "cluster": "5f…"}}

What stands under "pickllm" is ours, and left out of bare lines, for services that take nothing
beside the messages. Files of others' making are read as well.

>>> pair = Pair(turns=(Said(role="user", text="2 + 2 ="),), answer="4", arm="large")
>>> of_line(to_line(pair)) == pair
True
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pickllm.errors import ConfigError, MissingExtra
from pickllm.types import Role, Said

__all__ = ["Pair", "of_line", "of_row", "read_pairs", "to_line", "to_row"]

_OURS = "pickllm"
_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A conversation, and the answer that is to be learnt."""

    turns: tuple[Said, ...] = field(repr=False)
    """At least one."""
    answer: str = field(repr=False)
    id: str = ""
    """The decision that the answer was given in."""
    arm: str = ""
    """Who gave it."""
    score: float | None = None
    """How good it is, in [0, 1]; None where nobody has said."""
    time_s: float = 0.0
    """When it was given, in seconds since the epoch."""
    cluster: str = ""
    """Pairs whose prompts are nearly the same share one."""

    @property
    def question(self) -> str:
        """The conversation without its system turns: what makes prompts near to each other."""
        return "\n".join(turn.text for turn in self.turns if turn.role != "system")


def to_row(pair: Pair, *, bare: bool = False) -> dict[str, Any]:
    """The pair as a row of a table; a bare one holds the messages alone."""
    said = [{"role": turn.role, "content": turn.text} for turn in pair.turns]
    messages = [*said, {"role": "assistant", "content": pair.answer}]
    if bare:
        return {"messages": messages}
    names = ("id", "arm", "score", "time_s", "cluster")
    return {"messages": messages, _OURS: {name: getattr(pair, name) for name in names}}


def of_row(row: Mapping[str, Any]) -> Pair:
    """The pair of a row; `ValueError`, `TypeError` or `KeyError` where it is none."""
    *said, last = row["messages"]
    if not said or last["role"] != "assistant" or not isinstance(last["content"], str):
        raise ValueError("its messages do not end with an answer in text")
    return Pair(
        turns=tuple(_said(message) for message in said),
        answer=last["content"],
        **(row.get(_OURS) or {}),
    )


def to_line(pair: Pair, *, bare: bool = False) -> str:
    """The pair as a line of JSON, without its end."""
    return json.dumps(to_row(pair, bare=bare), ensure_ascii=False, allow_nan=False)


def of_line(line: str) -> Pair:
    """The pair of a line of JSON; `ValueError`, `TypeError` or `KeyError` where it is none."""
    return of_row(json.loads(line))


def read_pairs(path: Path | str) -> Iterator[Pair]:
    """The pairs of a file, .jsonl or .parquet, one at a time.

    Raises:
        ConfigError: There is no such file, or a row of it is no pair; says which.
        MissingExtra: pyarrow, which reads Parquet, is not installed.
    """
    file = Path(path)
    rows = _parquet_rows(file) if file.suffix == ".parquet" else _lines(file)
    number = 0
    try:
        for row in rows:
            number += 1
            yield of_row(json.loads(row) if isinstance(row, str) else row)
    except ConfigError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {type(error).__name__}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"row {number} of {file} is no pair: each has messages, of which the last is the "
            f"assistant's ({type(error).__name__})"
        ) from error


def _said(message: Mapping[str, Any]) -> Said:
    role, text = message["role"], message["content"]
    if role not in get_args(Role) or not isinstance(text, str):
        raise ValueError("a message needs a role and text")
    return Said(role=role, text=text)


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        yield from (line for line in lines if line.strip())


def _parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtra("reading Parquet", extra="tables") from error
    try:
        with ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_AT_ONCE):
                yield from batch.to_pylist()
    except ArrowException as error:
        raise ConfigError(f"{file} is no Parquet file: {type(error).__name__}") from error

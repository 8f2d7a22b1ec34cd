"""HC3, the Human ChatGPT Comparison Corpus, which the PickLLM paper draws its questions from.

Read from your copy of the files of ``Hello-SimpleAI/HC3``: ``all.jsonl``, where each line says its
source, or a folder with one file for each of the five subsets. A line is

    {"question": "…", "human_answers": ["…", …], "chatgpt_answers": ["…", …], "source": "open_qa"}

Source: Guo et al., How Close is ChatGPT to Human Experts? (arXiv 2301.07597).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pickllm.errors import ConfigError

__all__ = ["HC3_SUBSETS", "HC3Row", "read_hc3"]

HC3_SUBSETS = ("reddit_eli5", "open_qa", "wiki_csai", "medicine", "finance")
"""Where a question comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HC3Row:
    """A question, with the answers that people and ChatGPT gave to it."""

    question: str = field(repr=False)
    human_answers: tuple[str, ...] = field(repr=False)
    chatgpt_answers: tuple[str, ...] = field(repr=False)
    source: str
    """One of ``HC3_SUBSETS``."""


def read_hc3(path: str | Path) -> list[HC3Row]:
    """Read a file, or every subset of a folder; a folder with ``all.jsonl`` gives that.

    Raises:
        ConfigError: There is nothing to read, or a line is no HC3 row; says which.
    """
    place = Path(path)
    if place.is_file():
        return list(_rows(place))
    whole = place / "all.jsonl"
    files = [whole] if whole.is_file() else [place / f"{name}.jsonl" for name in HC3_SUBSETS]
    found = [file for file in files if file.is_file()]
    if not found:
        raise ConfigError(
            f"no HC3 at {place}: give the path of all.jsonl, or of a folder that holds it or "
            f"{', '.join(f'{name}.jsonl' for name in HC3_SUBSETS)}"
        )
    return [row for file in found for row in _rows(file)]


def _rows(file: Path) -> Iterator[HC3Row]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _row(line, file, number)


def _row(line: str, file: Path, number: int) -> HC3Row:
    try:
        fields = json.loads(line)
        return HC3Row(
            question=_text(fields["question"]),
            human_answers=_texts(fields["human_answers"]),
            chatgpt_answers=_texts(fields["chatgpt_answers"]),
            source=fields.get("source") or file.stem,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}, line {number} is no HC3 row: {error!r}") from error


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value

r"""A text in pieces: prose in sentences, and what is no prose, which nothing may cut.

    fenced or indented code, JSON, tables, markup, lines that look like code    kept, whole
    sentences with numbers, negations, questions, quoted code; headings          kept
    other sentences                                                              may go

Pieces put together are the text again, to the last space.

>>> text = "Ada wrote notes. They were long.\n```\nx = 1\n```\nShe did not publish."
>>> [piece.text for piece in pieces(text) if piece.spare]
['Ada wrote notes. ', 'They were long.']
>>> joined(pieces(text), dropped={0, 1})
'```\nx = 1\n```\nShe did not publish.'
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "Piece",
    "Regions",
    "Split",
    "has_negation",
    "has_number",
    "has_question",
    "joined",
    "pieces",
    "prose_regions",
]

_NEGATIONS = (
    *("no", "not", "none", "never", "nor", "neither", "nobody", "nothing", "nowhere", "cannot"),
    *("without", "unless", "except", "only", "hardly", "fails?", "lacks?", "refuses?", "denies"),
    *("nicht", "kein\\w*", "nie", "ohne", "ne", "pas", "jamais", "sans", "nunca", "sin", "não"),
    *("не", "нет", "ни", "никогда", "без"),
)
_NEGATION = re.compile(
    rf"\b(?:{'|'.join(_NEGATIONS)})\b|n[\u2019']t\b|[不没無无]|ない", re.IGNORECASE
)
_NUMBER = re.compile(r"\d")
_QUOTED = re.compile(r"[`?\uff1f]")
_LABEL = re.compile(
    r"^\s*(?:#{1,6}\s|[\w ]{1,30}[:\uff1a]\s*$|(?:question|query|task|instructions?)\b)",
    re.IGNORECASE,
)

_FENCE = re.compile(r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})")
_INDENTED = re.compile(r"^(?: {4}|\t)\s*\S")
_TABLE = re.compile(r"^\s*\||\|.*\||\t.*\t|^\s*[-+=*_:| ]{3,}$")
_MARKUP = re.compile(r"^\s*<[/!?\w]|<[/\w][^<>]*>|/>\s*$")
_CODE = re.compile(
    r"[{};]\s*$|^\s*[}\])]|^\s*(?:def|class|import|from|return|elif|else:|try:|except|async|await|"
    r"const|let|var|function|public|private|static|SELECT|INSERT|UPDATE|#include)\b.*[\w(){}=:;,]$|"
    r"\w\([^()]*\)\s*[{:;]?\s*$|^\s*[\w.\[\]]+\s*(?:[-+*/|&]?=|:=)\s*\S|=>|->|\$\{|\\[a-zA-Z]+\{|\$\$"
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'\u201d\u2019)\]]*\s+|[。\uff01\uff1f]+[」』]?\s*")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|No|Fig|Inc|Ltd|approx))\.\s*$"
)
_BRACKET = re.compile(r"[{\[]")
_MOST_JSON_TRIES = 500
"""Openings of brackets in a text that are tried; a text with more is no prose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a text: of a line of prose, its end, or something that is no prose."""

    text: str = field(repr=False)
    spare: bool
    """Whether it may be left out."""


Split: TypeAlias = Callable[[str], Iterable[str]]
"""A line of prose in parts that make the line when put together."""

Regions: TypeAlias = list[tuple[int, int]]
"""Beginnings and ends of parts of a text, in order."""


def pieces(text: str, split: Split | None = None) -> list[Piece]:
    """The text in pieces, in order: sentences, or what ``split`` makes of a line of prose."""
    split = split or _sentences
    found: list[Piece] = []
    end = 0
    for begin, stop in prose_regions(text):
        if begin > end:
            found.append(Piece(text=text[end:begin], spare=False))
        for line in text[begin:stop].splitlines(keepends=True):
            bare = line.rstrip("\r\n")
            found += [Piece(text=each, spare=not _holds(each)) for each in split(bare)]
            if len(bare) < len(line):
                found.append(Piece(text=line[len(bare) :], spare=False))
        end = stop
    if end < len(text):
        found.append(Piece(text=text[end:], spare=False))
    return found


def joined(parts: Sequence[Piece], *, dropped: Collection[int]) -> str:
    """The text without the pieces at those places; a line of which nothing is left goes whole."""
    kept: list[str] = []
    emptied = started = False
    for place, piece in enumerate(parts):
        if place in dropped:
            emptied = True
        elif piece.text.isspace() and piece.text[-1] in "\r\n":
            if started or not emptied:
                kept.append(piece.text)
                emptied = False
            started = False
        else:
            kept.append(piece.text)
            emptied, started = False, not piece.text.endswith("\n")
    return "".join(kept)


def prose_regions(text: str) -> Regions:
    """Where a text is prose: whole lines outside of code, JSON, tables and markup."""
    jsons = _json_regions(text)
    regions: Regions = []
    begin, fence = 0, ""
    for line in text.splitlines(keepends=True):
        end = begin + len(line)
        fence, fenced = _fence_after(fence, line)
        inside = any(start < end and begin < stop for start, stop in jsons)
        if not (fenced or inside or _is_no_prose(line)):
            if regions and regions[-1][1] == begin:
                regions[-1] = (regions[-1][0], end)
            else:
                regions.append((begin, end))
        begin = end
    return regions


def has_number(text: str) -> bool:
    """Whether there is a digit in it, of any script."""
    return _NUMBER.search(text) is not None


def has_negation(text: str) -> bool:
    """Whether a word in it turns its meaning round; in English, and the commonest of some others.

    >>> has_negation("It isn't."), has_negation("It is a knot.")
    (True, False)
    """
    return _NEGATION.search(text) is not None


def has_question(text: str) -> bool:
    """Whether something is asked in it."""
    return "?" in text or "\uff1f" in text


def _holds(sentence: str) -> bool:
    """Whether a sentence must stay."""
    return not sentence.strip() or bool(
        has_number(sentence)
        or has_negation(sentence)
        or _QUOTED.search(sentence)
        or _LABEL.search(sentence)
    )


def _is_no_prose(line: str) -> bool:
    bare = line.rstrip("\r\n")
    return any(form.search(bare) for form in (_INDENTED, _TABLE, _MARKUP, _CODE))


def _fence_after(fence: str, line: str) -> tuple[str, bool]:
    """The fence that is open behind a line, and whether the line belongs to a fenced block."""
    found = _FENCE.match(line)
    if not fence:
        return (found["fence"], True) if found else ("", False)
    closes = found and found["fence"].startswith(fence) and not line.strip().strip(fence[0])
    return ("", True) if closes else (fence, True)


def _json_regions(text: str) -> Regions:
    """Where JSON stands that can be read; from where there are too many brackets, all of a text."""
    decoder = json.JSONDecoder()
    regions: Regions = []
    place = tries = 0
    while (opening := _BRACKET.search(text, place)) is not None:
        tries += 1
        if tries > _MOST_JSON_TRIES:
            return [*regions, (opening.start(), len(text))]
        try:
            _, place = decoder.raw_decode(text, opening.start())
            regions.append((opening.start(), place))
        except (ValueError, RecursionError):
            place = opening.end()
    return regions


def _sentences(prose: str) -> Iterator[str]:
    """Sentences, each with the space behind it."""
    begin = 0
    for end in _SENTENCE_END.finditer(prose):
        if _ABBREVIATION.search(prose, max(begin, end.end() - 12), end.end()):
            continue
        yield prose[begin : end.end()]
        begin = end.end()
    if begin < len(prose):
        yield prose[begin:]

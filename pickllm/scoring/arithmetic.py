"""The sums that stand in an answer, worked out again: a model that cannot add shows it.

>>> checked_sums("3 * 4 = 12, and 12/5 = 2.5").counts
(1, 1)
"""

import re
from dataclasses import dataclass

__all__ = ["Sums", "checked_sums", "number_of"]

_SUM = re.compile(
    r"(?<![\d.)/*+-])(?P<terms>\(?-?\d[\d,.]*\)?(?:\s*[-+*/x]\s*\(?-?\d[\d,.]*\)?)+)"
    r"\s*=\s*(?P<said>-?\d[\d,]*(?:\.\d+)?)"
)
_TERM = re.compile(r"\d[\d,]*(?:\.\d+)?|[-+*/x()]")
_PLAIN = {ord("$"): None, 0x00D7: "*", 0x00F7: "/"}
_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """What came of working them out."""

    counts: tuple[int, int] = (0, 0)
    """How many are right, and how many are wrong by more than one per cent."""
    last: float | None = None
    """What the last one is said to come to."""


def checked_sums(text: str) -> Sums:
    """Work out what stands before each sign of equality, as far as it is plain numbers."""
    right = wrong = 0
    last: float | None = None
    for match in _SUM.finditer(text.translate(_PLAIN)):
        worth, last = _worth(_TERM.findall(match["terms"])), number_of(match["said"])
        if worth is not None and last is not None:
            fits = abs(worth - last) <= _TOLERANCE * max(1.0, abs(last))
            right, wrong = right + fits, wrong + (not fits)
    return Sums(counts=(right, wrong), last=last)


def number_of(text: str) -> float | None:
    """A number as it is written, commas between thousands aside; None where it is none."""
    try:
        found = float(text.replace(",", ""))
    except ValueError:
        return None
    return found if abs(found) < 1e15 else None


def _worth(terms: list[str]) -> float | None:
    """What a sum comes to, times and divided before plus and minus; None for what is none."""
    worth, rest = _added(terms, 0)
    return worth if rest == len(terms) else None


def _added(terms: list[str], at: int) -> tuple[float | None, int]:
    total, at = _multiplied(terms, at)
    while total is not None and at < len(terms) and terms[at] in "+-":
        other, after = _multiplied(terms, at + 1)
        if other is None:
            return None, at
        total, at = (total + other if terms[at] == "+" else total - other), after
    return total, at


def _multiplied(terms: list[str], at: int) -> tuple[float | None, int]:
    total, at = _single(terms, at)
    while total is not None and at < len(terms) and terms[at] in "*x/":
        other, after = _single(terms, at + 1)
        divides = terms[at] == "/"
        if other is None or (divides and other == 0.0):
            return None, at
        total, at = (total / other if divides else total * other), after
    return total, at


def _single(terms: list[str], at: int) -> tuple[float | None, int]:
    if at < len(terms) and terms[at] == "-":
        worth, after = _single(terms, at + 1)
        return (None if worth is None else -worth), after
    if at < len(terms) and terms[at] == "(":
        worth, after = _added(terms, at + 1)
        closed = after < len(terms) and terms[after] == ")"
        return (worth, after + 1) if closed else (None, at)
    if at < len(terms) and terms[at][0].isdigit():
        return number_of(terms[at]), at + 1
    return None, at

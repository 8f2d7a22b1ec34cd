"""Which capitals of a text say something, and which only begin a sentence or a name.

A capital at the beginning of a longer word says nothing: people write France and france. All others
stay as they are written: words in capitals (US, NO), capitals inside of a word (kWh, iOS), short
words that may be units, symbols or types (Gb, Pb, Int), letters that stand alone, function words in
the middle of a sentence (the band is The Who), words with digits (V1), and the listed ones that
another word hides behind (Polish, May).

A text that is written in capitals throughout has lost all of that. It is read in small letters
unless one of its words could have been two.

>>> plain_letters("How much is 1 Gb in France ?".split(), literal=False)
['how', 'much', 'is', '1', 'Gb', 'in', 'france', '?']
>>> plain_letters("IS IT OPEN IN TURKEY ?".split(), literal=False) is None
True
"""

from collections.abc import Sequence

from pickllm.cache.words import (
    AFTER_A_NUMERAL,
    CASED,
    CLOSED,
    ENGLISH,
    FRAMES,
    GREETINGS,
    REQUESTS,
    SHOUTED,
)

__all__ = ["plain_letters"]

_SHORT = 3
_FRAMED = frozenset(word for frame in (*FRAMES, *GREETINGS) for word in frame)
_OPENING = _FRAMED | {"can", "could", "would", "will", "please", "kindly", "i'd", "i'm", ",", "!"}
_BEGINS = CLOSED | ENGLISH | REQUESTS | _FRAMED | {"kindly", "thanks"}


def plain_letters(written: Sequence[str], *, literal: bool) -> list[str] | None:
    """The words in small letters wherever capitals say nothing; None where nobody can tell.

    ``literal``: whether words are spoken of, so that all capitals after the beginning stay.
    """
    letters = [each for each in written if each[0].isalpha()]
    if letters and all(each.isupper() for each in letters) and len(letters) > 1:
        doubtful = literal or any(map(_is_doubtful, written, ("", *written)))
        return None if doubtful else [each.lower() for each in written]
    words = []
    opening = True
    for place, token in enumerate(written):
        follows = written[place + 1] if place + 1 < len(written) else ""
        after_mark = place > 0 and written[place - 1] in ".!?" and follows not in ("", *".!?")
        begins = opening or after_mark
        says = _says_something(token, follows, begins=begins, literal=literal)
        words.append(token if says else token.lower())
        opening = opening and token.lower() in _OPENING
    return words


def _is_doubtful(token: str, before: str) -> bool:
    """Whether a word in a text of capitals could be two."""
    small = token.lower()
    if small in CASED or (before and small in SHOUTED):
        return True
    return token.isalpha() and (
        (len(token) < _SHORT and small not in CLOSED) or (before[-1:].isdigit() and len(token) < 5)
    )


def _says_something(token: str, follows: str, *, begins: bool, literal: bool) -> bool:
    """Whether the capitals of a word, if it has any, make another word of it."""
    stem, small = token.split("'", maxsplit=1)[0], token.lower()
    if token == small:
        return False
    if stem == "I":
        return not begins and (not follows[:1].isalpha() or follows in AFTER_A_NUMERAL)
    if begins and stem == "OK":
        return False
    if not stem.istitle() or any(each.isdigit() for each in stem):
        return True
    known = stem.lower() in _BEGINS
    if begins and known:
        return False
    short = len(stem) <= _SHORT or known or stem.lower() in CASED
    return short or (literal and not begins)

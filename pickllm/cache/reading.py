"""A question as it is compared: what it asks, in order, without how it is put.

    "Hi! Could you tell me what the capital of France is, please?"  ──►  capital of france
    "what's the Capital of France"                                  ──►  capital of france
    "capital of Germany?"                                           ──►  capital of Germany

Taken off are greetings and politeness, articles, short forms, capitals at the beginning of longer
words, the mark at the end, and the turning round of "is" in a question. Everything else stays, in
its place: numbers, names, "not", "before", who does what to whom. What says the same by other
words reads otherwise.

Each of these is taken off only where it says nothing. An "a" may be a label (hepatitis A), "please"
the word that is asked for, "!" a factorial; capitals make units (Gb, GB), symbols, names and words
(US, Polish) of small letters. Where that is in doubt they stay, and where words themselves are
spoken of ("how do you say …"), all of them do.

English alone is read so, and prose alone. Any other text (code, other languages, several lines)
reads as itself, so nothing but the same text reads the same.

>>> read("Could you please tell me how I can sort a list in Python?").words
('how', 'to', 'sort', 'list', 'in', 'python')
>>> read("In Python, how do I sort a list?") == read("how to sort a list in python")
True
>>> read("Is a dog bigger than a cat?") == read("Is a cat bigger than a dog?")
False
>>> read("How many GB are in 800 Gb?") == read("How many Gb are in 800 GB?")
False
"""

import re
import unicodedata
from dataclasses import dataclass, field

from pickllm.cache.exact import settled
from pickllm.cache.letters import plain_letters
from pickllm.cache.words import (
    ASKS,
    ASKS_AFTER_A_MARK,
    BARE,
    BEFORE_BARE,
    CLOSED,
    CONTRACTIONS,
    ENGLISH,
    FRAMES,
    GREETINGS,
    LABELLED,
    MARKED,
    MENTIONS,
    REQUESTS,
)

__all__ = ["Reading", "read"]

_NO_PROSE = re.compile(r"[\n{}<>\[\]=\\|~^_#@&*/+\"`\u201c\u201d\u00ab\u00bb]|(?<!\w)-+[A-Za-z]")
_TOKEN = re.compile(
    r"[-\u2212]?[$€£¥]?\d+(?:[.,:]\d+)*(?:%|(?:st|nd|rd|th)\b)?|\w+(?:['-]\w+)*|[^\w\s]"
)
_LONGEST = 2_000
_END = frozenset(".!?…")
_ASKING = ("what", "who", "where", "why", "when", "which", "how")
_FRONTED = frozenset({"in", "for", "on", "at", "with", "using", "during"})
_BE = {"is": "is", "are": "is", "was": "was", "were": "was"}
_ARTICLES = frozenset({"a", "an", "the"})
_AFTER_A = frozenset({"few", "little", "lot", "number", "bit", "couple"})
_BEFORE_A_SUBJECT = frozenset(_ASKING) | frozenset(
    ["is?", "was?", "is", "was", "do", "does", "did", "can", "could", "should", "would", "will"]
)
_AFTER_THE = frozenset({"first", "last", "next", "previous", "most", "least", "only"})
_POLITE = (("please",), ("thanks",), ("thank", "you"))
_COURTEOUS = (["please"], ["kindly"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a question says; two that are equal ask the same."""

    words: tuple[str, ...] = field(repr=False)
    prose: bool = False
    """Whether it was understood: English, and no code."""
    names: frozenset[str] = field(default=frozenset(), repr=False)
    """Words that are written with a capital inside of it. They tell two readings apart only where
    those differ anyway, so they are left out of a comparison."""

    def __eq__(self, other: object) -> bool:
        """Equal words, however they are written."""
        if not isinstance(other, Reading):
            return NotImplemented
        return (self.words, self.prose) == (other.words, other.prose)

    def __hash__(self) -> int:
        """By the words."""
        return hash((self.words, self.prose))


def read(text: str) -> Reading:
    """What a text asks."""
    plain = settled(text).replace("\u2019", "'").replace("\u2018", "'")
    if len(plain) > _LONGEST or _NO_PROSE.search(plain) or not _is_latin(plain):
        return Reading(words=(plain,))
    written = _TOKEN.findall(plain)
    small = [each.lower() for each in written]
    literal = not MENTIONS.isdisjoint(small)
    words = plain_letters(written, literal=literal)
    if words is None or (literal and ":" in written):
        return Reading(words=(plain,))
    words = _expanded(words, literal=literal)
    if not ENGLISH.intersection(words):
        return Reading(words=(plain,))
    names = frozenset(
        each.lower() for each in written[1:] if each[0].isupper() and each not in ("I", "I'm")
    )
    said = tuple(_asked(_unframed(words, literal=literal), literal=literal))
    return Reading(words=said or (plain,), prose=bool(said), names=names)


def _is_latin(text: str) -> bool:
    """Letters without accents, as English has them: others belong to languages not read here."""
    return all(each.isascii() or not unicodedata.category(each).startswith("L") for each in text)


def _expanded(words: list[str], *, literal: bool) -> list[str]:
    """Short forms written out; where words are spoken of, in the first word alone."""
    return [
        part
        for place, word in enumerate(words)
        for part in (CONTRACTIONS.get(word, word).split() if place == 0 or not literal else (word,))
    ]


def _unframed(words: list[str], *, literal: bool) -> list[str]:
    """Without greetings and politeness, at the beginning and at the end."""
    left = _unmarked(words)
    while True:
        before, left = left, _begun(left, literal=literal)
        if not literal:
            left = _unmarked(_unthanked(left))
        if left == before:
            return left


def _begun(words: list[str], *, literal: bool) -> list[str]:
    """Without one courtesy at the beginning, where a question follows it."""
    left = words
    if left[:1] in _COURTEOUS:
        left = _if_begins(left[1:]) or left
    for frame in FRAMES if literal else (*GREETINGS, *FRAMES):
        if tuple(left[: len(frame)]) == frame:
            rest = left[len(frame) :]
            left = (_if_begins(rest) if frame in GREETINGS else rest) or left
    if len(left) > 3 and left[0] in ("can", "could", "would", "will") and left[1] == "you":
        left = left[2:] if left[2] in REQUESTS else left
    return left


def _if_begins(words: list[str]) -> list[str]:
    """What follows a greeting and its marks, if a question can begin so; else nothing.

    "Hello is a word in which language?" greets nobody, nor does "Hey, Jude is by whom?".
    """
    marks = next((at for at, each in enumerate(words) if each not in {",", *_END}), len(words))
    begins = words[marks : marks + 1]
    asks = ASKS_AFTER_A_MARK if marks else ASKS
    return words[marks:] if asks.intersection(begins) else []


def _unthanked(words: list[str]) -> list[str]:
    """Without thanks at the end.

    Where no mark stands before it, only "please" is taken off, and only after a word of some
    weight: else it may be the word that is asked for.
    """
    for polite in _POLITE:
        left = words[: -len(polite)]
        if tuple(each.lower() for each in words[-len(polite) :]) != polite or not left:
            continue
        apart = left[-1] in {",", *_END}
        after = len(left) > 3 and left[-1].isalpha() and left[-1] not in CLOSED
        if apart or (after and words[-1] == "please"):
            return left
    return words


def _unmarked(words: list[str]) -> list[str]:
    """Without the marks at the end, but for what may be a factorial, or belongs to a sign."""
    end = len(words)
    while end > 1 and words[end - 1] in {",", *_END}:
        end -= 1
    last = words[end - 1] if words else ""
    if last in MARKED and words[end:] != ["?"]:
        return words
    counted = last[-1:].isdigit() or last[-1:] in ")%" or len(last) == 1
    return words[:end] + [mark for mark in words[end:] if counted and mark == "!"]


def _asked(words: list[str], *, literal: bool) -> list[str]:
    """The question in one of the ways in which it can be put."""
    words = _unfronted(words)
    begins = words[0] if words else ""
    bes = [_BE[word] for word in words if word in _BE]
    said = [word for word in words if word not in _BE]
    if begins in _BE:
        said = [f"{_BE[begins]}?", *said]  # yes or no
        bes.remove(_BE[begins])
    if (
        begins == "what"
        and len(words) > 2
        and (words[1] in _BE or words[-1] in _BE)
        and bes == ["is"]
    ):
        said, bes = said[1:], []  # "what is X", "what X is" and "X" ask the same
    if said[:1] and said[0] in _ASKING and said[1:2] in (["do"], ["does"]) and len(said) > 3:
        said = [said[0], *said[2:]] if said[0] != "how" else said
    said = _how_to(said)
    return _there_and_back(said if literal else _without_articles(said)) + bes


def _how_to(said: list[str]) -> list[str]:
    """How do I, how can I, how I can, how to."""
    if said[:1] != ["how"] or len(said) < 4:
        return said
    pair = set(said[1:3])
    if pair & {"i", "we", "one"} and pair & {"do", "can", "could", "would"}:
        return ["how", "to", *said[3:]]
    if said[1] in ("do", "does"):
        return [said[0], *said[2:]]
    return said


def _without_articles(said: list[str]) -> list[str]:
    return [word for at, word in enumerate(said) if not _is_idle_article(said, at)]


def _is_idle_article(said: list[str], at: int) -> bool:
    """Whether an article says nothing: no label, no mention, and more follows than one last word.

    "What is the time?" and "What is time?" ask different things, and so do two vitamins. That of
    a subject stays ("the sun" is one, "a sun" any), but in "the capital of France".
    """
    word, follows, before = said[at], said[at + 1 : at + 3], said[at - 1] if at else ""
    if word not in _ARTICLES or len(follows) < 2 or not follows[0][0].isalnum():
        return False
    if at == 0 or before in _BEFORE_A_SUBJECT:
        return word == "the" and not {"of", "between"}.isdisjoint(said[at + 2 : at + 4])
    if word == "the":
        if before in BEFORE_BARE and follows[0] in BARE:
            return False
        return follows[0] not in CLOSED - _AFTER_THE and follows[0] not in _AFTER_A
    labels = before in LABELLED or (before not in CLOSED and follows[0].endswith("ed"))
    return not labels and follows[0] not in CLOSED and follows[0] not in _AFTER_A


def _unfronted(words: list[str]) -> list[str]:
    """A beginning with "In Python," goes to the end."""
    if words and words[0] in _FRONTED and "," in words[2:5]:
        comma = words.index(",")
        begins = words[1:comma]
        asks = words[comma + 1 : comma + 2]
        if not CLOSED.intersection(begins) - {"the", "a", "an"} and asks and asks[0] in _ASKING:
            return [*words[comma + 1 :], *words[:comma]]
    return words


def _there_and_back(said: list[str]) -> list[str]:
    """From where stands before to where."""
    if said.count("to") != 1 or said.count("from") != 1:
        return said
    to, origin = said.index("to"), said.index("from")
    if not to < origin:
        return said
    end = next(
        (
            at
            for at in range(origin + 1, len(said))
            if said[at] in CLOSED or not said[at][0].isalnum()
        ),
        len(said),
    )
    goal, start = said[to:origin], said[origin:end]
    if not 1 < len(goal) < 4 or not 1 < len(start) < 4 or CLOSED.intersection(goal[1:]):
        return said
    return [*said[:to], *start, *goal, *said[end:]]

"""A question as it is compared: what it asks, in order, without how it is put.

    "Hi! Could you tell me what the capital of France is, please?"  ──►  capital of france
    "what's the Capital of France"                                  ──►  capital of france
    "capital of Germany?"                                           ──►  capital of Germany

Taken off are greetings and politeness, articles, short forms, capitals, the mark at the end, and
the turning round of "is" in a question. Everything else stays, in its place: numbers, names,
"not", "before", who does what to whom. What says the same by other words reads otherwise.

English alone is read so, and prose alone. Any other text (code, other languages, several lines)
reads as itself, so nothing but the same text reads the same.

>>> read("Could you please tell me how I can sort a list in Python?").words
('how', 'to', 'sort', 'list', 'in', 'python')
>>> read("In Python, how do I sort a list?") == read("how to sort a list in python")
True
>>> read("Is a dog bigger than a cat?") == read("Is a cat bigger than a dog?")
False
"""

import re
import unicodedata
from dataclasses import dataclass, field

from pickllm.cache.exact import settled
from pickllm.cache.words import CASED, CLOSED, CONTRACTIONS, ENGLISH, FRAMES, REQUESTS, SHOUTED

__all__ = ["Reading", "read"]

_NO_PROSE = re.compile(r"[\n{}<>\[\]=\\|~^_#@&*/+\"`\u201c\u201d\u00ab\u00bb]|(?<!\w)-+[A-Za-z]")
_TOKEN = re.compile(r"[-\u2212]?[$€£¥]?\d+(?:[.,:]\d+)*%?|\w+(?:['-]\w+)*|[^\w\s]")
_LONGEST = 2_000
_END = frozenset(".!?…")
_ASKING = ("what", "who", "where", "why", "when", "which", "how")
_FRONTED = frozenset({"in", "for", "on", "at", "with", "using", "during"})
_BE = {"is": "is", "are": "is", "was": "was", "were": "was"}
_DROPPED = frozenset({"a", "an", "the", "please", "kindly"})
_AFTER_A = frozenset({"few", "little", "lot", "number", "bit", "couple"})


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
    while written and written[-1] in _END:
        written.pop()
    words = _expanded(written)
    if not ENGLISH.intersection(words):
        return Reading(words=(plain,))
    names = frozenset(
        each.lower() for each in written[1:] if each[0].isupper() and each not in ("I", "I'm")
    )
    said = tuple(_asked(_unframed(words)))
    return Reading(words=said or (plain,), prose=bool(said), names=names)


def _is_latin(text: str) -> bool:
    """Letters without accents, as English has them: others belong to languages not read here."""
    return all(each.isascii() or not unicodedata.category(each).startswith("L") for each in text)


def _expanded(written: list[str]) -> list[str]:
    """Short forms written out; small letters, but where a capital makes another word."""
    shouted = all(each.isupper() for each in written if each.isalpha())
    words: list[str] = []
    for place, token in enumerate(written):
        small = token.lower()
        capital = place > 0 and token[0].isupper() and small in CASED
        capitals = len(token) > 1 and token.isupper() and small in CASED | SHOUTED
        if (capital or capitals) and not shouted:
            words.append(token)
        else:
            words.extend(CONTRACTIONS.get(small, small).split())
    return words


def _unframed(words: list[str]) -> list[str]:
    """Without greetings and politeness, at the beginning and at the end."""
    while True:
        left = words
        if left[:1] in ([","], ["please"], ["kindly"]) or left[:1] in ([each] for each in _END):
            left = left[1:]
        for frame in FRAMES:
            if tuple(left[: len(frame)]) == frame and len(left) > len(frame):
                left = left[len(frame) :]
        if len(left) > 3 and left[0] in ("can", "could", "would", "will") and left[1] == "you":
            left = left[2:] if left[2] in REQUESTS else left
        for polite in (["please"], ["thanks"], ["thank", "you"]):
            if left[-len(polite) :] == polite and len(left) > len(polite):
                left = left[: -len(polite)]
        while left and left[-1] in {",", *_END} and len(left) > 1:
            left = left[:-1]
        if left == words:
            return left
        words = left


def _asked(words: list[str]) -> list[str]:
    """The question in one of the ways in which it can be put."""
    words = _unfronted(words)
    begins = words[0] if words else ""
    bes = sorted(_BE[word] for word in words if word in _BE)
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
    return _there_and_back(_without_articles(_how_to(said))) + bes


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
    return [
        word
        for at, word in enumerate(said)
        if word not in _DROPPED or (word in ("a", "the") and set(said[at + 1 : at + 2]) & _AFTER_A)
    ]


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

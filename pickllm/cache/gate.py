"""Whether two questions can ask the same: the gate before any similarity.

    same      they read alike, word for word: an answer to one answers the other
    near      they differ in everyday words alone: `acceptance` decides, once it has learnt to
    differs   in a number, a name, a negation, a preposition, the order of words, in opposites

Similarity of vectors cannot tell a question from its opposite: "How do I enable it?" and "How do I
disable it?" are as near as two sentences get. What is told apart here no similarity can bring back.

>>> from pickllm.cache.reading import read
>>> compare(read("What's the capital of France?"), read("tell me the capital of france")).same
True
>>> compare(read("How do I enable the log?"), read("How do I disable the log?")).reason
'"disable" and "enable" are opposites'
>>> compare(read("Why do stray cats purr?"), read("Why do cats purr?")).kind
'added'
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations, takewhile

from pickllm.cache.finding import Kind
from pickllm.cache.reading import Reading
from pickllm.cache.words import CLOSED, CONTRACTIONS, LISTED, OPPOSITES, PREFIXES

__all__ = ["Likeness", "compare"]

_DIGIT = re.compile(r"\d")
_MOST_CHANGED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How two questions stand to each other."""

    kind: Kind = ""
    """How near they are; "exact" is not told apart from "same"."""
    reason: str = field(default="", repr=False)
    """Why they differ; it may quote a word."""

    @property
    def same(self) -> bool:
        """Whether they read alike."""
        return self.kind == "same"

    @property
    def near(self) -> bool:
        """Whether they differ in everyday words alone."""
        return self.kind in ("added", "replaced")


def compare(one: Reading, other: Reading) -> Likeness:
    """How two questions stand to each other; the order of the two means nothing."""
    if one == other:
        return Likeness(kind="same")
    if not (one.prose and other.prose):
        return Likeness(reason="not both are English prose")
    only_one, only_other = _left(one.words, other.words), _left(other.words, one.words)
    reason = (
        ("they begin otherwise" if one.words[0] != other.words[0] else "")
        or _unlike_words(only_one | only_other, one.names | other.names)
        or _opposed(one.words, other.words)
        or _reordered(one.words, other.words)
    )
    if reason:
        return Likeness(reason=reason)
    if max(only_one.total(), only_other.total()) > _MOST_CHANGED:
        return Likeness(reason="too many words are others")
    return Likeness(kind="replaced" if only_one and only_other else "added")


def _left(words: tuple[str, ...], others: tuple[str, ...]) -> Counter[str]:
    return Counter(words) - Counter(others)


def _unlike_words(changed: Counter[str], names: frozenset[str]) -> str:
    """Whether a word that only one of them has is more than an everyday one."""
    for word in changed:
        if _DIGIT.search(word):
            return f"the number {word!r} stands in one alone"
        if word in names or not word.islower():
            return f"the name {word!r} stands in one alone"
        if word.rstrip("?") in CLOSED or word in CONTRACTIONS or not word[0].isalnum():
            return f"{word!r} stands in one alone"
        if any(word.removesuffix("'s") in kind for kind in LISTED):
            return f"{word!r} stands in one alone"
    return ""


def _opposed(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Whether a word of one has its opposite in the other, or its like but for the beginning."""
    changed = sorted(set(one) ^ set(other))
    for word, each in permutations(changed, 2):
        if each in OPPOSITES.get(word, ()) or _root(each) in _ROOTS.get(_root(word), ()):
            return f'"{word}" and "{each}" are opposites'
        if any(each == prefix + word for prefix in PREFIXES) or each == f"{word}less":
            return f'"{word}" and "{each}" are opposites'
        if _same_ending(word, each) >= max(3, len(word) / 2):
            return f'"{word}" and "{each}" may be opposites'
    return ""


def _root(word: str) -> str:
    """Without the ending of a verb or a plural; often no word, but the same for all forms."""
    return next(
        (word.removesuffix(end) for end in ("ing", "ed", "es", "s", "e") if word.endswith(end)),
        word,
    )


_ROOTS = {_root(word): {_root(each) for each in others} for word, others in OPPOSITES.items()}


def _same_ending(word: str, other: str) -> int:
    """How many letters at the end the two share."""
    pairs = zip(reversed(word), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _reordered(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    common = set(one) & set(other)
    if [word for word in one if word in common] != [word for word in other if word in common]:
        return "their words stand in another order"
    return ""

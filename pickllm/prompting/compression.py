r"""Prompt compression: of long messages, the sentences that matter. Whole sentences, never words.

    Compressed           the adaptation: which messages, and what in them is the question
    Extractive           a compressor without weights: sentences by salience, below
    LLMLingua2           one with weights, for the same seam: llmlingua.py

    salience(s) = (1 - q) * centrality(s) / max centrality  +  q * overlap(s) / max overlap
    centrality  = mean cosine of a sentence's tf-idf to those of all others
    overlap     = BM25 of a sentence for the question; 0 for a word that stands everywhere
    salience    = 0 for a sentence that was there before

The most salient sentences stay, in their order, until ``rate`` of the tokens of those that may go
is reached. Not touched at all are system messages, tools' results, messages that are more than
text, and within a text: code, JSON, tables and markup, sentences with numbers or negations,
questions, headings, the first line and the last ones of the message that holds the question
(`pickllm.prompting.passages`).

Sources: Erkan and Radev, LexRank (2004), arXiv 1109.2128, for centrality; Jiang et al.,
LongLLMLingua (2023), arXiv 2310.06839, for the question's part in it; Robertson and Zaragoza, The
Probabilistic Relevance Framework: BM25 and Beyond (2009), for how that is counted.

>>> text = "The Nile flows north. Bread is baked from flour. Most of the Nile's water is rain."
>>> Extractive(rate=0.7).compressed(text, "Where does the water of the Nile come from?")
"The Nile flows north. Most of the Nile's water is rain."
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pickllm.errors import ConfigError
from pickllm.numeric import check_counts
from pickllm.prompting.conversation import CountTokens, about_tokens, question_place
from pickllm.prompting.passages import Piece, has_question, joined, pieces
from pickllm.types import Arm, Request, Role, Said

__all__ = ["Compressed", "Compressor", "Extractive", "question_in"]

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+")
_K1, _B = 1.2, 0.75
"""Of BM25: how soon a word was said often enough, and how much long sentences are held back."""
_LAST_LINES = 3
_ROLES: frozenset[Role] = frozenset({"user", "assistant"})
_STEM = 6
"""Letters of a word that tell it from others: "north" and "northern" differ, "flows" and "flow" do,
"describes" and "described" do not."""


class Compressor(Protocol):
    """Makes a text shorter. What is no prose must come out as it went in."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""

    def compressed(self, text: str, question: str) -> str:
        """The text, shorter, for a reader who has that question; the same where nothing can go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extractive:
    """A `Compressor` without weights: keeps sentences by salience. Some ms for a page."""

    rate: float = 0.5
    """Share of the tokens that stays of what may go, in (0, 1); what must stay comes on top."""
    question_weight: float = 0.7
    """In [0, 1]: how much nearness to the question counts, over nearness to the rest."""
    count_tokens: CountTokens = field(default=about_tokens, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0 or not 0.0 <= self.question_weight <= 1.0:
            raise ConfigError("rate must lie between 0 and 1, question_weight from 0 to 1")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"extractive(rate={self.rate}, question_weight={self.question_weight})"

    def compressed(self, text: str, question: str) -> str:
        """The text without its least salient sentences."""
        parts = pieces(text)
        spare = [place for place, piece in enumerate(parts) if piece.spare]
        lengths = [self.count_tokens(piece.text) for piece in parts]
        left = self.rate * sum(lengths[place] for place in spare)
        saliences = self._saliences([parts[place] for place in spare], question)
        dropped = set(spare)
        ranked = sorted(zip(spare, saliences, strict=True), key=lambda each: -each[1])
        for rank, (place, _) in enumerate(ranked):
            if lengths[place] <= left or not rank:  # the most salient always stays
                dropped.remove(place)
                left -= lengths[place]
        return joined(parts, dropped=dropped)

    def _saliences(self, sentences: Sequence[Piece], question: str) -> list[float]:
        if not sentences:
            return []
        counts = [_words(piece.text) for piece in sentences]
        overlap = _scaled(_bm25(counts, _words(question)))
        central = _scaled(_centrality(counts))
        weight = self.question_weight if any(overlap) else 0.0
        seen: set[tuple[tuple[str, int], ...]] = set()
        saliences = []
        for count, near, mid in zip(counts, overlap, central, strict=True):
            words = tuple(count.items())  # in their order: "Ann beat Bob" is not "Bob beat Ann"
            saliences.append(0.0 if words in seen else weight * near + (1.0 - weight) * mid)
            seen.add(words)
        return saliences


@dataclass(frozen=True, kw_only=True, slots=True)
class Compressed:
    """An `Adaptation`: long messages of prose are made shorter."""

    compressor: Compressor = field(default_factory=Extractive)
    roles: Collection[Role] = frozenset({"user"})
    """Whose messages: "user", "assistant" or both. Documents that are put into a prompt are most
    often in the user's."""
    least_tokens: int = 200
    """Shorter messages stay as they are."""
    count_tokens: CountTokens = field(default=about_tokens, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.compressor, type) or not hasattr(self.compressor, "compressed"):
            raise ConfigError(
                "compressor must be one, such as Extractive(); it is of type "
                f"{type(self.compressor).__name__}"
            )
        check_counts(least_tokens=self.least_tokens)
        if isinstance(self.roles, str):
            raise ConfigError(f"roles is a collection, such as {{{self.roles!r}}}")
        if not self.roles or not set(self.roles) <= _ROLES:
            raise ConfigError("roles may be 'user' and 'assistant': system and tools stay whole")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        roles = "+".join(sorted(self.roles))
        return f"compressed({self.compressor.name}, {roles}, least_tokens={self.least_tokens})"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation with its long messages made shorter."""
        turns = request.turns
        last = question_place(turns)
        if last is None:
            return turns
        question = question_in(turns[last].text)
        after = [
            replace(said, text=self._shorter(said.text, question, asks=place == last))
            if self._is_long(said)
            else said
            for place, said in enumerate(turns)
        ]
        return turns if after == list(turns) else after

    def _is_long(self, said: Said) -> bool:
        return (
            said.plain
            and said.role in self.roles
            and self.count_tokens(said.text) >= self.least_tokens
        )

    def _shorter(self, text: str, question: str, *, asks: bool) -> str:
        """A message made shorter; the frame of one that asks stays."""
        head, body, foot = _framed(text) if asks else ("", text, "")
        shorter = head + self.compressor.compressed(body, question) + foot
        return shorter if self.count_tokens(shorter) < self.count_tokens(text) else text


def question_in(text: str) -> str:
    r"""What a message asks: its lines with a question mark, else its last lines.

    >>> question_in("Context: a lot.\nWho wrote it?\nAnswer:")
    'Who wrote it?'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    asking = [line for line in lines if has_question(line)]
    return " ".join(asking[-_LAST_LINES:] or lines[-_LAST_LINES:])


def _framed(text: str) -> tuple[str, str, str]:
    """First line, what may be compressed, and the last lines; of a lone line, its sentences."""
    lines = text.splitlines(keepends=True)
    if len([line for line in lines if line.strip()]) <= _LAST_LINES + 1:
        lines = [piece.text for piece in pieces(text)]
        last = 1
    else:
        last = _LAST_LINES
    full = [place for place, line in enumerate(lines) if line.strip()]
    if len(full) <= last + 1:
        return text, "", ""
    begin, end = full[0] + 1, full[-last]
    return "".join(lines[:begin]), "".join(lines[begin:end]), "".join(lines[end:])


def _words(text: str) -> Counter[str]:
    """Beginnings of words, with how often they stand there."""
    return Counter(word[:_STEM] for word in _WORD.findall(text.casefold()))


def _rarities(counts: Sequence[Counter[str]]) -> dict[str, float]:
    """Words to ln((n + 1) / (sentences with the word + 1)), short ones less: they are in any text.

    0 for a word that is everywhere.
    """
    word_to_texts = Counter(word for count in counts for word in count)
    return {
        word: len(word) / _STEM * math.log((len(counts) + 1) / (n + 1))
        for word, n in word_to_texts.items()
    }


def _bm25(counts: Sequence[Counter[str]], question: Counter[str]) -> list[float]:
    """How much of the question is in each sentence, ``[sentences]``."""
    rarities = _rarities(counts)
    mean = sum(count.total() for count in counts) / len(counts) or 1.0
    return [
        sum(
            rarities[word]
            * count[word]
            * (_K1 + 1.0)
            / (count[word] + _K1 * (1.0 - _B + _B * count.total() / mean))
            for word in question
            if word in count
        )
        for count in counts
    ]


def _centrality(counts: Sequence[Counter[str]]) -> list[float]:
    """Cosine of each sentence's tf-idf to the sum of all, ``[sentences]``."""
    rarities = _rarities(counts)
    rows = []
    together: Counter[str] = Counter()
    for count in counts:
        row = {word: math.sqrt(times) * rarities[word] for word, times in count.items()}
        length = math.sqrt(sum(weight**2 for weight in row.values())) or 1.0
        rows.append({word: weight / length for word, weight in row.items()})
        together.update(rows[-1])
    return [sum(weight * together[word] for word, weight in row.items()) for row in rows]


def _scaled(values: Sequence[float]) -> list[float]:
    most = max(values)
    return [value / most if most > 0.0 else 0.0 for value in values]

r"""A conversation as the one text that a featurizer looks at: the last turn, and what it hangs on.

    user       Prove that there are infinitely many primes.      ┐
    assistant  Suppose there were finitely many …                │ left out
    user       Why?                                              │ too short to be told by itself
                                                                 ┘
    ──► "Prove that there are infinitely many primes.\n\nWhy?"

"Why?" and "shorter, please" are as hard as what they are about. So the user's turns before are put
in front, the newest first, until there are ``enough_words``. A last turn that is long enough stands
for itself: it is then the very text that rankers are fitted on. System messages say the same to
every arm, and answers are the arms' own; neither is read, but for the end of the last answer where
``answer_chars`` asks for it. A text that is too long keeps its beginning and its end, for a
question often stands at the end.

>>> turns = [
...     Said(role="user", text="Prove that there are infinitely many primes."),
...     Said(role="assistant", text="Suppose there were finitely many."),
...     Said(role="user", text="Why?"),
... ]
>>> Conversation().text(turns)
'Prove that there are infinitely many primes.\n\nWhy?'
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.features.combined import featurizer_name
from pickllm.numeric import checked_vector
from pickllm.protocols import Featurizer
from pickllm.types import Request, Said, Vector

__all__ = ["Conversation", "ConversationFeatures", "features_of"]

_GAP = "\n…\n"
_BETWEEN = "\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """How much of a conversation is read."""

    enough_words: int = 12
    """A last turn with fewer words is read with the user's turns before it; 0 reads it alone."""
    earlier_turns: int = 3
    """At most so many of those, at least 0."""
    answer_chars: int = 0
    """The end of the last answer, so much of it, where the last turn is short; 0 for none."""
    most_chars: int = 8_000
    """Of a longer text half the beginning and half the end, at least 16."""

    def __post_init__(self) -> None:
        if min(self.enough_words, self.earlier_turns, self.answer_chars) < 0:
            raise ConfigError("enough_words, earlier_turns and answer_chars must be at least 0")
        if self.most_chars < 16:  # as the field says
            raise ConfigError(f"most_chars must be at least 16; it is {self.most_chars}")

    @property
    def name(self) -> str:
        """Its settings in one line."""
        answer = f" and {self.answer_chars} letters of the answer" if self.answer_chars else ""
        return f"conversation({self.enough_words} words of {self.earlier_turns} turns{answer})"

    def text_of(self, request: Request) -> str:
        """What is to be read of a request; its own text where it brings no turns."""
        return self.text(request.turns) or self.cut(request.text)

    def text(self, turns: Sequence[Said]) -> str:
        """What is to be read of a conversation; empty where the user said nothing."""
        places = [at for at, turn in enumerate(turns) if turn.role == "user" and turn.text.strip()]
        if not places:
            return ""
        *before, last = places
        kept = [turns[last].text]
        words = len(kept[0].split())
        if words < self.enough_words and self.answer_chars:
            kept[:0] = self._answer(turns[:last])
        for at in reversed(before[len(before) - min(self.earlier_turns, len(before)) :]):
            if words >= self.enough_words:
                break
            kept.insert(0, turns[at].text)
            words += len(turns[at].text.split())
        return self.cut(_BETWEEN.join(kept))

    def cut(self, text: str) -> str:
        """A text that is no longer than ``most_chars``."""
        if len(text) <= self.most_chars:
            return text
        kept = self.most_chars - len(_GAP)
        return text[: kept - kept // 2] + _GAP + text[len(text) - kept // 2 :]

    def _answer(self, turns: Sequence[Said]) -> list[str]:
        said = [turn.text for turn in turns if turn.role == "assistant" and turn.text.strip()]
        return [said[-1][-self.answer_chars :]] if said else []


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationFeatures:
    """Any featurizer, shown the conversation in place of the last message.

    Router(featurizer=ConversationFeatures(featurizer=HashedText()), …)
    """

    featurizer: Featurizer
    reads: Conversation = Conversation()

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.featurizer.dim

    @property
    def name(self) -> str:
        """The featurizer, and how much it is shown."""
        return f"{featurizer_name(self.featurizer)} of {self.reads.name}"

    @property
    def instant(self) -> bool:
        """Whether the featurizer is."""
        return bool(getattr(self.featurizer, "instant", False))

    def text_of(self, request: Request) -> str:
        """What the featurizer is shown."""
        return self.reads.text_of(request)

    def features(self, text: str) -> Vector:
        """The featurizer's own, ``[dim]`` float32."""
        return self.featurizer.features(text)


def features_of(featurizer: Featurizer, request: Request) -> Vector:
    """What a featurizer makes of a request: of its text, or of what it asks for.

    Raises:
        ConfigError: That is no vector of its ``dim`` finite numbers.
    """
    text_of = getattr(featurizer, "text_of", None)
    features = featurizer.features(request.text if text_of is None else text_of(request))
    return checked_vector(features, dim=featurizer.dim)

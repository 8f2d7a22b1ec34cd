"""Worked examples in a conversation: pairs of a question and the answer that it should get.

They stand right before the question that they are to help with, behind all that stays the same
from one request to the next: providers read what they have read before at a discount.

>>> turns = [Said(role="system", text="Add."), Said(role="user", text="2 + 2 =")]
>>> [said.text for said in with_examples(turns, [Example(question="1 + 1 =", answer="2")])]
['Add.', '1 + 1 =', '2', '2 + 2 =']
>>> marked = [Said(role="user", text="Example: 1 + 1 ="), Said(role="assistant", text="2")]
>>> pairs(marked + turns, marked="Example:")
[(0, 1)]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pickllm.prompting.conversation import question_place, text_digest
from pickllm.types import Said

__all__ = ["Example", "pairs", "with_examples"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A question and the answer that it should get."""

    question: str = field(repr=False)
    answer: str = field(repr=False)

    @property
    def key(self) -> str:
        """What it is known by."""
        return text_digest(self.question, self.answer)

    @property
    def turns(self) -> tuple[Said, Said]:
        """As it stands in a conversation."""
        return Said(role="user", text=self.question), Said(role="assistant", text=self.answer)


def with_examples(turns: Sequence[Said], examples: Sequence[Example]) -> list[Said]:
    """The conversation with examples before its last question; without one, at its end."""
    place = question_place(turns)
    at = len(turns) if place is None else place
    return [*turns[:at], *(said for each in examples for said in each.turns), *turns[at:]]


def pairs(turns: Sequence[Said], *, marked: str) -> list[tuple[int, int]]:
    """Places of the pairs before the last question whose user's message begins with the mark.

    Only such as are nothing but text, an answer right behind its question.
    """
    last = question_place(turns) or 0
    return [
        (place, place + 1)
        for place in range(last - 1)
        if turns[place].role == "user"
        and turns[place].text.lstrip().startswith(marked)
        and turns[place + 1].role == "assistant"
        and turns[place].plain
        and turns[place + 1].plain
    ]

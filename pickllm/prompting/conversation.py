"""What every adaptation knows of a conversation: its question, its exchanges, its length.

    system    ┐ head: kept by all
    user      ┐
    assistant │ an exchange: from what a user says to where a user speaks again.
    tool      │ An assistant's message and the tools' results that follow it are one round;
    assistant ┘ they stay together or go together.
    user      ┐ the last exchange; its first message holds the question
    assistant ┘ (a tool loop may be under way)

>>> turns = [Said(role="system", text="Be brief."), Said(role="user", text="2 + 2 ="),
...          Said(role="assistant", text="4"), Said(role="user", text="3 + 3 =")]
>>> question_place(turns), [len(each) for each in exchanges(turns)]
(3, [2, 1])
>>> tokens_of(turns)
24
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import TypeAlias

from pickllm.types import Said

__all__ = [
    "CountTokens",
    "about_tokens",
    "breach",
    "exchanges",
    "question_place",
    "rounds",
    "text_digest",
    "tokens_of",
]

CountTokens: TypeAlias = Callable[[str], int]
"""How many tokens a text has."""

_PER_MESSAGE = 4
"""Tokens of a chat template around each message, about."""


def about_tokens(text: str) -> int:
    """About how many tokens a text has, without any model's tokenizer.

    Four letters of ASCII make one; other scripts take about one token for two.

    >>> about_tokens("What is the capital of France?"), about_tokens("日本語")
    (8, 2)
    """
    if text.isascii():
        return -(-len(text) // 4)
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // 4) + -(-(len(text) - plain) // 2)


def tokens_of(turns: Sequence[Said], count_tokens: CountTokens = about_tokens) -> int:
    """Tokens of a conversation's texts, with those of a chat template around them."""
    return sum(count_tokens(said.text) + _PER_MESSAGE for said in turns)


def question_place(turns: Sequence[Said]) -> int | None:
    """Place of the last thing a user said; None where no user spoke."""
    places = (place for place in reversed(range(len(turns))) if turns[place].role == "user")
    return next(places, None)


def exchanges(turns: Sequence[Said]) -> list[list[int]]:
    """Places of the messages of each exchange, system messages aside.

    What stands before the first user's message counts to the first exchange.
    """
    found: list[list[int]] = []
    spoken = False
    for place, said in enumerate(turns):
        if said.role == "system":
            continue
        if not found or (said.role == "user" and spoken):
            found.append([])
        spoken = spoken or said.role == "user"
        found[-1].append(place)
    return found


def rounds(turns: Sequence[Said]) -> list[list[int]]:
    """Places of what has to stay together: an assistant's message and the tools' results."""
    found: list[list[int]] = []
    for place, said in enumerate(turns):
        if said.role == "tool" and found and turns[found[-1][-1]].role in ("assistant", "tool"):
            found[-1].append(place)
        else:
            found.append([place])
    return found


def text_digest(*texts: str) -> str:
    """Eight letters that tell texts apart, for names."""
    whole = blake2b(digest_size=4)
    for text in texts:
        data = text.encode(errors="surrogatepass")
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def breach(before: Sequence[Said], after: Sequence[Said]) -> str:
    """What an adaptation has done to a conversation that none may do; empty where all is well.

    >>> asked = [Said(role="user", text="2 + 2 =", at=0)]
    >>> breach(asked, [Said(role="user", text="Two and two?", at=0)])
    ''
    >>> breach(asked, [])
    'the question is gone'
    """
    kept = [said for said in after if said.at is not None]
    at_to_place = {said.at: place for place, said in enumerate(before) if said.at is not None}
    places = [-1 if said.at is None else at_to_place.get(said.at, -1) for said in kept]
    if -1 in places or any(a >= b for a, b in pairwise(places)):
        return "messages stand twice, in another order, or come from nowhere"
    for place, said in zip(places, kept, strict=True):
        original = before[place]
        if said.role != original.role or said.plain != original.plain:
            return "a message has become one of another kind"
        if said.text != original.text and (said.role == "tool" or not said.plain):
            return "a message that is not only text, or a tool's result, was changed"
    return _gone(before, set(places))


def _gone(before: Sequence[Said], kept: set[int]) -> str:
    """What is missing and must not be."""
    question = question_place(before)
    known = {place for place, said in enumerate(before) if said.at is not None}
    if question in known - kept:
        return "the question is gone"
    if any(before[place].role == "system" for place in known - kept):
        return "a system message is gone"
    for round_ in rounds(before):
        here = known.intersection(round_)
        if len(round_) > 1 and here & kept and here - kept:
            return "a tool call and its result were torn apart"
    return ""

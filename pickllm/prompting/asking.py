"""Models that adaptations are tried out on: a conversation in, an answer out.

`AskTurns` is the seam; ``langchain_pickllm.asking`` and ``llamaindex_pickllm.asking`` make one of a
model of theirs. `as_text` makes one of a function from text to text.

>>> echo = as_text(lambda prompt: prompt)
>>> print(echo([Said(role="system", text="Be brief."), Said(role="user", text="2 + 2 =")]))
System: Be brief.
<BLANKLINE>
User: 2 + 2 =
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pickllm.errors import ConfigError
from pickllm.protocols import Scorer
from pickllm.rewards import checked_score
from pickllm.scoring.asking import Ask
from pickllm.steps import Work
from pickllm.types import Reply, Request, Said

__all__ = ["AskTurns", "as_text", "graded", "reply_of"]

AskTurns: TypeAlias = Callable[[Sequence[Said]], "str | Reply"]
"""Asks a model: gets a conversation; returns the answer, as a `Reply` where more is known."""


def as_text(ask: Ask) -> AskTurns:
    """A model of one text as one of conversations; a lone message of a user is left as it is."""

    def asked(turns: Sequence[Said]) -> str | Reply:
        if [said.role for said in turns] == ["user"]:
            return ask(turns[0].text)
        return ask("\n\n".join(f"{said.role.capitalize()}: {said.text}" for said in turns))

    return asked


def reply_of(answer: str | Reply) -> Reply:
    """An answer as a reply."""
    return Reply(text=answer) if isinstance(answer, str) else answer


def graded(scorer: Scorer, request: Request, reply: Reply) -> float | None:
    """What a scorer gives an answer that no router has asked for.

    Raises:
        ConfigError: The scorer asks an arm of a router: there is none here; or what it gives is no
            number in [0, 1].
    """
    asking = scorer.score(request, reply)
    try:
        step = next(asking)
        while isinstance(step, Work):
            step = asking.send(step.run())
    except StopIteration as stop:
        return None if stop.value is None else checked_score(stop.value)
    raise ConfigError(
        f"{type(scorer).__name__} asks arms of a router, and here is none: give `ask`"
    )

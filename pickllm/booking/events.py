"""What a journal holds: decisions, what came of them, and what was said of them. Never changed.

    Decided    a decision and its outcome, once it has one
    Judged     one source's judgement of one decision, in its first or a later version
    Drafted    what a cascade's scorer gave an answer that was not shown
    Traced     a run around a decision, under whose id it is found too
    Renewed    the model behind an arm is not what it was
    Reset      a session begins: what was learnt until then is forgotten

An event has a key, and a journal takes each key once: that is what makes a reward count exactly
once, whichever worker it reaches, and however often. No prompt and no answer is in it.

>>> event = Traced(trace_id="run 7", decision_id="d1")
>>> decode(encode(event)) == event, event.key
(True, '["traced","run 7","d1"]')
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pickllm.errors import StateConflict
from pickllm.plain import from_plain, to_plain
from pickllm.types import Decision, Experience, Outcome

__all__ = [
    "Decided",
    "Drafted",
    "Event",
    "Judged",
    "Renewed",
    "Reset",
    "Traced",
    "decode",
    "encode",
]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A decision and its outcome."""

    decision: Decision
    outcome: Outcome
    at_fault: tuple[str, ...] = ()
    """Arms that failed where another could answer."""
    begun_by: str = ""
    """The decision that this turn goes on with."""
    trace_ids: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """One for each decision."""
        return _key("decided", self.decision.id)

    @property
    def about(self) -> tuple[str, ...]:
        """Ids under which it is found."""
        return (self.decision.id, *self.trace_ids, *([self.begun_by] if self.begun_by else []))


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One source's judgement of one decision, and what is to be learnt from it."""

    experience: Experience
    source: str
    version: int = 1
    """2 for the first correction."""
    instead_of: Experience | None = None
    """What its writer believes was learnt from the version before."""
    time_s: float

    @property
    def key(self) -> str:
        """One for each version."""
        return _key("judged", self.experience.decision.id, self.version, self.source)

    @property
    def about(self) -> tuple[str, ...]:
        """Ids under which it is found."""
        return (self.experience.decision.id,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """What is to be learnt from an answer that a cascade bought and did not show."""

    experience: Experience
    time_s: float

    @property
    def key(self) -> str:
        """One for each arm of a decision."""
        return _key("drafted", self.experience.decision.id, self.experience.arm)

    @property
    def about(self) -> tuple[str, ...]:
        """Ids under which it is found."""
        return (self.experience.decision.id,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced:
    """A run around a decision."""

    trace_id: str
    decision_id: str

    @property
    def key(self) -> str:
        """One for each run and decision."""
        return _key("traced", self.trace_id, self.decision_id)

    @property
    def about(self) -> tuple[str, ...]:
        """Ids under which it is found."""
        return (self.trace_id,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewed:
    """The model behind an arm is not what it was."""

    id: str
    arm: str
    time_s: float

    @property
    def key(self) -> str:
        """One for each announcement."""
        return _key("renewed", self.id)

    @property
    def about(self) -> tuple[str, ...]:
        """Nobody asks for it."""
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """A session begins."""

    id: str

    @property
    def key(self) -> str:
        """One for each session."""
        return _key("reset", self.id)

    @property
    def about(self) -> tuple[str, ...]:
        """Nobody asks for it."""
        return ()


Event: TypeAlias = Decided | Judged | Drafted | Traced | Renewed | Reset
"""What happened, in one of its kinds."""

_KINDS: Mapping[tuple[int, str], type] = {
    (_FORMAT, kind.__name__.lower()): kind
    for kind in (Decided, Judged, Drafted, Traced, Renewed, Reset)
}


def _atom(value: object) -> object:
    """What some clients report in place of numbers and strings."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is nothing that an event can hold")


_write = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_atom).encode


def _no_number(word: str) -> float:
    raise ValueError(f"{word} where a number belongs")  # learnt from, it would never go away


def _key(*parts: str | int) -> str:
    return _write(parts)


def encode(event: Event) -> bytes:
    """An event as one line of JSON; `ValueError` or `TypeError` where it has none."""
    kind = type(event).__name__.lower()
    document = {"pickllm_event": _FORMAT, "kind": kind, **to_plain(event)}
    return _write(document).encode()


def decode(data: bytes) -> Event:
    """The event, or `StateConflict` where these bytes are none."""
    try:
        document = json.loads(data, parse_constant=_no_number)
        kind = _KINDS[document["pickllm_event"], document["kind"]]
        return from_plain(kind, document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateConflict(
            f"this journal entry is no event of PickLLM in format {_FORMAT}: {error}"
        ) from error

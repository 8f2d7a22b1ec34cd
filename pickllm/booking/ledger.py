"""What was decided, and what came of it. A record gains an outcome and feedback, and loses none.

    decided ──► settled (outcome) ──► feedback, one value for each source, now or next week
        └──────── feedback may also come before the outcome, and waits for it ─────┘

Held in memory, the newest ``max_decisions`` of them; what is let go has been learnt already. No
prompt is kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from pickllm.booking.events import Decided
from pickllm.errors import ConfigError, UnknownDecision
from pickllm.types import Attempt, Decision, Experience, Feedback, Outcome, Status

__all__ = ["Ledger", "Record", "Relay"]

Relay: TypeAlias = Callable[[float, str, bool], object]
"""Gets a value, its source, and whether it corrects an earlier one."""


@dataclass(slots=True, eq=False)
class Record:
    """All that is known of one decision."""

    decision: Decision
    outcome: Outcome | None = None
    source_to_feedback: dict[str, Feedback] = field(default_factory=dict)
    source_to_lesson: dict[str, Experience] = field(default_factory=dict)
    """What each source's newest value has taught."""
    relays: list[Relay] = field(default_factory=list)
    """Who else hears what is said of the answer."""
    trace_ids: list[str] = field(default_factory=list)
    """Runs around the decision, under whose ids it is found too."""
    begun_by: str = ""
    """The decision that this turn goes on with, where that is held: the first of them all."""
    followers: list["Record"] = field(default_factory=list)
    """Of the first of them all: the later turns in which its arm went on."""

    @property
    def status(self) -> Status:
        """How the decision stands."""
        return "open" if self.outcome is None else self.outcome.status

    @property
    def answer(self) -> Attempt | None:
        """The attempt that a judgement of the answer is about; None where no model gave one.

        The reader of a stream who left early has still read the beginning, and may judge it.
        """
        if self.outcome is None or self.status not in ("ok", "abandoned"):
            return None
        last = self.outcome.attempts[-1]
        return last if last.called else None

    @property
    def spent(self) -> tuple[float | None, float]:
        """Cost, None where unknown, and latency of the answer and of the turns that went on."""
        turns = [record.answer for record in (self, *self.followers)]
        costs = [turn.cost_usd for turn in turns if turn]
        known = [cost for cost in costs if cost is not None]
        latency_s = sum(turn.latency_s for turn in turns if turn)
        return (sum(known) if len(known) == len(costs) else None), latency_s


class Ledger:
    """Records by decision id, oldest first. Not locked: its router is."""

    def __init__(self, *, max_decisions: int = 20_000) -> None:
        if max_decisions < 1:
            raise ConfigError(f"max_decisions is {max_decisions}; a ledger must hold at least one")
        self.max_decisions = max_decisions
        self._records: dict[str, Record] = {}
        self._newest = ""
        self._trace_to_ids: dict[str, list[str]] = {}

    def __len__(self) -> int:
        """How many decisions are held."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """The records, oldest first."""
        return iter(tuple(self._records.values()))

    @property
    def last(self) -> Record:
        """The record of the newest decision made here; there must be one."""
        return self._records[self._newest]

    def __bool__(self) -> bool:
        """Whether a decision made here is held."""
        return self._newest in self._records

    def __contains__(self, decision_id: object) -> bool:
        """Whether that decision is held."""
        return decision_id in self._records

    def __getitem__(self, decision_id: str) -> Record:
        """The record of a decision, or `UnknownDecision`."""
        record = self._records.get(decision_id)
        if record is None:
            raise UnknownDecision(
                f"no decision {decision_id!r} here: it was made by another router, before a reset, "
                f"or before the last {self.max_decisions} decisions, which are what is held here"
            )
        return record

    def add(self, decision: Decision) -> tuple[Record, ...]:
        """Enter a decision; returns the records let go to make room."""
        if decision.id in self._records:
            raise ConfigError(f"decision id {decision.id!r} is taken: request ids must differ")
        begun_by = self._origin(decision.held.continues) if decision.held else ""
        self._newest = decision.id
        return self._enter(Record(decision=decision, begun_by=begun_by))

    def recall(self, event: Decided) -> None:
        """Enter a decision that was made elsewhere, or before this process, with its outcome."""
        begun_by = event.begun_by if event.begun_by in self._records else ""
        record = Record(decision=event.decision, begun_by=begun_by, outcome=event.outcome)
        self._enter(record)
        for trace_id in event.trace_ids:
            self.trace(trace_id, event.decision.id)

    def without_settled(self) -> "Ledger":
        """The decisions that wait for their outcome alone, as a session begins anew."""
        left = Ledger(max_decisions=self.max_decisions)
        for record in self:
            if record.outcome is None:
                left._enter(record)
                for trace_id in record.trace_ids:
                    left._trace_to_ids.setdefault(trace_id, []).append(record.decision.id)
        left._newest = self._newest
        return left

    def settle(self, outcome: Outcome) -> Record:
        """Note how a decision ended. A turn that another arm took over stands for itself."""
        record = self[outcome.decision_id]
        if record.outcome is not None:
            raise ConfigError(f"decision {outcome.decision_id!r} has an outcome already")
        record.outcome = outcome
        if record.begun_by and record.answer and record.answer.arm != record.decision.arm:
            begun = self._records[record.begun_by]
            begun.followers = [turn for turn in begun.followers if turn is not record]
            record.begun_by = ""
        return record

    def trace(self, trace_id: str, decision_id: str) -> None:
        """Find a decision under the id of a run around it, too."""
        record = self[decision_id]
        if trace_id not in record.trace_ids:
            record.trace_ids.append(trace_id)
            self._trace_to_ids.setdefault(trace_id, []).append(decision_id)

    def found(self, any_id: str) -> tuple[str, ...]:
        """Decisions under that id: one under its own, any number under a run's, or none.

        For a turn that went on with a decision, that decision is found.
        """
        ids = [any_id] if any_id in self._records else self._trace_to_ids.get(any_id, ())
        return tuple(dict.fromkeys(self._origin(found) for found in ids))

    def _enter(self, record: Record) -> tuple[Record, ...]:
        self._records[record.decision.id] = record
        if record.begun_by:
            self._records[record.begun_by].followers.append(record)
        spare = max(len(self._records) - self.max_decisions, 0)
        oldest = tuple(islice(self._records, spare))
        return tuple([self._let_go(decision_id) for decision_id in oldest])

    def _origin(self, decision_id: str) -> str:
        """The decision that began what this one goes on with; empty where it is not held."""
        record = self._records.get(decision_id)
        return (record.begun_by or decision_id) if record else ""

    def _let_go(self, decision_id: str) -> Record:
        record = self._records.pop(decision_id)
        for trace_id in record.trace_ids:
            ids = self._trace_to_ids[trace_id]
            ids.remove(decision_id)
            if not ids:
                del self._trace_to_ids[trace_id]
        if record.followers:
            _succeed(record.followers)
        return record


def _succeed(turns: list[Record]) -> None:
    """The first of these turns stands for the others, now that the one before them is let go."""
    heir, *others = turns
    heir.begun_by, heir.followers = "", others
    for other in others:
        other.begun_by = heir.decision.id

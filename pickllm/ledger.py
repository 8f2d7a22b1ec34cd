"""What was decided, and what came of it. A record gains an outcome and feedback, and loses none.

    decided ──► settled (outcome) ──► feedback, one value for each source, now or next week
        └──────── feedback may also come before the outcome, and waits for it ─────┘

Held in memory, the newest ``max_decisions`` of them; what is let go has been learnt already. No
prompt is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pickllm.errors import ConfigError, UnknownDecision
from pickllm.types import Attempt, Decision, Feedback, Outcome, Status

__all__ = ["Ledger", "Record"]


@dataclass(slots=True)
class Record:
    """All that is known of one decision."""

    decision: Decision
    outcome: Outcome | None = None
    source_to_feedback: dict[str, Feedback] = field(default_factory=dict)

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


class Ledger:
    """Records by decision id, oldest first. Not locked: its router is."""

    def __init__(self, *, max_decisions: int = 20_000) -> None:
        if max_decisions < 1:
            raise ConfigError(f"max_decisions is {max_decisions}; a ledger must hold at least one")
        self.max_decisions = max_decisions
        self._records: dict[str, Record] = {}

    def __len__(self) -> int:
        """How many decisions are held."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """The records, oldest first."""
        return iter(tuple(self._records.values()))

    @property
    def last(self) -> Record:
        """The newest record; there must be one."""
        return self._records[next(reversed(self._records))]

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
        self._records[decision.id] = Record(decision=decision)
        spare = len(self._records) - self.max_decisions
        oldest = iter(self._records)
        return tuple(self._records.pop(key) for key in [next(oldest) for _ in range(spare)])

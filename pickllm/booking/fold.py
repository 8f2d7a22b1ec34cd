"""The state that a journal comes to: its events, learnt one after another in the journal's order.

All workers read the same events in the same order, so all arrive at the same state, and one that
begins with a snapshot arrives at it too. A snapshot stands at a position; for policies that cannot
unlearn it lags behind by the lessons that may still be corrected.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pickllm.booking.events import Decided, Drafted, Event, Judged, Renewed, Reset, decode
from pickllm.booking.learner import blamed, draft_of
from pickllm.booking.lessons import Lesson, Lessons, Teaching
from pickllm.errors import StateConflict
from pickllm.protocols import Noted, Observer, Policy, Renewable
from pickllm.types import Attempt, Observation

__all__ = ["Fold", "Snapshot", "decoded_or_none", "lessons_of"]

S = TypeVar("S")

_CORRECTABLE = 2_000
"""How many of the newest lessons a policy that cannot unlearn keeps for corrections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot(Generic[S]):
    """What was learnt from all events up to a position."""

    state: S
    position: int = 0
    begun_at: int = 0
    """Position of the last reset: what came before it has no part in this session."""


class Fold:
    """Reads a journal. Not locked: its keeper is."""

    def __init__(
        self,
        policy: Policy[Any],
        snapshot: Snapshot[Any],
        *,
        fresh: object,
        about: Callable[[str], Sequence[Noted]],
    ) -> None:
        self.position = snapshot.position
        self.begun_at = snapshot.begun_at
        self.counts: Counter[str] = Counter()
        self._policy: Any = policy
        self._fresh = fresh
        self._about = about
        self._lessons = Lessons(policy, snapshot.state)
        self._lesson_to_position: dict[Lesson, int] = {}
        self._lesson_to_version: OrderedDict[Lesson, int] = OrderedDict()
        """The newest versions of lessons corrected not long ago."""
        self._sealed = snapshot.position

    @property
    def state(self) -> object:
        """What all events read so far have taught."""
        return self._lessons.state

    def snapshot(self) -> Snapshot[Any]:
        """From where another reader may go on."""
        position = self._sealed if self._lesson_to_position else self.position
        return Snapshot(state=self._lessons.base, position=position, begun_at=self.begun_at)

    def read(self, noted: Noted) -> Event | None:
        """Learn from the next event, and return it; None for one that cannot be read.

        A correction looks in the journal for what it corrects; where that fails, nothing is read.
        """
        try:
            event = decode(noted.value)
        except StateConflict:
            self.position = noted.position
            self.counts["journal_unreadable"] += 1
            return None
        teachings = self._corrected(event, noted.position)
        self.position = noted.position
        try:
            self._learn(event, teachings)
        except Exception:  # a policy that fails at an event would fail at it for ever
            self.counts["learning_failures"] += 1
        return event

    def _learn(self, event: Event, teachings: Sequence[Teaching]) -> None:
        for lesson, taught, instead_of in teachings:
            known = self._lessons.teach(lesson, taught, instead_of=instead_of)
            self._keep(lesson)
            self.counts["late_corrections"] += not known
        if isinstance(event, Reset):
            self.begun_at = self.position
            self._start_from(self._fresh)
        elif isinstance(event, Renewed) and isinstance(self._policy, Renewable):
            self._start_from(self._policy.model_updated(self.state, event.arm, event.time_s))

    def _corrected(self, event: Event, position: int) -> list[Teaching]:
        """What an event teaches, where a correction stands for what the journal says came before.

        Its writer may not have known all versions: two may have been written at once, or one may
        have waited for a store that was away. The highest version stands, whichever came last.
        """
        teachings = lessons_of(event, self._policy)
        if not isinstance(event, Judged):
            return teachings
        ((lesson, taught, _),) = teachings
        if event.version <= self._lesson_to_version.get(lesson, 0):
            return []
        if event.version == 1:
            return [(lesson, taught, None)]
        before = self._versions_before(event, position)
        if any(at <= self.begun_at or judged.version > event.version for at, judged in before):
            return []
        self._lesson_to_version[lesson] = event.version
        while len(self._lesson_to_version) > _CORRECTABLE:
            self._lesson_to_version.popitem(last=False)
        newest = max((judged for _, judged in before), key=lambda each: each.version, default=None)
        return [(lesson, taught, newest.experience if newest else None)]

    def _versions_before(self, event: Judged, position: int) -> list[tuple[int, Judged]]:
        notes = [n for n in self._about(event.experience.decision.id) if n.position < position]
        events = [(noted.position, decoded_or_none(noted)) for noted in notes]
        return [
            (at, judged)
            for at, judged in events
            if isinstance(judged, Judged) and judged.source == event.source
        ]

    def _start_from(self, state: object) -> None:
        """Nothing before this can be corrected any more."""
        self._lessons.rebase(state, ())
        self._lesson_to_position.clear()
        self._sealed = self.position

    def _keep(self, lesson: Lesson) -> None:
        if not self._lessons:
            return
        self._lesson_to_position.setdefault(lesson, self.position)
        while len(self._lessons) > _CORRECTABLE:
            self._seal_oldest_event()

    def _seal_oldest_event(self) -> None:
        """All lessons of one event together, for a snapshot stands between events."""
        position = self._sealed = next(iter(self._lesson_to_position.values()))
        while self._lesson_to_position and position == next(
            iter(self._lesson_to_position.values())
        ):
            del self._lesson_to_position[self._lessons.seal_oldest()]


def lessons_of(event: Event, policy: Policy[Any]) -> list[Teaching]:
    """What an event teaches a policy."""
    if isinstance(event, Judged):
        lesson = (event.experience.decision.id, event.source)
        return [(lesson, event.experience, event.instead_of)]
    if isinstance(event, Drafted):
        return [(draft_of(event.experience), event.experience, None)]
    if not isinstance(event, Decided):
        return []
    observed: list[Teaching] = [
        ((event.decision.id, f"call of {attempt.arm}"), _seen(event, attempt), None)
        for attempt in event.outcome.attempts
        if isinstance(policy, Observer)
    ]
    return observed + [
        ((event.decision.id, f"failure of {attempt.arm}"), blamed(event.decision, attempt), None)
        for attempt in event.outcome.attempts
        if attempt.arm in event.at_fault
    ]


def _seen(event: Decided, attempt: Attempt) -> Observation:
    return Observation(decision=event.decision, attempt=attempt)


def decoded_or_none(noted: Noted) -> Event | None:
    """What a note says; None where only a newer program can read it."""
    try:
        return decode(noted.value)
    except StateConflict:
        return None

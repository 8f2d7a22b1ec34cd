"""What came of decisions: booked, learnt from, and kept. One lock around all of it.

    enter ──► settle ──► hear, hear, …          ledger: what was decided, done and said
                │          │                    learner: what that taught
                └──────────┴──► note            keeper: the journal that other workers read

The lock is never held while a store, a model or a scorer is at work.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeAlias, cast, get_args

from pickllm.booking.events import Decided, Drafted, Event, Judged, Renewed, Reset, Traced
from pickllm.booking.keeper import Keeper
from pickllm.booking.learner import Learner
from pickllm.booking.ledger import Ledger, Record, Relay
from pickllm.errors import StoreUnavailable, UnknownDecision
from pickllm.lock import Lock
from pickllm.protocols import Renewable
from pickllm.types import Attempt, Decision, Experience, Feedback, Outcome

__all__ = ["Books", "Verdict"]

logger = logging.getLogger("pickllm")

_BETWEEN_TRIES_S = 0.1
"""How often a store that is away is asked again while a router waits for it to close."""

Verdict: TypeAlias = Literal["counted", "corrected", "noted", "waiting", "repeated", "no_answer"]
"""What became of feedback: learnt; learnt in place of an earlier value; booked, but its source is
none that the router learns from; kept until the answer is there; ignored, for this source has
spoken; ignored, for no model gave an answer to judge. Of feedback for several decisions, the first
of these that any of them had."""


class Books:
    """Ledger, lessons and journal of one router."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        learner: Learner,
        keeper: Keeper,
        learns_from: frozenset[str] | None,
        clock: Callable[[], float],
    ) -> None:
        self.ledger = ledger
        self.learner = learner
        self.keeper = keeper
        self.counts: Counter[str] = Counter()
        self.lock = Lock()
        self._common_position = 0
        self._learns_from = learns_from
        self._clock = clock

    def enter(self, decision: Decision, trace_ids: Sequence[str]) -> None:
        """A decision is made."""
        with self.lock:
            if self.ledger.add(decision):
                self._learn(partial(self.learner.seal, self.ledger))
            for trace_id in trace_ids:
                self.ledger.trace(trace_id, decision.id)
            self.counts["decisions"] += 1

    def settle(self, outcome: Outcome, at_fault: Sequence[Attempt]) -> None:
        """A decision's outcome is there, and so is what was said of it before."""
        with self.lock:
            record = self.ledger.settle(outcome)
            self._count(outcome)
            for attempt in outcome.attempts:
                self._learn(partial(self.learner.observe, record, attempt))
            for attempt in at_fault:
                self._learn(partial(self.learner.blame, record, attempt))
            self.keeper.note(_decided(record, outcome, at_fault))
            for attempt in outcome.attempts:
                if attempt.status == "rejected" and attempt.score is not None:
                    self._learn(partial(self._learn_draft, record, attempt, attempt.score))
            for feedback in record.source_to_feedback.values():
                self._learn(partial(self._credit_late, record, feedback))

    def hear(
        self, any_id: str, score: float, source: str, *, correction: bool, at_once: bool
    ) -> Verdict:
        """Feedback for a decision, or for all inside a run.

        ``at_once`` writes it to the store before it returns, which is when it counts exactly once
        among all workers; otherwise it is written with the next `save`.
        """
        hear = partial(self._hear, score=score, source=source, correction=correction)
        verdicts = [hear(record, at_once=at_once) for record in self.found(any_id)]
        with self.lock:
            self.counts.update(f"feedback_{verdict}" for verdict in verdicts)
        return min(verdicts, key=get_args(Verdict).index)

    def found(self, any_id: str) -> list[Record]:
        """The decisions that an id is about, fetched from the store where they are not held here.

        Raises:
            UnknownDecision: Nobody knows one.
            StoreUnavailable: None is held here, and the store cannot be asked.
        """
        if any_id not in self.ledger:  # of a run, other workers may know more
            self.fetch(any_id)
        held = self._held(any_id)
        if not held:
            with self.lock:
                self.counts["unknown_decisions"] += 1
            raise UnknownDecision(
                f"no decision {any_id!r} here: it was made by another router, before a reset, "
                f"or before the last {self.ledger.max_decisions} decisions, which are what is held"
            )
        return held

    def trace(self, trace_id: str, decision_id: str) -> None:
        """Find a decision by the id of a run around it, too; nothing where it is not held here."""
        with self.lock:
            if decision_id in self.ledger:
                self.ledger.trace(trace_id, decision_id)
                self.keeper.note(Traced(trace_id=trace_id, decision_id=decision_id))

    def relay(self, decision_id: str, relay: Relay) -> None:
        """Let someone else hear what is said of a decision; nothing where it is not held here."""
        with self.lock:
            if decision_id in self.ledger:
                self.ledger[decision_id].relays.append(relay)

    def reset(self, fresh: object) -> None:
        """Forget what was learnt, and what it was learnt from; so do all other workers."""
        with self.lock:
            self.ledger = Ledger(max_decisions=self.ledger.max_decisions)
            self.learner.rebase(fresh, ())
            self.keeper.note(Reset(id=str(uuid.uuid4())))

    def renew(self, arm: str) -> None:
        """The model behind an arm is not what it was; the policy can be told."""
        policy = cast("Renewable[Any]", self.learner.policy)
        event = Renewed(id=str(uuid.uuid4()), arm=arm, time_s=self._clock())
        with self.lock:
            state = policy.model_updated(self.learner.state, arm, event.time_s)
            self.learner.rebase(state, ())
            self.keeper.note(event)

    def save(self, *, look: bool = False) -> None:
        """Write what waits for the store, and take over what other workers have learnt.

        With ``look`` it asks the store for their news however short ago it did.
        """
        if self.keeper.save(look=look):
            self._take_over_common()

    def close(self, *, patience_s: float) -> None:
        """Write everything, and a snapshot for the next to begin with."""
        deadline_s = time.monotonic() + patience_s
        self._save_now()
        while self.keeper.waits and time.monotonic() < deadline_s:  # there is no later
            time.sleep(_BETWEEN_TRIES_S)
            self._save_now()
        self.keeper.finish()

    def _save_now(self) -> None:
        self.keeper.insist()
        self.save(look=True)

    def count(self, what: str) -> None:
        """It has happened once more."""
        with self.lock:
            self.counts[what] += 1

    def stats(self) -> dict[str, int]:
        """What happened how often."""
        with self.lock:
            counts = self.counts.copy()
            counts.update(self.keeper.stats())  # adds up what both count
            return dict(counts)

    def _hear(
        self, record: Record, *, score: float, source: str, correction: bool, at_once: bool
    ) -> Verdict:
        with self.lock:
            before = record.source_to_feedback.get(source)
            if before is not None and not correction:
                return "repeated"
            feedback = Feedback(
                decision_id=record.decision.id,
                value=score,
                source=source,
                time_s=self._clock(),
                correction=correction,
                version=before.version + 1 if before else 1,
            )
            lesson_before = record.source_to_lesson.get(source)
            verdict = self._credit(record, feedback)
            record.source_to_feedback[source] = feedback
            relays = tuple(record.relays)
            event = _judged(record, feedback, lesson_before)
            if event is not None and not at_once:
                self.keeper.note(event)
        if event is None or not at_once or self.keeper.claim(event):
            for relay in relays:
                self._tell(partial(relay, score, source, correction))
            return verdict
        return self._heard_elsewhere(record, feedback)

    def _learn_draft(self, record: Record, attempt: Attempt, score: float) -> None:
        """A draft that was not shown says as much about its arm as an answer that was."""
        if self._learns_from is not None and "scorer" not in self._learns_from:
            return
        experience = self.learner.credit_draft(record, attempt, score)
        slim = replace(experience.decision, values=(), ineligible={})
        self.keeper.note(
            Drafted(experience=replace(experience, decision=slim), time_s=self._clock())
        )

    def _credit(self, record: Record, feedback: Feedback) -> Verdict:
        if record.outcome is None:
            return "waiting"
        if record.decision.held is not None and record.decision.held.recites:
            return "noted"  # no arm was asked: only the cache learns from it
        if self._learns_from is not None and feedback.source not in self._learns_from:
            return "noted"
        if self.learner.credit(record, feedback) is None:
            return "no_answer"
        return "corrected" if feedback.version > 1 else "counted"

    def _credit_late(self, record: Record, feedback: Feedback) -> None:
        """Feedback that came before the answer had ended."""
        verdict = self._credit(record, feedback)
        self.counts[f"feedback_{verdict}"] += 1
        event = _judged(record, feedback, None)
        if event is not None:
            self.keeper.note(event)

    def _heard_elsewhere(self, record: Record, feedback: Feedback) -> Verdict:
        """Another worker has booked this version: take theirs, and correct that where asked to."""
        with self.lock:
            if record.source_to_feedback.get(feedback.source) is feedback:
                del record.source_to_feedback[feedback.source]
                record.source_to_lesson.pop(feedback.source, None)
        self._take_over(self.keeper.recall(record.decision.id))
        self.keeper.save(look=True)
        self._take_over_common()
        theirs = record.source_to_feedback.get(feedback.source)
        if not feedback.correction or theirs is None or theirs.version < feedback.version:
            return "repeated"
        return self._hear(
            record, score=feedback.value, source=feedback.source, correction=True, at_once=True
        )

    def _held(self, any_id: str) -> list[Record]:
        with self.lock:
            return [self.ledger[decision_id] for decision_id in self.ledger.found(any_id)]

    def fetch(self, any_id: str) -> None:
        """Fetch the decisions of other workers, and of this one before it was started anew.

        Raises:
            StoreUnavailable: None is held here, and the store cannot be asked.
        """
        before = self.ledger
        self._fetch(any_id)
        if self.ledger is not before:  # a reset was read on the way, and took what was fetched
            self._fetch(any_id)

    def _fetch(self, any_id: str) -> None:
        try:
            events = self._recalled(any_id)
        except StoreUnavailable:
            if self._held(any_id):
                return
            raise
        decided = [event for event in events if isinstance(event, Decided)]
        with self.lock:
            for made in decided:
                if made.decision.id not in self.ledger:
                    self.ledger.recall(made)
            for traced in events:
                if isinstance(traced, Traced) and traced.decision_id in self.ledger:
                    self.ledger.trace(traced.trace_id, traced.decision_id)
        if decided:
            self._take_over(events)
            self.save(
                look=True
            )  # what was said of them is in the common state, and corrected there

    def _recalled(self, any_id: str) -> list[Event]:
        """All events about the decisions that an id means, those that began a turn first."""
        events = self.keeper.recall(any_id)
        ids = dict.fromkeys(
            decision_id
            for event in events
            if isinstance(event, Decided)
            for decision_id in (event.begun_by, event.decision.id)
            if decision_id and decision_id != any_id
        )
        return [event for i in ids for event in self.keeper.recall(i)] + events

    def _take_over_common(self) -> None:
        position, state, news = self.keeper.common()  # may wait for a store: not under our lock
        with self.lock:
            if position >= self._common_position:
                self._common_position = position
                self.learner.rebase(state, self.keeper.ours())
            if any(isinstance(event, Reset) for event in news):
                self.ledger = self.ledger.without_settled()
            self._take_over(news)

    def _take_over(self, events: Sequence[Event]) -> None:
        """What the journal says was said of decisions that are held here."""
        with self.lock:
            for event in events:
                if not isinstance(event, Judged) or event.experience.decision.id not in self.ledger:
                    continue
                record = self.ledger[event.experience.decision.id]
                known = record.source_to_feedback.get(event.source)
                if known is not None and known.version > event.version:
                    continue
                record.source_to_feedback[event.source] = Feedback(
                    decision_id=record.decision.id,
                    value=event.experience.score,
                    source=event.source,
                    time_s=event.time_s,
                    correction=event.version > 1,
                    version=event.version,
                )
                record.source_to_lesson[event.source] = event.experience

    def _tell(self, relay: Callable[[], object]) -> None:
        try:
            relay()
        except Exception as error:  # it is told as a favour
            with self.lock:
                self.counts["relay_failures"] += 1
            logger.warning("feedback was not passed on: %s", type(error).__name__)

    def _learn(self, lesson: Callable[[], object]) -> None:
        """Learn; a reward or a policy that fails must not take the answer with it."""
        try:
            lesson()
        except Exception as error:
            self.counts["learning_failures"] += 1
            logger.warning("the reward or the policy failed: %s", type(error).__name__)

    def _count(self, outcome: Outcome) -> None:
        statuses = [attempt.status for attempt in outcome.attempts]
        drafts = statuses.count("rejected")
        self.counts[f"outcome_{outcome.status}"] += 1
        self.counts["arm_failures"] += statuses.count("error")
        self.counts["fallbacks"] += max(len(statuses) - drafts - 1, 0)
        if drafts:
            self.counts["drafts_rejected"] += drafts


def _decided(record: Record, outcome: Outcome, at_fault: Sequence[Attempt]) -> Decided:
    return Decided(
        decision=record.decision,
        outcome=outcome,
        at_fault=tuple(attempt.arm for attempt in at_fault),
        begun_by=record.begun_by,
        trace_ids=tuple(record.trace_ids),
    )


def _judged(record: Record, feedback: Feedback, before: Experience | None) -> Judged | None:
    """The event that tells others; None where nothing was learnt."""
    experience = record.source_to_lesson.get(feedback.source)
    if experience is None or experience is before:
        return None
    slim = replace(experience.decision, values=(), ineligible={})
    return Judged(
        experience=replace(experience, decision=slim),
        source=feedback.source,
        version=feedback.version,
        instead_of=None if before is None else replace(before, decision=slim),
        time_s=feedback.time_s,
    )

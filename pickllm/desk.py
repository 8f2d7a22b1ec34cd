"""What a flow needs of its router, and what a router does for whoever calls arms by themselves.

    decide ──► … the arms answer … ──► note ──► judge ──► memorise          `pickllm.flow` says when

It decides by its `Decider`, books in its `Books`, and asks what may be asked beside them: a scorer,
a cascade, kept answers, adaptations of the prompt, transcripts. None of these can take an answer
away.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pickllm.adapting import adapted
from pickllm.attempts import known
from pickllm.booking.books import Books
from pickllm.cascade import Answered
from pickllm.deciding import Decider
from pickllm.errors import Interrupted, StoreUnavailable, UnknownDecision
from pickllm.features import features_of
from pickllm.handover import unless_left
from pickllm.judging import draft_score, score_or_none
from pickllm.pool import Pool
from pickllm.protocols import Adaptation, Asking, Cascade, Scorer
from pickllm.recalling import Recalling, outcome_of
from pickllm.steps import Release, Work
from pickllm.types import (
    Attempt,
    Decision,
    Draft,
    Move,
    Outcome,
    Reply,
    Request,
    Routed,
    Said,
    Vector,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from pickllm.transcripts import Transcripts

__all__ = ["FrontDesk", "in_background", "loop_here"]

logger = logging.getLogger("pickllm")

_SILENCE = 100
"""Decisions without any feedback after which a warning is due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontDesk:
    """The parts of a router that serve requests."""

    decider: Decider
    books: Books
    scorer: Scorer | None = None
    adaptation: Adaptation | None = None
    recalling: Recalling | None = None
    transcripts: "Transcripts | None" = None

    @property
    def pool(self) -> Pool:
        """The arms."""
        return self.decider.pool

    @property
    def cascade(self) -> Cascade | None:
        """What asks on where an answer will not do; the same that named the first arm."""
        return self.decider.cascade

    def featurize(self, request: Request) -> Asking[Vector | None]:
        """The prompt as a vector; zeros where the featurizer fails, which is counted and logged."""
        featurizer = self.decider.featurizer
        if self.books.keeper.stale:
            yield Work(run=self.books.save)
        if self.books.keeper.keeps and request.hold and not self._knows(request.hold.continues):
            yield Work(run=partial(self._fetch, request.hold.continues))
        if featurizer is None or getattr(featurizer, "instant", False):
            return None  # `decide` looks for itself: a thread would take longer
        try:
            features: Vector = yield Work(run=partial(features_of, featurizer, request))
        except Exception as error:  # an answer without a look at the prompt is still an answer
            return self.decider.blind(error)
        return features

    def decide(self, request: Request, features: Vector | None = None) -> Decision:
        """See `pickllm.Router.decide`."""
        decision = self.decider.decide(request, features, self.books.learner.state)
        try:
            self._enter(decision, request.trace_ids)
        except BaseException:
            if self.decider.spending is not None:
                self.decider.spending.withdraw(decision)
            raise
        return decision

    def dispatch(self, request: Request, features: Vector | None) -> Asking[Decision]:
        """`decide` for a flow: where it may wait for a store, a driver does."""
        if self.decider.spending is None or not self.decider.spending.waits:
            return self.decide(request, features)
        decision = yield from unless_left(
            partial(self.decide, request, features), undo=self._called_off
        )
        return decision

    def climbs(self, request: Request, decision: Decision) -> bool:
        """Whether a cascade goes on from the arm chosen: not inside a tool loop, and so on."""
        return self.cascade is not None and not request.once and decision.held is None

    @property
    def hold_back_chars(self) -> int:
        """How much of a stream is read before a cascade scores it."""
        return self.cascade.hold_back_chars if self.cascade is not None else 1

    @property
    def falls_back(self) -> bool:
        """Whether anybody may take over from an arm that fails."""
        return self.decider.fallback is not False

    def next_move(
        self, request: Request, decision: Decision, drafts: Sequence[Draft], gone: Collection[str]
    ) -> Move:
        """What the cascade does now; ``gone`` are arms that failed, or that nobody can afford."""
        return self.decider.next_move(request, decision, drafts, gone)

    def afford(self, decision: Decision, arm: str) -> Asking[bool]:
        """Set aside what one more call may cost; False where that does not fit the budget."""
        return self.decider.afford(decision, arm)

    def take_over(self, decision: Decision, attempts: Sequence[Attempt]) -> Asking[str | None]:
        """The arm that takes over, once what its call may cost is set aside."""
        return self.decider.take_over(decision, attempts)

    def adapt(self, request: Request, arm: str) -> Asking[tuple[Said, ...] | None]:
        """What the arm reads in place of the conversation; None for the conversation itself."""
        if self.adaptation is None:
            return None
        turns = yield from adapted(self.adaptation, request, self.pool[arm], self.books.count)
        return turns

    def recall(self, request: Request) -> Asking[Routed | None]:
        """An answer given before that may serve, booked already; None where there is none."""
        if self.recalling is None:
            return None
        found = yield from self.recalling.recite(request)
        if found is None:
            return None
        decision, reply = found
        self.books.enter(decision, request.trace_ids)
        self.books.count("answers_recited")
        try:
            yield Release(decision=decision, reply=reply)
        except Interrupted as stop:  # who leaves in the middle may still say what it was worth
            self.settle(outcome_of(decision, reply, stop.status))
            raise
        outcome = outcome_of(decision, reply)
        self.note(outcome)
        yield from self.keep()
        return Routed(request=request, decision=decision, reply=reply, outcome=outcome)

    def memorise(self, routed: Routed) -> Asking[None]:
        """Keep the answer for requests to come, and in words, as far as either is wanted."""
        if self.recalling is not None:
            yield from self.recalling.keep(routed)
        if self.transcripts is not None:
            yield Work(run=partial(self._transcribe, self.transcripts, routed))

    def _transcribe(self, transcripts: "Transcripts", routed: Routed) -> None:
        with self.books.lock:  # it may have been judged while it was streamed
            held = routed.decision.id in self.books.ledger
            said = self.books.ledger[routed.decision.id].source_to_feedback if held else {}
            source_to_score = {source: feedback.value for source, feedback in said.items()}
        transcripts.keep(routed, source_to_score)

    def _called_off(self, decision: Decision) -> None:
        """A decision whose flow was stopped while it was made: nobody will call its arm."""
        with contextlib.suppress(UnknownDecision):
            self.settle(Outcome(decision_id=decision.id, attempts=()))

    # What came of it

    def settle(self, outcome: Outcome) -> None:
        """See `pickllm.Router.settle`."""
        self.note(outcome)
        self.write_soon()

    def note(self, outcome: Outcome) -> None:
        """The same, but for the store: nothing here waits for a disk."""
        outcome = known(outcome)
        at_fault = _at_fault(outcome)
        self.decider.fared(outcome, at_fault)
        self.books.settle(outcome, at_fault)

    def keep(self) -> Asking[None]:
        """Write to the store what was learnt, if there is a store and something new."""
        if self._due:
            yield Work(run=self.write)

    def score_draft(self, request: Request, reply: Reply) -> Asking[float | None]:
        """What the cascade's scorer gives a draft; None where it cannot tell."""
        if self.cascade is None:
            return None
        score = yield from draft_score(self.cascade.scorer, request, reply, self.books.count)
        return score

    def judge(
        self, request: Request, decision: Decision, answered: Answered
    ) -> Asking[float | None]:
        """Ask the scorer, if there is one. Its failure is counted and logged, no more.

        Of a tool loop the last turn that has a score counts: it corrects those before it. Of what a
        cascade chose, its scorer's word counts where the router has no scorer of its own.
        """
        scorer, score = self.scorer, answered.score
        if scorer is None and answered.drafted and self.cascade is not None:
            scorer = self.cascade.scorer
        if scorer is None or not answered.reply.called:
            return None
        if self.scorer is not None or not answered.scored:
            score = yield from score_or_none(scorer, request, answered.reply, self.books.count)
        if score is not None:
            goes_on = decision.held is not None and decision.held.continues != ""
            self._learn_score(decision, score, correction=goes_on)
            yield from self.keep()
        return score

    # Inside

    def _knows(self, decision_id: str) -> bool:
        with self.books.lock:
            return bool(self.books.ledger.found(decision_id))

    def _fetch(self, decision_id: str) -> None:
        """A turn may go on with what another worker decided."""
        if decision_id:
            with contextlib.suppress(StoreUnavailable):
                self.books.fetch(decision_id)

    def _enter(self, decision: Decision, trace_ids: Sequence[str]) -> None:
        self.books.enter(decision, trace_ids)
        self.decider.asked(decision)
        counts = self.books.counts
        if (
            counts["decisions"] - counts["answers_recited"] == _SILENCE
            and not counts["feedback_counted"]
            and self.books.learner.state is not None  # a policy that could learn,
            and getattr(self.decider.policy, "learns", True)  # and does
        ):
            logger.warning(
                "%d decisions and no feedback: nothing is learnt. Give the router a scorer, call "
                "feedback(), or attach a RewardCallbackHandler (LangChain) or a RewardTracker "
                "(LlamaIndex)",
                _SILENCE,
            )

    def _learn_score(self, decision: Decision, score: float, *, correction: bool) -> None:
        """What the scorer said; a policy that fails must not take the answer with it."""
        try:
            self.books.hear(decision.id, score, "scorer", correction=correction, at_once=False)
        except UnknownDecision:
            pass  # let go meanwhile, and counted
        except Exception as error:
            self.books.count("learning_failures")
            logger.warning("the reward or the policy failed: %s", type(error).__name__)

    def write_soon(self) -> None:
        """Write now; where a loop runs, in one of its threads: a disk must not stop it."""
        if not self._due:
            return
        in_background(self.write)

    @property
    def _due(self) -> bool:
        """Whether there is something to write, or to read."""
        spent = self.decider.spending is not None and self.decider.spending.due
        return spent or self.books.keeper.due

    def write(self) -> None:
        """Write to the store what waits for it."""
        self.books.save()
        if self.decider.spending is not None:
            self.decider.spending.flush()


def in_background(work: Callable[[], object]) -> None:
    """Now; where a loop runs, in one of its threads."""
    loop = loop_here()
    if loop is None:
        work()
        return
    try:
        loop.run_in_executor(None, work)
    except RuntimeError:  # it is closing
        work()


def loop_here() -> "AbstractEventLoop | None":
    """The event loop that runs in this thread, if one does."""
    # asyncio takes long to import, and another thread may be at it: a loop that runs has all of it
    running = getattr(sys.modules.get("asyncio"), "get_running_loop", None)
    try:
        return running() if running else None
    except RuntimeError:
        return None


def _at_fault(outcome: Outcome) -> list[Attempt]:
    """Arms to blame. Where several were asked in vain, the request may be the reason."""
    failed = [attempt for attempt in outcome.attempts if attempt.status == "error"]
    answered = any(each.status in ("ok", "abandoned", "rejected") for each in outcome.attempts)
    return failed if answered or len(outcome.attempts) == 1 else []

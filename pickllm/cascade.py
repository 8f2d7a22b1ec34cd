"""One request that asks arms one after another until an answer will do.

    Call, held back ──► score ──► move ──► Release: it is shown, to its end
        ▲                          │  └──► nothing is good enough: `Abstained`
        └──────────────────────────┘ ask another; when that has answered, a draft whose end was not
                                     awaited is withdrawn

Whom to ask and what will do, the `Cascade` says; here it is carried out. The consumer sees one
answer and never a rejected draft, and every draft is paid for and booked. An arm that fails is out
of the cascade, and where all of it fails, others take over as they do without one; but where nobody
may take over, a failure is the caller's here, too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pickllm.attempts import rejected, succeeded
from pickllm.calling import booked, first_told_of_the_others
from pickllm.errors import Abstained, ArmError
from pickllm.pool import Pool
from pickllm.protocols import Asking
from pickllm.scoring.final_answer import same_answer
from pickllm.steps import Call, Release, Withdraw
from pickllm.types import Attempt, Decision, Draft, Move, Reply, Request, Said

__all__ = ["Answered", "Climber", "climb"]

_COMPARED_CHARS = 4_000
"""Of the end of an answer, where it says what it comes to; so comparing takes well under 1 ms."""


class Climber(Protocol):
    """What a cascade needs of its router."""

    @property
    def pool(self) -> Pool:
        """The arms."""

    @property
    def hold_back_chars(self) -> int:
        """How much of a stream is read before it is scored."""

    @property
    def falls_back(self) -> bool:
        """Whether anybody may take over from an arm that fails."""

    def adapt(self, request: Request, arm: str) -> Asking[tuple[Said, ...] | None]:
        """What the arm reads in place of the conversation; None for the conversation itself."""

    def score_draft(self, request: Request, reply: Reply) -> Asking[float | None]:
        """What the cascade's scorer gives a draft; None where it cannot tell."""

    def next_move(
        self, request: Request, decision: Decision, drafts: Sequence[Draft], gone: Collection[str]
    ) -> Move:
        """What to do now; ``gone`` are arms that failed, or that nobody can afford."""

    def afford(self, decision: Decision, arm: str) -> Asking[bool]:
        """Set aside what one more call may cost; False where that does not fit a budget."""

    def take_over(self, decision: Decision, attempts: list[Attempt]) -> Asking[str | None]:
        """Who takes over from the arms tried, or None when nobody does, or nobody is affordable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The answer that is shown."""

    reply: Reply
    drafted: bool = False
    """Whether a cascade has chosen it."""
    scored: bool = False
    """Whether its scorer has seen all of it."""
    score: float | None = None
    """What it gave; None where it could not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bought:
    reply: Reply
    draft: Draft
    scored: bool
    """Whether all of it was scored."""


def climb(
    desk: Climber, request: Request, decision: Decision, attempts: list[Attempt]
) -> Asking[Answered]:
    """The answer that is shown; raises `Abstained` or an `ArmError`."""
    bought: list[_Bought] = []
    failures: list[ArmError] = []
    gone: set[str] = set()
    move = Move(ask=decision.arm, final=decision.final)
    while move.ask is not None:
        try:
            bought.append((yield from _buy(desk, request, decision, move, attempts)))
            yield from _leave_before_last(bought)
        except ArmError as error:
            failures.append(error)
            gone.add(error.arm)
            if error.shown or not desk.falls_back:
                raise
        else:
            if move.final:
                return (yield from _show(desk, decision, bought, len(bought) - 1, attempts))
        move = yield from _affordable_move(desk, request, decision, bought, gone)
        if move.show is not None:
            return (yield from _show(desk, decision, bought, move.show, attempts))
        if move.ask is None and bought:
            yield from _leave(bought[-1])
            raise Abstained(
                f"no answer was good enough to show ({move.reason or 'says the cascade'}): "
                "take one of this error's `replies`, or ask a person",
                replies=[(each.reply, each.draft.score) for each in bought],
            )
        if move.ask is None:
            move = Move(ask=(yield from desk.take_over(decision, attempts)))
    raise first_told_of_the_others(failures)


def _affordable_move(
    desk: Climber,
    request: Request,
    decision: Decision,
    bought: Sequence[_Bought],
    gone: set[str],
) -> Asking[Move]:
    """The cascade's next move whose call fits the budget; arms that do not fit are ``gone``."""
    drafts = [each.draft for each in bought]
    move = desk.next_move(request, decision, drafts, gone)
    while move.ask is not None:
        fits = yield from desk.afford(decision, move.ask)
        if fits:
            break
        gone.add(move.ask)
        move = desk.next_move(request, decision, drafts, gone)
    return move


def _buy(
    desk: Climber, request: Request, decision: Decision, move: Move, attempts: list[Attempt]
) -> Asking[_Bought]:
    """Ask an arm, and score what it says unless that is shown in any case.

    Booked as rejected for as long as it is not shown.
    """
    reply = yield from _ask(desk, request, decision, move, attempts)
    card = desk.pool[reply.arm]
    attempts.append(replace(rejected(card, reply), propensity=move.propensity))
    score: float | None = None
    if not move.final:
        try:
            score = yield from desk.score_draft(request, reply)
        except BaseException:  # stopped: a scorer's failure does not come so far
            attempts[-1] = replace(attempts[-1], status="cancelled")
            raise
        attempts[-1] = replace(attempts[-1], score=score)
    draft = Draft(
        arm=reply.arm,
        score=score,
        cost_usd=attempts[-1].cost_usd,
        latency_s=reply.latency_s,
        partial=reply.partial,
        text=reply.text,
    )
    return _Bought(reply=reply, draft=draft, scored=not (move.final or reply.partial))


def _ask(
    desk: Climber, request: Request, decision: Decision, move: Move, attempts: list[Attempt]
) -> Asking[Reply]:
    """A draft; of one that is shown in any case, no more is held back than shows that it came."""
    assert move.ask is not None
    turns = yield from desk.adapt(request, move.ask)
    card = desk.pool[move.ask]
    call = Call(
        decision=decision,
        arm=move.ask,
        timeout_s=card.timeout_s,
        turns=turns,
        hold_back_chars=0 if move.final else desk.hold_back_chars,
    )
    reply = yield from booked(call, card, attempts)
    return reply


def _show(
    desk: Climber,
    decision: Decision,
    bought: Sequence[_Bought],
    place: int,
    attempts: list[Attempt],
) -> Asking[Answered]:
    chosen = bought[place]
    if chosen is not bought[-1]:
        yield from _leave(bought[-1])
    card = desk.pool[chosen.draft.arm]
    at = next(i for i, attempt in enumerate(attempts) if attempt.arm == card.name)
    propensity = attempts[at].propensity
    try:
        step = Release(decision=decision, reply=chosen.reply)
        reply = yield from booked(step, card, attempts)
        shown = succeeded(card, reply, chosen.draft.score)
        attempts.append(replace(shown, propensity=propensity))
    finally:
        del attempts[at]
    _compare([each.reply for each in bought], reply, attempts)
    score = chosen.draft.score if chosen.scored else None
    return Answered(reply=reply, drafted=True, scored=chosen.scored, score=score)


def _compare(drafts: Sequence[Reply], shown: Reply, attempts: list[Attempt]) -> None:
    """Note how far whole answers agree with that of the arm asked last, which is trusted most."""
    replies = [shown if draft.arm == shown.arm else draft for draft in drafts]
    whole = [reply for reply in replies if reply.text and not reply.partial]
    arm_to_end = {reply.arm: reply.text[-_COMPARED_CHARS:] for reply in whole}
    last = arm_to_end.get(replies[-1].arm)
    if last is None or len(whole) < 2:
        return
    for at, attempt in enumerate(attempts):
        end = arm_to_end.get(attempt.arm)
        if end is not None:
            attempts[at] = replace(attempt, agreement=same_answer(end, last))


def _leave_before_last(bought: Sequence[_Bought]) -> Asking[None]:
    """Once another arm has answered, a stream that stands still is of no use any more."""
    if len(bought) > 1:
        yield from _leave(bought[-2])


def _leave(bought: _Bought) -> Asking[None]:
    if bought.draft.partial:
        yield Withdraw(reply=bought.reply)

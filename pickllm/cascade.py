"""One request that asks arms one after another until an answer will do.

    Call, held back ──► score ──► move ──► Release: it is shown, to its end
        ▲                          │  └──► nothing is good enough: `Abstained`
        └──────────────────────────┘ ask another; a draft whose end was not awaited is withdrawn

Whom to ask and what will do, the `Cascade` says; here it is carried out. The consumer sees one
answer and never a rejected draft, and every draft is paid for and booked. An arm that fails is out
of the cascade; where all of it fails, others take over as they do without one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from pickllm.attempts import failed, interrupted, rejected, succeeded
from pickllm.errors import Abstained, ArmError, Interrupted
from pickllm.pool import Pool
from pickllm.protocols import Asking
from pickllm.types import (
    Attempt,
    Call,
    Decision,
    Draft,
    Move,
    Release,
    Reply,
    Request,
    Said,
    Withdraw,
)

__all__ = ["Answered", "Climber", "climb", "first_told_of_the_others"]


class Climber(Protocol):
    """What a cascade needs of its router."""

    @property
    def pool(self) -> Pool:
        """The arms."""

    @property
    def hold_back_chars(self) -> int:
        """How much of a stream is read before it is scored."""

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


def climb(
    desk: Climber, request: Request, decision: Decision, attempts: list[Attempt]
) -> Asking[Answered]:
    """The answer that is shown; raises `Abstained` or an `ArmError`."""
    bought: list[_Bought] = []
    failures: list[ArmError] = []
    gone: set[str] = set()
    arm: str | None = decision.arm
    final = False
    while arm is not None:
        try:
            reply = yield from _ask(desk, request, decision, arm, attempts, held_back=not final)
            if final:
                attempts.append(succeeded(desk.pool[arm], reply))
                return Answered(reply=reply, drafted=True)
            bought.append((yield from _scored(desk, request, reply, attempts)))
        except ArmError as error:
            if error.shown:
                raise
            failures.append(error)
            gone.add(arm)
        move = yield from _affordable_move(desk, request, decision, bought, gone)
        arm, final = move.ask, move.final
        if move.show is not None:
            return (yield from _show(desk, bought, move.show, attempts))
        if arm is not None or bought:
            yield from _leave_newest(bought)
        if arm is None and bought:
            raise Abstained(
                f"no answer was good enough to show ({move.reason or 'says the cascade'}): "
                "take one of this error's `replies`, or ask a person",
                replies=[(each.reply, each.draft.score) for each in bought],
            )
        if arm is None:
            arm = yield from desk.take_over(decision, attempts)
    raise first_told_of_the_others(failures)


def first_told_of_the_others(failures: Sequence[ArmError]) -> ArmError:
    """The chosen arm's failure, unless a later one broke off in sight of the consumer."""
    told = failures[-1] if failures[-1].shown else failures[0]
    for other in failures:
        if other is not told:
            told.original.add_note(f"arm {other.arm!r} failed too: {type(other.original).__name__}")
    return told


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


def _ask(
    desk: Climber,
    request: Request,
    decision: Decision,
    arm: str,
    attempts: list[Attempt],
    *,
    held_back: bool,
) -> Asking[Reply]:
    turns = yield from desk.adapt(request, arm)
    card = desk.pool[arm]
    try:
        reply: Reply = yield Call(
            decision=decision,
            arm=arm,
            timeout_s=card.timeout_s,
            turns=turns,
            hold_back_chars=desk.hold_back_chars if held_back else None,
        )
    except ArmError as error:
        attempts.append(failed(card, error))
        raise
    except Interrupted as stop:
        attempts.append(interrupted(card, stop))
        raise
    return reply


def _scored(
    desk: Climber, request: Request, reply: Reply, attempts: list[Attempt]
) -> Asking[_Bought]:
    """A draft with its score; booked as rejected for as long as it is not shown."""
    card = desk.pool[reply.arm]
    attempts.append(rejected(card, reply))
    score = yield from desk.score_draft(request, reply)
    attempts[-1] = rejected(card, reply, score)
    draft = Draft(
        arm=reply.arm,
        score=score,
        cost_usd=attempts[-1].cost_usd,
        latency_s=reply.latency_s,
        partial=reply.partial,
    )
    return _Bought(reply=reply, draft=draft)


def _show(
    desk: Climber, bought: Sequence[_Bought], place: int, attempts: list[Attempt]
) -> Asking[Answered]:
    chosen = bought[place]
    if chosen is not bought[-1]:
        yield from _leave_newest(bought)
    card = desk.pool[chosen.draft.arm]
    at = next(i for i, attempt in enumerate(attempts) if attempt.arm == card.name)
    try:
        reply: Reply = yield Release(reply=chosen.reply)
    except ArmError as error:
        attempts.append(failed(card, error))
        raise
    except Interrupted as stop:
        attempts.append(interrupted(card, stop))
        raise
    else:
        attempts.append(succeeded(card, reply, chosen.draft.score))
    finally:
        del attempts[at]
    if chosen.draft.partial:
        return Answered(reply=reply, drafted=True)
    return Answered(reply=reply, drafted=True, scored=True, score=chosen.draft.score)


def _leave_newest(bought: Sequence[_Bought]) -> Asking[None]:
    if bought and bought[-1].draft.partial:
        yield Withdraw(reply=bought[-1].reply)

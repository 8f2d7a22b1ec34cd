"""One request, from the prompt to the lesson. Read this first.

    request ──► recall ──► featurize ──► decide ──► Call(arm) ──► settle ──► judge ──► Routed
                  │                        ▲           │                        │
                  │ answered before        └───────────┘                        └──► memorise
                  └──► Routed              the next best arm, where one failed before its first
                                           visible output; a cascade asks on: `pickllm.cascade`

`answer` is a generator that never waits: it yields what it wants done, a `Call` of a model or some
blocking `Work`, and one of the four drivers in `drive.py` does it, sync or async, whole or
streamed. An arm's failure is thrown in as an `ArmError`, cancellation and a consumer who leaves as
`Interrupted`; these two are all that can go wrong with a call.
"""

import contextlib
from typing import Protocol

from pickllm.attempts import succeeded
from pickllm.calling import booked, first_told_of_the_others
from pickllm.cascade import Answered, Climber, climb
from pickllm.errors import ArmError, UnknownDecision
from pickllm.protocols import Asking
from pickllm.steps import Call
from pickllm.types import Attempt, Decision, Outcome, Request, Routed, Vector

__all__ = ["Desk", "answer"]


class Desk(Climber, Protocol):
    """What a flow needs of its router."""

    def recall(self, request: Request) -> Asking[Routed | None]:
        """An answer given before that may serve, booked already; None where there is none."""

    def featurize(self, request: Request) -> Asking[Vector | None]:
        """The prompt as a vector; None where the policy does not look at it."""

    def dispatch(self, request: Request, features: Vector | None) -> Asking[Decision]:
        """Choose an arm, enter the decision in the ledger, and set aside what its call may cost."""

    def climbs(self, request: Request, decision: Decision) -> bool:
        """Whether a cascade goes on from the arm chosen."""

    def note(self, outcome: Outcome) -> None:
        """Book what came of a decision, and learn what needs no judgement."""

    def keep(self) -> Asking[None]:
        """Write down what was learnt."""

    def settle(self, outcome: Outcome) -> None:
        """Both at once, where nothing can be waited for."""

    def judge(
        self, request: Request, decision: Decision, answered: Answered
    ) -> Asking[float | None]:
        """Score an answer and learn from it; None when nobody can tell."""

    def memorise(self, routed: Routed) -> Asking[None]:
        """Keep the answer for requests to come, if answers are kept."""


def answer(desk: Desk, request: Request) -> Asking[Routed]:
    """The whole of one request.

    Raises `NoEligibleArm`, `BudgetExceeded`, `Abstained` or an `ArmError`.
    """
    given_before = yield from desk.recall(request)
    if given_before is not None:
        return given_before
    features = yield from desk.featurize(request)
    decision = yield from desk.dispatch(request, features)
    attempts: list[Attempt] = []
    ask = climb if desk.climbs(request, decision) else _ask_until_answered
    try:
        answered = yield from ask(desk, request, decision, attempts)
    except Exception:  # no arm could answer, or none well enough
        yield from _settle(desk, decision, attempts)
        raise
    except BaseException:  # interrupted: nobody does any more work for this flow
        with contextlib.suppress(UnknownDecision):
            desk.settle(_outcome(decision, attempts))
        raise
    outcome = yield from _settle(desk, decision, attempts)
    score = yield from desk.judge(request, decision, answered)
    routed = Routed(
        request=request, decision=decision, reply=answered.reply, outcome=outcome, score=score
    )
    yield from desk.memorise(routed)
    return routed


def _ask_until_answered(
    desk: Desk, request: Request, decision: Decision, attempts: list[Attempt]
) -> Asking[Answered]:
    failures: list[ArmError] = []
    arm: str | None = decision.arm
    while arm is not None:
        turns = yield from desk.adapt(request, arm)
        card = desk.pool[arm]
        call = Call(decision=decision, arm=arm, timeout_s=card.timeout_s, turns=turns)
        try:
            reply = yield from booked(call, card, attempts)
        except ArmError as error:
            failures.append(error)
            arm = None if error.shown else (yield from desk.take_over(decision, attempts))
        else:
            attempts.append(succeeded(card, reply))
            return Answered(reply=reply)
    raise first_told_of_the_others(failures)


def _settle(desk: Desk, decision: Decision, attempts: list[Attempt]) -> Asking[Outcome]:
    outcome = _outcome(decision, attempts)
    with contextlib.suppress(UnknownDecision):  # let go meanwhile: the answer counts more
        desk.note(outcome)
    yield from desk.keep()
    return outcome


def _outcome(decision: Decision, attempts: list[Attempt]) -> Outcome:
    return Outcome(decision_id=decision.id, attempts=tuple(attempts))

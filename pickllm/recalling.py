"""Answers given before, at work for a router: recalled before anything is asked, kept afterwards.

A cache that fails is a miss, counted and logged; it takes no answer away. An answer that is given
again is a decision of its own, found by its own id: what is said of it reaches the cache, so that a
bad answer is not given a third time, and teaches no policy, for no arm was asked.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pickllm.pool import Pool
from pickllm.protocols import Asking, Cache
from pickllm.steps import Recite, Work
from pickllm.types import Attempt, Decision, Hold, Kept, Outcome, Reply, Request, Routed, Status

__all__ = ["RECITED", "Recalling", "outcome_of"]

logger = logging.getLogger("pickllm")

T = TypeVar("T")

RECITED = "answered before"
"""Why an arm that is named in a decision was not asked."""


class Recalling:
    """A cache with what keeps its failures from the answers."""

    def __init__(
        self,
        cache: Cache,
        *,
        pool: Pool,
        count: Callable[[str], None],
        clock: Callable[[], float],
        context: str = "",
    ) -> None:
        self.cache = cache
        self._context = context
        self.pool = pool
        self._count = count
        self._clock = clock

    def recite(self, request: Request) -> Asking[tuple[Decision, Reply] | None]:
        """An answer that may serve, ready to be shown; None where there is none."""
        in_a_loop = request.hold is not None and request.hold.continues
        if not request.call_digest or request.once or request.fresh or in_a_loop:
            return None
        asked = self._asked(request)
        kept = yield from self._tried(partial(self._recalled, asked))
        if kept is None or not self._may_serve(request, kept):
            return None
        decision = self._decision(request, kept)
        try:
            reply: Reply = yield Recite(decision=decision, kept=kept)
        except Exception as error:
            self._failed(error)
            return None
        return decision, reply

    def keep(self, routed: Routed) -> Asking[None]:
        """Keep an answer, as far as the cache finds it fit."""
        request, reply = routed.request, routed.reply
        if not request.call_digest or request.once or not reply.called or not _is_whole(reply):
            return
        kept = Kept(
            text=reply.text,
            arm=reply.arm,
            decision_id=routed.decision.id,
            policy=routed.decision.policy,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
            score=routed.score,
            time_s=self._clock(),
        )
        yield from self._tried(partial(self.cache.keep, self._asked(request), kept))

    def forget(self, arm: str) -> None:
        """Forget what an arm has answered, where the cache can."""
        try:
            getattr(self.cache, "forget", lambda _: None)(arm)
        except Exception as error:
            self._failed(error)

    def judged(self, decision: Decision, value: float) -> None:
        """Tell the cache how good an answer was."""
        given_in = decision.held.recites if decision.held else ""
        try:
            self.cache.judged(decision.id, value)
            if given_in:
                self.cache.judged(given_in, value)
        except Exception as error:
            self._failed(error)

    def _recalled(self, request: Request) -> Kept | None:
        kept: object = self.cache.recall(request)
        if isinstance(kept, Kept | None):
            return kept
        raise TypeError("a cache recalls a Kept, or None")

    def _asked(self, request: Request) -> Request:
        """As the cache sees it: what arms read in place of the prompt shapes answers, too."""
        if not self._context:
            return request
        return replace(request, call_digest=f"{request.call_digest} {self._context}")

    def _may_serve(self, request: Request, kept: Kept) -> bool:
        """Whether the arm that gave it is still one of those that this caller allows."""
        allowed = request.only if request.only is not None else self.pool.names
        return kept.arm in self.pool.names and kept.arm in allowed

    def _decision(self, request: Request, kept: Kept) -> Decision:
        return Decision(
            id=request.id,
            time_s=self._clock(),
            arm=kept.arm,
            propensity=1.0,
            arms=(kept.arm,),
            probabilities=(1.0,),
            policy=kept.policy,
            held=Hold(arm=kept.arm, reason=RECITED, recites=kept.decision_id),
            session=request.session,
            tenant=request.tenant,
        )

    def _tried(self, work: Callable[[], T]) -> Asking[T | None]:
        try:
            result: T = yield Work(run=work)
        except Exception as error:
            self._failed(error)
            return None
        return result

    def _failed(self, error: Exception) -> None:
        self._count("cache_failures")
        logger.warning("the cache of answers failed (%s)", type(error).__name__)
        logger.debug("the cache of answers failed", exc_info=error)  # it may quote the prompt


def outcome_of(decision: Decision, reply: Reply, status: Status = "ok") -> Outcome:
    """What came of an answer that was given again: no arm was asked, and nothing was paid."""
    attempt = Attempt(
        arm=decision.arm,
        status=status,
        latency_s=0.0,
        cost_usd=0.0,
        usage=reply.usage,
        called=False,
    )
    return Outcome(decision_id=decision.id, attempts=(attempt,))


def _is_whole(reply: Reply) -> bool:
    return reply.plain and not reply.calls_tools and bool(reply.text)

"""Which arm is asked: drawn by the policy or named by a cascade, within a budget, healthy, held.

    seen ──► split by budget ──► split by health ──► held | cascade's first | policy ──► drawn
                    ▲                                                                   │
                    └──────────────── what it may cost is not there any more ───────────┘

Nothing here learns, and nothing is booked but what is set aside in a budget.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pickllm.errors import ConfigError, PickLLMError
from pickllm.features import features_of
from pickllm.handover import unless_left
from pickllm.health import AT_REST, Breaker, Health
from pickllm.lock import Lock
from pickllm.numeric import checked_vector
from pickllm.pool import Pool
from pickllm.protocols import Asking, Cascade, Featurizer, Policy
from pickllm.rng import Rng, fresh_seed
from pickllm.settings import Fallback
from pickllm.spending import TAKEN, Spending
from pickllm.types import (
    NO_FEATURES,
    Anchors,
    Attempt,
    Choice,
    Decision,
    Draft,
    Hold,
    Move,
    Outcome,
    Request,
    Situation,
    Vector,
    Weights,
)

__all__ = ["Decider"]

logger = logging.getLogger("pickllm")


class Decider:
    """Draws arms for one router. Safe to share between threads."""

    def __init__(
        self,
        *,
        pool: Pool,
        policy: Policy[Any],
        featurizer: Featurizer | None,
        cascade: Cascade | None,
        fallback: Fallback,
        breaker: Breaker | None,
        spending: Spending | None,
        weights: Weights,
        anchors: Anchors,
        seed: int | None,
        clock: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self.pool = pool
        self.policy = policy
        self.featurizer = featurizer
        self.cascade = cascade
        self.fallback = fallback
        self.spending = spending
        self.health = Health(breaker)
        self.seed = fresh_seed() if seed is None else seed
        self._repeatable = seed is not None
        self._process = os.getpid()
        self._policy_name = policy.name
        self._cascade_name = "" if cascade is None else cascade.name
        self._weights, self._anchors = weights, anchors
        self._clock, self._count = clock, count
        self._next_number = 0
        self._lock = Lock()

    def seen(self, request: Request) -> Vector:
        """The prompt as a vector, made here and now; zeros where that fails."""
        if self.featurizer is None:
            return NO_FEATURES
        try:
            return features_of(self.featurizer, request)
        except Exception as error:  # an answer without a look at the prompt is still an answer
            return self.blind(error)

    def blind(self, error: Exception) -> Vector:
        """Features of a prompt that could not be looked at."""
        self._count("featurizer_failures")
        why = str(error) if isinstance(error, PickLLMError) else type(error).__name__
        logger.warning(
            "the featurizer failed (%s); deciding blindly. Its traceback is logged at DEBUG", why
        )
        logger.debug("the featurizer failed", exc_info=error)  # it may quote the prompt
        return np.zeros(self.featurizer.dim if self.featurizer else 0, dtype=np.float32)

    def decide(self, request: Request, features: Vector | None, state: object) -> Decision:
        """Draw an arm; with a budget, what its call can cost is set aside.

        Raises:
            NoEligibleArm: No arm may answer.
            BudgetExceeded: None of those that may is affordable.
            ConfigError: ``features`` are no vector of the featurizer's length.
        """
        able, unable = self.pool.eligible(request)
        seen = self.seen(request) if features is None else self._taken(features)
        draw = partial(self._drawn, request, seen, state)
        if self.spending is None:
            return draw(able, unable)
        return self._afforded(self.spending, request, draw, able, unable)

    def next_move(
        self,
        request: Request,
        decision: Decision,
        drafts: Sequence[Draft],
        gone: Collection[str],
    ) -> Move:
        """What the cascade does now; where it fails, the newest draft is shown."""
        arms = tuple(arm for arm in decision.arms if arm not in gone)
        if self.cascade is None or not (arms or drafts):
            return Move()
        situation = self._situation(request, arms, decision.features, decision.time_s)
        try:
            move = self.cascade.move(situation, drafts, self._rng())
            _check(move, arms, drafts)
        except Exception as error:  # an answer that is paid for is not lost for it
            self._tell_failure(error)
            return Move(show=len(drafts) - 1) if drafts else Move(ask=arms[0])
        return move

    def afford(self, decision: Decision, arm: str) -> Asking[bool]:
        """Set aside what one more call may cost; False where that does not fit the budget."""
        spending = self.spending
        if spending is None:
            return True
        reserve = partial(spending.reserve_more, decision, arm)
        if not spending.waits:
            return reserve()
        fits: bool = yield from unless_left(reserve, undo=partial(_give_back, spending, decision))
        return fits

    def take_over(self, decision: Decision, attempts: Sequence[Attempt]) -> Asking[str | None]:
        """The arm that takes over, once what its call may cost is set aside."""
        refused: list[str] = []
        while (arm := self.successor(decision, attempts, refused)) is not None:
            if (yield from self.afford(decision, arm)):
                return arm
            refused.append(arm)
        return None

    def successor(
        self, decision: Decision, attempts: Sequence[Attempt], refused: Sequence[str] = ()
    ) -> str | None:
        """The arm that takes over: the next of the user's order, or the likeliest one left.

        ``refused`` are arms that do not fit into the budget.
        """
        tried = {attempt.arm for attempt in attempts}.union(refused)
        at_rest = (arm for arm, why in decision.ineligible.items() if why.startswith(AT_REST))
        there = set(self.pool.names) - tried  # one may have been taken out meanwhile
        left = [arm for arm in (*decision.arms, *at_rest) if arm in there]
        if self.fallback is True:
            return max(left, key=decision.probability, default=None)
        return next((arm for arm in self.fallback or () if arm in left), None)

    def asked(self, decision: Decision) -> None:
        """The arm chosen is about to be asked."""
        with self._lock:
            self.health.asked(decision.arm, decision.time_s)

    def fared(self, outcome: Outcome, at_fault: Sequence[Attempt]) -> None:
        """How the arms asked fared, and what they did cost."""
        if self.spending is not None:
            self.spending.settle(outcome)
        with self._lock:
            for attempt in outcome.attempts:
                if attempt.status in ("ok", "rejected") and attempt.called:
                    self.health.succeeded(attempt.arm)
            for attempt in at_fault:
                self.health.failed(attempt.arm, self._clock())

    def _taken(self, features: Vector) -> Vector:
        """Features that were brought along; `ConfigError` where they are not what is looked at."""
        return checked_vector(features, dim=self.featurizer.dim if self.featurizer else None)

    def _drawn(
        self,
        request: Request,
        features: Vector,
        state: object,
        able: tuple[str, ...],
        unable: Mapping[str, str],
    ) -> Decision:
        now_s = self._clock()
        with self._lock:
            arms, resting = self.health.split(able, now_s)
        rng = self._rng()
        held = request.hold if request.hold and request.hold.arm in arms else None
        situation = self._situation(request, arms, features, now_s)
        first = Move() if held else self._first(request, situation, rng)
        choice, name = self._chosen(held, first.ask, situation, state, rng)
        drawn = rng.index(choice.probabilities)
        return Decision(
            id=request.id,
            time_s=now_s,
            arm=arms[drawn],
            propensity=choice.probabilities[drawn],
            arms=arms,
            probabilities=choice.probabilities,
            values=choice.values,
            forecasts=choice.forecasts,
            shadow=choice.shadow,
            ineligible={**unable, **resting},
            policy=name,
            final=first.final,
            held=held,
            features=features,
            session=request.session,
            tenant=request.tenant,
        )

    def _first(self, request: Request, situation: Situation, rng: Rng) -> Move:
        """What the cascade begins with; it asks no arm where that is left to the policy."""
        if self.cascade is None or request.once:
            return Move()
        try:
            move = self.cascade.move(situation, (), rng)
            _check(move, situation.arms, ())
        except Exception as error:
            self._tell_failure(error)
            return Move()
        return move

    def _chosen(
        self,
        held: Hold | None,
        first: str | None,
        situation: Situation,
        state: object,
        rng: Rng,
    ) -> tuple[Choice, str]:
        """How likely each arm is, and who says so."""
        if held is not None:
            return _only(held.arm, situation.arms), self._policy_name
        if first is not None:
            return _only(first, situation.arms), self._cascade_name
        return self._checked(self.policy.decide(state, situation, rng), situation), (
            self._policy_name
        )

    def _tell_failure(self, error: Exception) -> None:
        self._count("cascade_failures")
        logger.warning("the cascade failed: %s", type(error).__name__)
        logger.debug("the cascade failed", exc_info=error)  # it may quote the prompt

    def _checked(self, choice: Choice, situation: Situation) -> Choice:
        given, arms = choice.probabilities, situation.arms
        if len(given) != len(arms) or not (min(given) >= 0.0 and abs(sum(given) - 1.0) < 1e-6):
            raise ConfigError(
                f"{self.policy.name} gave the probabilities {given} for the arms {arms}; a policy "
                "gives one for each eligible arm, at least 0, and together 1"
            )
        return choice

    def _afforded(
        self,
        spending: Spending,
        request: Request,
        draw: Callable[[tuple[str, ...], Mapping[str, str]], Decision],
        able: tuple[str, ...],
        unable: Mapping[str, str],
    ) -> Decision:
        """Draw among the arms that fit into the budget, until what the one drawn needs is ours."""
        arm_to_most = spending.prices(request, able)
        left = dict(arm_to_most)
        while True:
            fitting, spent = spending.split(request.tenant, left)
            decision = draw(fitting, {**unable, **spent})
            if spending.reserve(decision, decision.arm, arm_to_most):
                return decision
            unable = {**unable, decision.arm: TAKEN}
            del left[decision.arm]

    def _situation(
        self, request: Request, arms: tuple[str, ...], features: Vector, time_s: float
    ) -> Situation:
        return Situation(
            arms=arms,
            request=request,
            features=features,
            cards=tuple(self.pool[arm] for arm in arms),
            weights=request.weights or self._weights,
            anchors=self._anchors,
            time_s=time_s,
        )

    def _rng(self) -> Rng:
        """The randomness of one decision, or of one move of a cascade."""
        with self._lock:
            self._reseed_where_forked()
            rng = Rng(seed=self.seed, number=self._next_number)
            self._next_number += 1
        return rng

    def _reseed_where_forked(self) -> None:
        """Children of one process would all draw the same; those given a seed are meant to."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self.seed = self.seed if self._repeatable else fresh_seed()


def _check(move: Move, arms: Collection[str], drafts: Sequence[Draft]) -> None:
    """See that a cascade's move can be made."""
    if move.ask is not None and (
        move.ask not in arms or any(draft.arm == move.ask for draft in drafts)
    ):
        raise ConfigError(f"a cascade asks {move.ask!r}, which may not be asked, or was already")
    if move.show is not None and not 0 <= move.show < len(drafts):
        raise ConfigError(f"a cascade shows draft {move.show} of {len(drafts)}")
    if move.show is not None and drafts[move.show].partial and move.show != len(drafts) - 1:
        raise ConfigError("a cascade comes back to a draft whose end was never read")


def _give_back(spending: Spending, decision: Decision, reserved: bool) -> None:  # what was undone
    if reserved:
        spending.withdraw(decision)


def _only(arm: str, arms: tuple[str, ...]) -> Choice:
    return Choice(probabilities=tuple(float(each == arm) for each in arms))

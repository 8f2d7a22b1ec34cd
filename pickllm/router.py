"""The parts put together: one object that decides, books, learns and explains.

    router = Router(arms=[Arm(name="small"), Arm(name="large")], policy="q_learning")
    drive.run(router.flow(Request(text="2 + 2 =")), port)       decide, ask through a port, learn
    router.decide(Request(text="2 + 2 ="))                      or only choose, and call it yourself
    router.feedback(decision_id, 1.0)                           now or later
    router.explain(decision_id)                                 why that arm

What came of decisions, and what was learnt from it, stands in its `pickllm.books`.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pickllm.books import Books, Verdict
from pickllm.budget import Budget
from pickllm.convergence import Convergence, convergence
from pickllm.errors import ConfigError, StoreUnavailable, UnknownDecision
from pickllm.explanation import Explanation
from pickllm.features import featurizer_name
from pickllm.flow import answer
from pickllm.handover import unless_left
from pickllm.health import AT_REST, Breaker, Health
from pickllm.keeper import Keeper
from pickllm.learner import Learner
from pickllm.ledger import Ledger, Relay
from pickllm.lock import Lock
from pickllm.policies import PolicyLike
from pickllm.pool import Pool
from pickllm.protocols import Asking, Featurizer, Renewable, Reward, state_name
from pickllm.rewards import checked_score
from pickllm.rng import Rng, fresh_seed
from pickllm.scoring import ScorerLike, scorer_of
from pickllm.settings import (
    DEFAULT_BREAKER,
    DEFAULT_POLICY,
    Fallback,
    WeightsLike,
    anchors_of,
    budget_of,
    check_prices,
    fallback_of,
    featurizer_for,
    policy_for,
    pool_of,
    reward_of,
    sources_of,
)
from pickllm.spending import TAKEN, Spending
from pickllm.stores import StoreLike, store_of
from pickllm.types import (
    NO_FEATURES,
    Arm,
    Attempt,
    Choice,
    Decision,
    Hold,
    Outcome,
    Reply,
    Request,
    Routed,
    Situation,
    Vector,
    Weights,
    Work,
)

__all__ = ["Router"]

logger = logging.getLogger("pickllm")

_SILENCE = 100
"""Decisions without any feedback after which a warning is due."""


class Router:
    """Decides which arm answers, and learns from what came of it. Safe to share between threads."""

    def __init__(
        self,
        *,
        arms: Pool | Mapping[str, Arm] | Iterable[Arm],
        policy: PolicyLike = DEFAULT_POLICY,
        weights: WeightsLike | None = None,
        reward: Reward | None = None,
        scorer: ScorerLike | None = None,
        learns_from: Iterable[str] | None = None,
        featurizer: Featurizer | None = None,
        fallback: Fallback = True,
        breaker: Breaker | None = DEFAULT_BREAKER,
        budget: Budget | None = None,
        store: StoreLike | None = None,
        namespace: str = "default",
        seed: int | None = None,
        max_decisions: int = 20_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Put a router together.

        Args:
            arms: The pool, as a list, by name, or made already.
            policy: A policy, its name in `pickllm.policies.POLICIES`, or a function that chooses.
                The default learns quality by prompt, and weighs it against cost and latency anew
                for each request.
            weights: What quality, cost and latency matter, for the default reward.
            reward: A reward of your own, in place of the default one.
            scorer: Scores every answer as it comes; without one, rewards come by `feedback`.
            learns_from: Sources of feedback that teach, such as "user"; others are booked and
                shown by `explain`, no more. None is all of them.
            featurizer: Makes a vector of each prompt, for a policy that looks at it; such a policy
                gets hashed words and the surface of the prompt where none is given.
            fallback: Who takes over from an arm that fails.
            breaker: When an arm that keeps failing is given a rest; None never.
            budget: The most that may be spent in a window of time, for each tenant or in all.
            store: Where decisions, feedback and learnt state are kept; without one they live as
                long as the router. Routers of one store and namespace learn as one.
            namespace: Which part of the store is this router's.
            seed: Makes the draws repeatable; None draws a fresh one.
            max_decisions: How many decisions are held for late feedback.
            clock: Seconds since the epoch.
        """
        self.pool = pool_of(arms)
        self.reward = reward_of(weights, reward)
        self.policy = policy_for(policy, self.pool, self.reward)
        self.scorer = None if scorer is None else scorer_of(scorer)
        self.featurizer = featurizer_for(self.policy, featurizer)
        self._instant = bool(getattr(self.featurizer, "instant", False))
        self.fallback = fallback_of(fallback, self.pool)
        self.seed = fresh_seed() if seed is None else seed
        self._repeatable = seed is not None
        self._process = os.getpid()
        self._clock = clock
        self._policy_name = self.policy.name
        weights = getattr(self.reward, "weights", None)
        self._weights = weights if isinstance(weights, Weights) else Weights()
        self._anchors = anchors_of(self.reward)
        self._next_number = 0
        self._health = Health(breaker)
        self._lock = Lock()
        opened = None if store is None else store_of(store)
        capped = budget_of(budget, self.pool)
        self._spending = (
            None
            if capped is None
            else Spending(capped, self.pool, store=opened, namespace=namespace, clock=clock)
        )
        keeper = Keeper(
            opened,
            namespace=namespace,
            policy=self.policy,
            state_name=self._state_name(),
            fresh=self._fresh_state(),
        )
        self._books = Books(
            ledger=Ledger(max_decisions=max_decisions),
            learner=Learner(
                policy=self.policy,
                state=keeper.load(),
                reward=self.reward,
                cost_counts=not self.pool.unpriced,
            ),
            keeper=keeper,
            learns_from=sources_of(learns_from),
            clock=clock,
        )
        check_prices(self.pool, self.reward)

    # Deciding

    def flow(self, request: Request) -> Asking[Routed]:
        """One request as steps for a driver; see `pickllm.flow` and `pickllm.drive`."""
        return answer(self, request)

    def featurize(self, request: Request) -> Asking[Vector | None]:
        """The prompt as a vector; zeros where the featurizer fails, which is counted and logged."""
        if self._books.keeper.stale:
            yield Work(run=self._books.save)
        if self._books.keeper.keeps and request.hold and not self.knows(request.hold.continues):
            yield Work(run=partial(self._fetch, request.hold.continues))
        if self.featurizer is None or self._instant:
            return None  # `decide` looks for itself: a thread would take longer
        try:
            features: Vector = yield Work(run=partial(self._looked_at, self.featurizer, request))
        except Exception as error:  # an answer without a look at the prompt is still an answer
            return self._blind(error)
        return features

    def decide(self, request: Request, features: Vector | None = None) -> Decision:
        """Choose an arm and enter the decision in the ledger, without calling anything.

        ``features``, ``[dim]``, are for a policy that looks at the prompt; without them the prompt
        is looked at here.

        With a budget, the most that the arm's call can cost is set aside until `settle`, or until
        the window ends; with a store, too, this waits for it.

        Raises:
            NoEligibleArm: No arm may answer.
            BudgetExceeded: None of those that may is affordable.
        """
        able, unable = self.pool.eligible(request)
        seen = self._seen(request) if features is None else features
        if self._spending is None:
            decision = self._drawn(request, seen, able, unable)
            self._enter(decision, request.trace_ids)
            return decision
        decision = self._afforded(self._spending, request, seen, able, unable)
        try:
            self._enter(decision, request.trace_ids)
        except BaseException:
            self._spending.withdraw(decision)
            raise
        return decision

    def dispatch(self, request: Request, features: Vector | None) -> Asking[Decision]:
        """`decide` for a flow: where it may wait for a store, a driver does."""
        if self._spending is None or not self._spending.waits:
            return self.decide(request, features)
        decision = yield from unless_left(
            partial(self.decide, request, features), undo=self._called_off
        )
        return decision

    def _drawn(
        self,
        request: Request,
        features: Vector,
        able: tuple[str, ...],
        unable: Mapping[str, str],
    ) -> Decision:
        now_s = self._clock()
        arms, resting, rng = self._prepared(able, now_s)
        held = request.hold if request.hold and request.hold.arm in arms else None
        situation = Situation(
            arms=arms,
            request=request,
            features=features,
            cards=tuple(self.pool[arm] for arm in arms),
            weights=request.weights or self._weights,
            anchors=self._anchors,
            time_s=now_s,
        )
        choice = _held(held, arms) if held else self._choose(situation, rng)
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
            policy=self._policy_name,
            held=held,
            features=features,
            session=request.session,
            tenant=request.tenant,
        )

    def _afforded(
        self,
        spending: Spending,
        request: Request,
        features: Vector,
        able: tuple[str, ...],
        unable: Mapping[str, str],
    ) -> Decision:
        """Draw among the arms that fit into the budget, until what the one drawn needs is ours."""
        arm_to_most = spending.prices(request, able)
        left = dict(arm_to_most)
        while True:
            fitting, spent = spending.split(request.tenant, left)
            decision = self._drawn(request, features, fitting, {**unable, **spent})
            if spending.reserve(decision, decision.arm, arm_to_most):
                return decision
            unable = {**unable, decision.arm: TAKEN}
            del left[decision.arm]

    def _called_off(self, decision: Decision) -> None:
        """A decision whose flow was stopped while it was made: nobody will call its arm."""
        with contextlib.suppress(UnknownDecision):
            self.settle(Outcome(decision_id=decision.id, attempts=()))

    def take_over(self, decision: Decision, attempts: Sequence[Attempt]) -> Asking[str | None]:
        """The arm that takes over, once what its call may cost is set aside."""
        arm, spending = self.successor(decision, attempts), self._spending
        if spending is None:
            return arm
        refused: list[str] = []
        while arm is not None:
            reserve = partial(spending.reserve_more, decision, arm)
            if spending.waits:
                give_back = partial(_give_back, spending, decision)
                fits = yield from unless_left(reserve, undo=give_back)
            else:
                fits = reserve()
            if fits:
                return arm
            refused.append(arm)
            arm = self.successor(decision, attempts, refused)
        return None

    def successor(
        self, decision: Decision, attempts: Sequence[Attempt], refused: Sequence[str] = ()
    ) -> str | None:
        """The arm that takes over: the next of the user's order, or the likeliest one left.

        ``refused`` are arms that do not fit into the budget.
        """
        tried = {attempt.arm for attempt in attempts}.union(refused)
        at_rest = (arm for arm, why in decision.ineligible.items() if why.startswith(AT_REST))
        left = [arm for arm in (*decision.arms, *at_rest) if arm not in tried]
        if self.fallback is True:
            return max(left, key=decision.probability, default=None)
        return next((arm for arm in self.fallback or () if arm in left), None)

    # What came of it

    def settle(self, outcome: Outcome) -> None:
        """Book what came of a decision, learn what needs no judgement, and keep it.

        Raises:
            UnknownDecision: No such decision is held here.
            ConfigError: It has an outcome already.
        """
        self.note(outcome)
        self._keep()

    def note(self, outcome: Outcome) -> None:
        """The same, but for the store: nothing here waits for a disk."""
        if self._spending is not None:
            self._spending.settle(outcome)
        at_fault = _at_fault(outcome)
        with self._lock:
            last = outcome.attempts[-1] if outcome.attempts else None
            if last is not None and last.status == "ok" and last.called:
                self._health.succeeded(last.arm)
            for attempt in at_fault:
                self._health.failed(attempt.arm, self._clock())
        self._books.settle(outcome, at_fault)

    def keep(self) -> Asking[None]:
        """Write to the store what was learnt, if there is a store and something new."""
        if self._due:
            yield Work(run=self._write)

    def judge(self, request: Request, decision: Decision, reply: Reply) -> Asking[float | None]:
        """Ask the scorer, if there is one. Its failure is counted and logged, no more.

        Of a tool loop the last turn that has a score counts: it corrects those before it.
        """
        if self.scorer is None or not reply.called:
            return None
        try:
            given = yield from self.scorer.score(request, reply)
            score = None if given is None else checked_score(given)
        except Exception as error:  # the answer is there: nothing may take it away
            self._count("scorer_failures")
            logger.warning(
                "the scorer failed (%s); an answer goes unscored. Its traceback is logged at DEBUG",
                type(error).__name__,
            )
            logger.debug("the scorer failed", exc_info=error)  # it may quote the prompt
            return None
        if score is not None:
            goes_on = decision.held is not None and decision.held.continues != ""
            self._learn_score(decision, score, correction=goes_on)
            yield from self.keep()
        return score

    def feedback(
        self, any_id: str, value: float, source: str = "user", *, correction: bool = False
    ) -> Verdict:
        """Say how good an answer was, now or later.

        Args:
            any_id: Which answer: the id of its decision, or of a run around it: then each
                decision inside is meant. A turn in a tool loop belongs to the one that began it.
            value: From 0 (useless) to 1 (perfect); True and False do as well.
            source: Who says so. Each source is heard once for each decision.
            correction: Take this value in place of the one that this source gave before.

        Returns:
            What became of it; see `Verdict`.

        Raises:
            ConfigError: The value is no number in [0, 1].
            UnknownDecision: No such decision is known, here or in the store.

        With a store, it is written there before this returns, and counts once among all workers.
        Where an event loop runs it is written a moment later, so as not to stop it: await
        `afeedback` there.
        """
        score, running = checked_score(value), _loop_runs()
        at_once = self._books.keeper.keeps and not running
        verdict = self._books.hear(any_id, score, source, correction=correction, at_once=at_once)
        self._keep()
        return verdict

    def afeedback(
        self, any_id: str, value: float, source: str = "user", *, correction: bool = False
    ) -> Awaitable[Verdict]:
        """The same for async code: awaited, it is written, and stops no loop meanwhile."""
        return asyncio.to_thread(self.feedback, any_id, value, source, correction=correction)

    def model_updated(self, arm: str) -> None:
        """Say that the model behind an arm is not what it was: little of what was learnt is kept.

        Raises:
            ConfigError: No such arm, or a policy that cannot be told.
        """
        if arm not in self.pool.names:
            raise ConfigError(f"no arm is called {arm!r}; there are {list(self.pool.names)}")
        if not isinstance(self.policy, Renewable):
            raise ConfigError(f"{self.policy.name} cannot be told that a model has changed")
        self._books.renew(arm)
        self._keep()

    def trace(self, trace_id: str, decision_id: str) -> None:
        """Find a decision by the id of a run around it, too; nothing where it is not held here."""
        self._books.trace(trace_id, decision_id)

    def relay(self, decision_id: str, relay: Relay) -> None:
        """Let someone else hear what is said of a decision: the router inside an arm.

        Nothing happens where the decision is not held here.
        """
        self._books.relay(decision_id, relay)

    def save(self) -> None:
        """Write what waits for the store, and take over what other workers have learnt."""
        self._books.save(look=True)
        if self._spending is not None:
            self._spending.flush()

    def close(self, *, patience_s: float = 5.0) -> None:
        """Write everything that waits for the store, and a snapshot for the next to begin with.

        A store that is away is waited for, ``patience_s`` at most; what is not written then is
        lost, and a warning says how much.
        """
        self._books.close(patience_s=patience_s)
        if self._spending is not None:
            self._spending.flush()

    # What it knows

    @property
    def ledger(self) -> Ledger:
        """The decisions held, with what came of them."""
        return self._books.ledger

    @property
    def state(self) -> Any:
        """What the policy has learnt: a value, replaced and never changed."""
        return self._books.learner.state

    @property
    def last_decision(self) -> Decision | None:
        """The newest decision, if one was made."""
        with self._books.lock:
            return self.ledger.last.decision if self.ledger else None

    def reset(self) -> None:
        """Start a new session: forget what was learnt, and the decisions it was learnt from."""
        self._books.reset(self._fresh_state())
        self._books.save(look=True)

    def explain(self, any_id: str) -> Explanation:
        """Why that arm: who could answer, what was expected of each, and what came of it.

        Raises:
            UnknownDecision: No such decision is known, here or in the store.
        """
        found = self._books.found(any_id)
        with self._books.lock:
            own = any_id in self.ledger
            return Explanation.of(self.ledger[any_id] if own else found[-1], self.pool)

    def convergence(self, *, patience: int = 50) -> Convergence:
        """Whether the decisions held have come to rest on one arm, and since when."""
        with self._books.lock:
            decisions = [record.decision for record in self.ledger]
        return convergence(
            [decision.arms for decision in decisions],
            [decision.probabilities for decision in decisions],
            patience=patience,
        )

    def stats(self) -> dict[str, int]:
        """What happened how often: decisions, outcomes by status, feedback by verdict, failures."""
        spent = self._spending.stats() if self._spending is not None else {}
        return {**self._books.stats(), **spent}

    def budget_left_usd(self, tenant: str = "") -> float | None:
        """What may still be spent in this window, less what is set aside; None without a budget."""
        return None if self._spending is None else self._spending.left_usd(tenant)

    def decisions(self, any_id: str) -> tuple[str, ...]:
        """Ids of the decisions that feedback under this id is about; none where it is not held.

        An id of a decision or of a run around some. A turn in a tool loop belongs to the decision
        that began it.
        """
        with self._books.lock:
            return self.ledger.found(any_id)

    def knows(self, any_id: str) -> bool:
        """Whether a decision is held here, under its own id or that of a run around it."""
        return bool(self.decisions(any_id))

    # Inside

    def _seen(self, request: Request) -> Vector:
        """The prompt as a vector, made here and now; zeros where that fails."""
        if self.featurizer is None:
            return NO_FEATURES
        try:
            return self._looked_at(self.featurizer, request)
        except Exception as error:  # an answer without a look at the prompt is still an answer
            return self._blind(error)

    @staticmethod
    def _looked_at(featurizer: Featurizer, request: Request) -> Vector:
        text_of = getattr(featurizer, "text_of", None)
        return featurizer.features(request.text if text_of is None else text_of(request))

    def _fetch(self, decision_id: str) -> None:
        """A turn may go on with what another worker decided."""
        if decision_id:
            with contextlib.suppress(StoreUnavailable):
                self._books.fetch(decision_id)

    def _blind(self, error: Exception) -> Vector:
        self._count("featurizer_failures")
        logger.warning("the featurizer failed (%s); deciding blindly", type(error).__name__)
        return np.zeros(self.featurizer.dim if self.featurizer else 0, dtype=np.float32)

    def _state_name(self) -> str:
        """What learnt state hangs on: the policy, and the features that it has learnt from."""
        if self.featurizer is None or not getattr(self.policy, "looks_at_prompt", True):
            return state_name(self.policy)
        return f"{state_name(self.policy)} on {featurizer_name(self.featurizer)}"

    def _choose(self, situation: Situation, rng: Rng) -> Choice:
        choice = self.policy.decide(self.state, situation, rng)
        given, arms = choice.probabilities, situation.arms
        if len(given) != len(arms) or not (min(given) >= 0.0 and abs(sum(given) - 1.0) < 1e-6):
            raise ConfigError(
                f"{self.policy.name} gave the probabilities {given} for the arms {arms}; a policy "
                "gives one for each eligible arm, at least 0, and together 1"
            )
        return choice

    def _prepared(
        self, able: tuple[str, ...], now_s: float
    ) -> tuple[tuple[str, ...], dict[str, str], Rng]:
        """Arms that may be asked now, which others rest, and this decision's randomness."""
        with self._lock:
            self._reseed_where_forked()
            healthy, resting = self._health.split(able, now_s)
            rng = Rng(seed=self.seed, number=self._next_number)
            self._next_number += 1
        return healthy, resting, rng

    def _reseed_where_forked(self) -> None:
        """Children of one process would all draw the same; those given a seed are meant to."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self.seed = self.seed if self._repeatable else fresh_seed()

    def _enter(self, decision: Decision, trace_ids: Sequence[str]) -> None:
        self._books.enter(decision, trace_ids)
        with self._lock:
            self._health.asked(decision.arm, decision.time_s)
        counts = self._books.counts
        if (
            counts["decisions"] == _SILENCE
            and not counts["feedback_counted"]
            and self.state is not None  # a policy that could learn,
            and getattr(self.policy, "learns", True)  # and does
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
            self._books.hear(decision.id, score, "scorer", correction=correction, at_once=False)
        except UnknownDecision:
            pass  # let go meanwhile, and counted
        except Exception as error:
            self._count("learning_failures")
            logger.warning("the reward or the policy failed: %s", type(error).__name__)

    def _count(self, what: str) -> None:
        with self._books.lock:
            self._books.counts[what] += 1

    def _keep(self) -> None:
        """Write now; where a loop runs, in one of its threads: a disk must not stop it."""
        if not self._due:
            return
        try:
            asyncio.get_running_loop().run_in_executor(None, self._write)
        except RuntimeError:  # no loop here, or one that is closing
            self._write()

    @property
    def _due(self) -> bool:
        """Whether there is something to write, or to read."""
        spent = self._spending is not None and self._spending.due
        return spent or self._books.keeper.due

    def _write(self) -> None:
        self._books.save()
        if self._spending is not None:
            self._spending.flush()

    def _fresh_state(self) -> Any:
        return self.policy.init(self.pool.names, self.featurizer.dim if self.featurizer else 0)


def _give_back(spending: Spending, decision: Decision, reserved: bool) -> None:  # what was undone
    if reserved:
        spending.withdraw(decision)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _at_fault(outcome: Outcome) -> list[Attempt]:
    """Arms to blame. Where several were asked in vain, the request may be the reason."""
    failed = [attempt for attempt in outcome.attempts if attempt.status == "error"]
    answered = outcome.status in ("ok", "abandoned")
    return failed if answered or len(outcome.attempts) == 1 else []


def _held(hold: Hold, arms: tuple[str, ...]) -> Choice:
    return Choice(probabilities=tuple(float(arm == hold.arm) for arm in arms))

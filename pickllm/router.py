"""The parts put together: one object that decides, books, learns and explains.

    router = Router(arms=[Arm(name="small"), Arm(name="large")], policy="q_learning")
    drive.run(router.flow(Request(text="2 + 2 =")), port)       decide, ask through a port, learn
    router.decide(Request(text="2 + 2 ="))                      or only choose, and call it yourself
    router.feedback(decision_id, 1.0)                           now or later
    router.explain(decision_id)                                 why that arm

What came of decisions, and what was learnt from it, stands in its `pickllm.booking.books`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pickllm.adapting import adapted
from pickllm.booking.books import Books, Verdict
from pickllm.booking.keeper import Keeper
from pickllm.booking.learner import Learner
from pickllm.booking.ledger import Ledger, Relay
from pickllm.budget import Budget
from pickllm.convergence import Convergence, convergence
from pickllm.deciding import Decider
from pickllm.errors import ConfigError, StoreUnavailable, UnknownDecision
from pickllm.explanation import Explanation
from pickllm.features import featurizer_name
from pickllm.flow import answer
from pickllm.handover import unless_left
from pickllm.health import Breaker
from pickllm.judging import draft_score, score_or_none
from pickllm.policies import PolicyLike
from pickllm.pool import Pool
from pickllm.protocols import (
    Adaptation,
    Asking,
    Cache,
    Cascade,
    Featurizer,
    Renewable,
    Reward,
    state_name,
)
from pickllm.recalling import Recalling, outcome_of
from pickllm.rewards import checked_score
from pickllm.scoring import ScorerLike, scorer_of
from pickllm.settings import (
    DEFAULT_BREAKER,
    DEFAULT_POLICY,
    Fallback,
    WeightsLike,
    anchors_of,
    budget_of,
    cascade_of,
    check_prices,
    fallback_of,
    featurizer_for,
    policy_for,
    pool_of,
    reward_of,
    sources_of,
    weights_in,
)
from pickllm.spending import Spending
from pickllm.stores import StoreLike, store_of
from pickllm.types import (
    Arm,
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
        cascade: Cascade | None = None,
        answers: Cache | None = None,
        adaptations: Adaptation | None = None,
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
            cascade: Asks arms one after another until an answer will do; see `pickllm.cascading`.
            answers: Keeps answers, and gives them again; see `pickllm.cache`.
            adaptations: What arms read in place of the prompt; see `pickllm.prompting`.
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
        self.cascade = cascade_of(cascade, self.pool)
        self.adaptations = adaptations
        self._instant = bool(getattr(self.featurizer, "instant", False))
        self._clock = clock
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
        self._decider = Decider(
            pool=self.pool,
            policy=self.policy,
            featurizer=self.featurizer,
            cascade=self.cascade,
            fallback=fallback_of(fallback, self.pool),
            breaker=breaker,
            spending=self._spending,
            weights=weights_in(self.reward),
            anchors=anchors_of(self.reward),
            seed=seed,
            clock=clock,
            count=self._books.count,
        )
        self._recalling = (
            None
            if answers is None
            else Recalling(answers, pool=self.pool, count=self._books.count, clock=clock)
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
            features: Vector = yield Work(run=partial(self.featurizer.features, request.text))
        except Exception as error:  # an answer without a look at the prompt is still an answer
            return self._decider.blind(error)
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
        decision = self._decider.decide(request, features, self.state)
        try:
            self._enter(decision, request.trace_ids)
        except BaseException:
            if self._spending is not None:
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

    def climbs(self, request: Request, decision: Decision) -> bool:
        """Whether a cascade goes on from the arm chosen: not inside a tool loop, and so on."""
        free = not request.once and decision.held is None
        return self.cascade is not None and free and len(decision.arms) > 1

    @property
    def hold_back_chars(self) -> int:
        """How much of a stream is read before a cascade scores it."""
        return self.cascade.hold_back_chars if self.cascade is not None else 1

    def next_move(
        self, request: Request, decision: Decision, drafts: Sequence[Draft], gone: Collection[str]
    ) -> Move:
        """What the cascade does now; ``gone`` are arms that failed, or that nobody can afford."""
        return self._decider.next_move(request, decision, drafts, gone)

    def afford(self, decision: Decision, arm: str) -> Asking[bool]:
        """Set aside what one more call may cost; False where that does not fit the budget."""
        return self._decider.afford(decision, arm)

    def take_over(self, decision: Decision, attempts: Sequence[Attempt]) -> Asking[str | None]:
        """The arm that takes over, once what its call may cost is set aside."""
        return self._decider.take_over(decision, attempts)

    def adapt(self, request: Request, arm: str) -> Asking[tuple[Said, ...] | None]:
        """What the arm reads in place of the conversation; None for the conversation itself."""
        if self.adaptations is None:
            return None
        turns = yield from adapted(self.adaptations, request, self.pool[arm], self._books.count)
        return turns

    # Answers given before

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept: then a request needs its ``call_digest``."""
        return self._recalling is not None

    def recall(self, request: Request) -> Asking[Routed | None]:
        """An answer given before that may serve, booked already; None where there is none."""
        if self._recalling is None:
            return None
        found = yield from self._recalling.recite(request)
        if found is None:
            return None
        decision, reply = found
        self._books.enter(decision, request.trace_ids)
        outcome = outcome_of(decision, reply)
        self.note(outcome)
        yield from self.keep()
        return Routed(request=request, decision=decision, reply=reply, outcome=outcome)

    def memorise(self, routed: Routed) -> Asking[None]:
        """Keep the answer for requests to come, if answers are kept."""
        if self._recalling is not None:
            yield from self._recalling.keep(routed)

    def _called_off(self, decision: Decision) -> None:
        """A decision whose flow was stopped while it was made: nobody will call its arm."""
        with contextlib.suppress(UnknownDecision):
            self.settle(Outcome(decision_id=decision.id, attempts=()))

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
        at_fault = _at_fault(outcome)
        self._decider.fared(outcome, at_fault)
        self._books.settle(outcome, at_fault)

    def keep(self) -> Asking[None]:
        """Write to the store what was learnt, if there is a store and something new."""
        if self._due:
            yield Work(run=self._write)

    def score_draft(self, request: Request, reply: Reply) -> Asking[float | None]:
        """What the cascade's scorer gives a draft; None where it cannot tell."""
        if self.cascade is None:
            return None
        score = yield from draft_score(self.cascade.scorer, request, reply, self._books.count)
        return score

    def judge(
        self, request: Request, decision: Decision, reply: Reply, known: float | None = None
    ) -> Asking[float | None]:
        """Ask the scorer, if there is one. Its failure is counted and logged, no more.

        Of a tool loop the last turn that has a score counts: it corrects those before it. Without
        a scorer of the router's own, what a cascade's has said is ``known``, and counts.
        """
        if not reply.called:
            return None
        score = known
        if self.scorer is not None:
            score = yield from score_or_none(self.scorer, request, reply, self._books.count)
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
        self._tell_cache(any_id, score)
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
    def fallback(self) -> Fallback:
        """Who takes over from an arm that fails."""
        return self._decider.fallback

    @property
    def seed(self) -> int:
        """What makes the draws repeatable."""
        return self._decider.seed

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

    def _fetch(self, decision_id: str) -> None:
        """A turn may go on with what another worker decided."""
        if decision_id:
            with contextlib.suppress(StoreUnavailable):
                self._books.fetch(decision_id)

    def _state_name(self) -> str:
        """What learnt state hangs on: the policy, and the features that it has learnt from."""
        if self.featurizer is None or not getattr(self.policy, "looks_at_prompt", True):
            return state_name(self.policy)
        return f"{state_name(self.policy)} on {featurizer_name(self.featurizer)}"

    def _enter(self, decision: Decision, trace_ids: Sequence[str]) -> None:
        self._books.enter(decision, trace_ids)
        self._decider.asked(decision)
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
            self._books.count("learning_failures")
            logger.warning("the reward or the policy failed: %s", type(error).__name__)

    def _tell_cache(self, any_id: str, score: float) -> None:
        """What is said of an answer reaches whoever may give it again."""
        recalling = self._recalling
        if recalling is None:
            return
        with self._books.lock:
            held = [self.ledger[i].decision for i in self.ledger.found(any_id)]
        for decision in held:
            _in_background(partial(recalling.judged, decision, score))

    def _keep(self) -> None:
        """Write now; where a loop runs, in one of its threads: a disk must not stop it."""
        if not self._due:
            return
        _in_background(self._write)

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


def _in_background(work: Callable[[], object]) -> None:
    """Now; where a loop runs, in one of its threads."""
    try:
        asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError:  # no loop here, or one that is closing
        work()


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

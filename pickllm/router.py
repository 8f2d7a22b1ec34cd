"""The parts put together: one object that decides, books, learns and explains.

    router = Router(arms=[Arm(name="small"), Arm(name="large")], policy="q_learning")
    drive.run(router.flow(Request(text="2 + 2 =")), port)       decide, ask through a port, learn
    router.decide(Request(text="2 + 2 ="))                      or only choose, and call it yourself
    router.feedback(decision_id, 1.0)                           now or later
    router.explain(decision_id)                                 why that arm

What came of decisions, and what was learnt from it, stands in its `pickllm.booking.books`.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pickllm.attempts import checked, priced
from pickllm.booking.books import Books, Verdict
from pickllm.booking.keeper import Keeper
from pickllm.booking.learner import Learner
from pickllm.booking.ledger import Ledger, Relay
from pickllm.budget import Budget
from pickllm.convergence import Convergence, convergence
from pickllm.deciding import Decider
from pickllm.desk import FrontDesk, in_background, loop_here
from pickllm.errors import ConfigError
from pickllm.explanation import Explanation
from pickllm.features import featurizer_name
from pickllm.flow import answer
from pickllm.health import Breaker
from pickllm.numeric import check_numbers
from pickllm.policies import PolicyLike
from pickllm.pool import Pool
from pickllm.prompting.composed import AdaptationsLike, adaptations_of
from pickllm.protocols import (
    Asking,
    Cache,
    Cascade,
    Featurizer,
    Renewable,
    Reward,
    state_name,
)
from pickllm.recalling import Recalling
from pickllm.rewards import checked_score
from pickllm.scoring import ScorerLike, scorer_of
from pickllm.settings import (
    DEFAULT_BREAKER,
    DEFAULT_POLICY,
    Fallback,
    WeightsLike,
    anchors_of,
    answers_of,
    budget_of,
    cascade_of,
    check_kinds,
    check_prices,
    fallback_of,
    featurizer_for,
    policy_for,
    pool_of,
    reward_of,
    sources_of,
    transcripts_of,
    weights_in,
)
from pickllm.spending import Spending
from pickllm.stores import StoreLike, store_of
from pickllm.types import (
    Arm,
    Decision,
    Outcome,
    Request,
    Routed,
    Vector,
)

if TYPE_CHECKING:
    from pickllm.transcripts import Transcripts

__all__ = ["Router"]

logger = logging.getLogger("pickllm")


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
        adaptations: AdaptationsLike | None = None,
        transcripts: "Transcripts | None" = None,
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
            adaptations: What arms read in place of the prompt: one of `pickllm.prompting`, several
                in order, or either for each arm by its name, with "*" for the others.
            transcripts: Keeps prompts and answers, to teach a small model; see
                `pickllm.transcripts`.
            store: Where decisions, feedback and learnt state are kept; without one they live as
                long as the router. Routers of one store and namespace learn as one.
            namespace: Which part of the store is this router's.
            seed: Makes the draws repeatable; None draws a fresh one.
            max_decisions: How many decisions are held for late feedback.
            clock: Seconds since the epoch.
        """
        check_kinds(seed=seed, namespace=namespace, max_decisions=max_decisions)
        self.pool = pool_of(arms)
        self.reward = reward_of(weights, reward)
        self.policy = policy_for(policy, self.pool, self.reward)
        self.scorer = None if scorer is None else scorer_of(scorer)
        self.featurizer = featurizer_for(self.policy, featurizer)
        self.cascade = cascade_of(cascade, self.pool)
        self.adaptations = (
            None if adaptations is None else adaptations_of(adaptations, arms=self.pool.names)
        )
        self.transcripts = transcripts_of(transcripts)
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
        answers = answers_of(answers)
        self._recalling = (
            None
            if answers is None
            else Recalling(
                answers,
                pool=self.pool,
                count=self._books.count,
                clock=clock,
                context="" if self.adaptations is None else self.adaptations.name,
            )
        )
        self._desk = FrontDesk(
            decider=self._decider,
            books=self._books,
            scorer=self.scorer,
            adaptation=self.adaptations,
            recalling=self._recalling,
            transcripts=self.transcripts,
        )
        check_prices(self.pool, self.reward)

    # Deciding

    def flow(self, request: Request) -> Asking[Routed]:
        """One request as steps for a driver; see `pickllm.flow` and `pickllm.drive`."""
        return answer(self._desk, request)

    def featurize(self, request: Request) -> Asking[Vector | None]:
        """The prompt as a vector, for `decide`, as steps for a driver; None where it looks itself.

        Takes over what other workers have learnt, where that is due.
        """
        return self._desk.featurize(request)

    def decide(self, request: Request, features: Vector | None = None) -> Decision:
        """Choose an arm and enter the decision in the ledger, without calling anything.

        ``features``, ``[dim]``, are for a policy that looks at the prompt; without them the prompt
        is looked at here.

        With a budget, the most that the arm's call can cost is set aside until `settle`, or until
        the window ends; with a store, too, this waits for it.

        Raises:
            NoEligibleArm: No arm may answer.
            BudgetExceeded: None of those that may is affordable.
            ConfigError: ``features`` are not of the featurizer's length, or not finite.
        """
        return self._desk.decide(request, features)

    def settle(self, outcome: Outcome) -> None:
        """Book what came of a decision, learn what needs no judgement, and keep it.

        An attempt that has ``usage`` and no cost is priced here, where its arm has a price.

        Raises:
            UnknownDecision: No such decision is held here.
            ConfigError: It has an outcome already, or a number in it is odd.
        """
        self._desk.settle(priced(checked(outcome), self.pool))

    def note(self, outcome: Outcome) -> None:
        """The same, but for the store: nothing here waits for a disk."""
        self._desk.note(outcome)

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept: then a request needs its ``call_digest``."""
        return self._recalling is not None

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
            ConfigError: The value is no number in [0, 1], or the source no name.
            UnknownDecision: No such decision is known, here or in the store.

        With a store, it is written there before this returns, and counts once among all workers.
        Where an event loop runs it is written a moment later, so as not to stop it: await
        `afeedback` there.
        """
        if not isinstance(source, str) or not source:
            raise ConfigError("source must say who judges, such as 'user'")
        score = checked_score(value)
        at_once = self._books.keeper.keeps and loop_here() is None
        verdict = self._books.hear(any_id, score, source, correction=correction, at_once=at_once)
        if verdict != "repeated":
            self._tell_keepers(any_id, score, source)
        self._desk.write_soon()
        return verdict

    def afeedback(
        self, any_id: str, value: float, source: str = "user", *, correction: bool = False
    ) -> Awaitable[Verdict]:
        """The same for async code: awaited, it is written, and stops no loop meanwhile."""
        from asyncio import to_thread

        return to_thread(self.feedback, any_id, value, source, correction=correction)

    def default_after(self, age_s: float, *, value: float, source: str = "silence") -> int:
        """Judge what nobody has judged by this age, where silence means something.

        Call it now and then. It is about the decisions held here whose answer was given; a verdict
        that comes later is another source's, and teaches beside it.

        Args:
            age_s: How long a verdict is waited for, in seconds from the decision.
            value: What silence says of an answer, in [0, 1].
            source: Under which name.

        Returns:
            How many decisions were judged.

        Raises:
            ConfigError: The value is no number in [0, 1], or the age is none.
        """
        check_numbers(age_s=age_s)
        checked_score(value)
        before_s = self._clock() - age_s
        silent = [
            record.decision.id
            for record in self.ledger
            if record.status == "ok"
            and not record.source_to_feedback
            and not record.begun_by  # judged with the decision that it goes on with
            and record.decision.time_s <= before_s
        ]
        for decision_id in silent:
            self.feedback(decision_id, value, source=source)
        return len(silent)

    def add_arm(self, arm: Arm) -> None:
        """Take one more arm into the pool while requests go on; what was learnt stays.

        It is given no head start: the policy expects of it what it expects of any arm of that
        price, tries it now and then, and comes to prefer it once it has shown that it is better.

        Raises:
            ConfigError: Its name is taken; or its price is unknown where those of all others are
                known, for then cost would count for none.
        """
        with self._books.lock:
            self._go_on_with((*self.pool.arms, arm))

    def update_arm(self, arm: Arm) -> None:
        """State anew what is known of an arm, such as its price, while requests go on.

        What was learnt stays. The default policy weighs the new price from the next request on; one
        that learns a single reward has learnt the old price with it.

        Raises:
            ConfigError: No arm has its name; or its price is not known any more.
        """
        with self._books.lock:
            self._check_name(getattr(arm, "name", ""))
            self._go_on_with(arm if each.name == arm.name else each for each in self.pool.arms)

    def remove_arm(self, name: str) -> None:
        """Ask an arm no more, while requests go on.

        Calls that are under way come to their end, feedback on its answers still teaches, and with
        `add_arm` it comes back with all that was learnt of it.

        Raises:
            ConfigError: No such arm, none would be left, or a setting names it.
        """
        with self._books.lock:
            self._check_name(name)
            self._go_on_with(each for each in self.pool.arms if each.name != name)

    def model_updated(self, arm: str) -> None:
        """Say that the model behind an arm is not what it was: little of what was learnt is kept.

        Nor is an answer that it gave before given again.

        Raises:
            ConfigError: No such arm, or a policy that cannot be told.
        """
        self._check_name(arm)
        if self._recalling is not None:
            in_background(partial(self._recalling.forget, arm))
        if not isinstance(self.policy, Renewable):
            raise ConfigError(
                f"{self.policy.name} cannot be told that a model has changed: take another policy, "
                "or `reset`. Answers that the model gave before are given no more"
            )
        self._books.renew(arm)
        self._desk.write_soon()

    def trace(self, trace_id: str, decision_id: str) -> None:
        """Find a decision by the id of a run around it, too; nothing where it is not held here."""
        self._books.trace(trace_id, decision_id)

    def relay(self, decision_id: str, relay: Relay, *, arm: str = "") -> None:
        """Let someone else hear what is said of a decision: the router inside an arm.

        Nothing happens where the decision is not held here. With ``arm``, only what is said of
        that arm's answer is passed on: a cascade may have asked several.
        """
        self._books.relay(decision_id, partial(self._pass_on, decision_id, relay, arm))

    def answered_by(self, decision_id: str) -> str:
        """The arm whose answer was given; empty where none is known here."""
        with self._books.lock:
            if decision_id not in self.ledger:
                return ""
            answer_given = self.ledger[decision_id].answer
            return answer_given.arm if answer_given else ""

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
            decisions = [
                record.decision
                for record in self.ledger
                if not (record.decision.held and record.decision.held.recites)
            ]
        return convergence(
            [decision.arms for decision in decisions],
            [decision.probabilities for decision in decisions],
            patience=patience,
        )

    def stats(self) -> dict[str, int]:
        """What happened how often: decisions, outcomes by status, feedback by verdict, failures."""
        spent = self._spending.stats() if self._spending is not None else {}
        kept = self.transcripts.stats() if self.transcripts is not None else {}
        return {**self._books.stats(), **spent, **kept}

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

    def _check_name(self, arm: str) -> None:
        if arm not in self.pool.names:
            raise ConfigError(f"no arm is called {arm!r}; there are {list(self.pool.names)}")

    def _go_on_with(self, arms: Iterable[Arm]) -> None:
        """Other arms from the next decision on."""
        pool = Pool(arms, before=self.pool)
        if pool.unpriced and not self.pool.unpriced:
            raise ConfigError(
                f"no price is known for {pool.unpriced[0]!r}, and then cost would count for no "
                "arm: state usd_per_hour, or usd_per_mtok_in and usd_per_mtok_out"
            )
        policy_for(self.policy, pool, self.reward)
        cascade_of(self.cascade, pool)
        fallback_of(self.fallback, pool)
        budget_of(None if self._spending is None else self._spending.budget, pool)
        self.pool = self._decider.pool = pool
        self._books.learner.cost_counts = not pool.unpriced
        for part in (self._spending, self._recalling):
            if part is not None:
                part.pool = pool

    def _state_name(self) -> str:
        """What learnt state hangs on: the policy, and the features that it has learnt from."""
        if self.featurizer is None or not getattr(self.policy, "looks_at_prompt", True):
            return state_name(self.policy)
        return f"{state_name(self.policy)} on {featurizer_name(self.featurizer)}"

    def _pass_on(
        self, decision_id: str, relay: Relay, arm: str, *said: Any
    ) -> None:  # value, source, correction
        if arm in ("", self.answered_by(decision_id)):
            relay(*said)

    def _tell_keepers(self, any_id: str, score: float, source: str) -> None:
        """What is said of an answer reaches whoever may give it again, or teach it."""
        recalling, transcripts = self._recalling, self.transcripts
        if recalling is None and transcripts is None:
            return
        with self._books.lock:
            held = [self.ledger[i] for i in self.ledger.found(any_id)]
        for record in held:
            if recalling is not None:
                in_background(partial(recalling.judged, record.decision, score))
            if transcripts is not None and source in record.source_to_feedback:
                value = record.source_to_feedback[source].value  # the first, or its correction
                in_background(partial(transcripts.judged, record.decision.id, value, source))

    def _fresh_state(self) -> Any:
        return self.policy.init(self.pool.names, self.featurizer.dim if self.featurizer else 0)

"""The parts put together: one object that decides, books, learns and explains.

    router = Router(arms=[Arm(name="small"), Arm(name="large")], policy="q_learning")
    drive.run(router.flow(Request(text="2 + 2 =")), port)       decide, ask through a port, learn
    router.decide(Request(text="2 + 2 ="))                      or only choose, and call it yourself
    router.feedback(decision_id, 1.0)                           now or later
    router.explain(decision_id)                                 why that arm

The router owns the learnt state and the one lock around it, which is never held while a model or a
scorer is at work.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from pickllm.convergence import Convergence, convergence
from pickllm.errors import ConfigError
from pickllm.explanation import Explanation
from pickllm.flow import answer
from pickllm.health import Breaker, Health
from pickllm.keeper import Keeper
from pickllm.learner import Learner
from pickllm.ledger import Ledger, Record
from pickllm.lock import Lock
from pickllm.policies import PolicyLike
from pickllm.pool import Pool
from pickllm.protocols import Asking, Featurizer, Reward
from pickllm.rewards import checked_score
from pickllm.rng import Rng, fresh_seed
from pickllm.scoring import ScorerLike, scorer_of
from pickllm.settings import (
    DEFAULT_BREAKER,
    Fallback,
    WeightsLike,
    check_prices,
    fallback_of,
    policy_for,
    pool_of,
    reward_of,
)
from pickllm.stores import StoreLike, store_of
from pickllm.types import (
    NO_FEATURES,
    Arm,
    Attempt,
    Choice,
    Decision,
    Feedback,
    Hold,
    Outcome,
    Reply,
    Request,
    Routed,
    Situation,
    Vector,
    Work,
)

__all__ = ["Router", "Verdict"]

logger = logging.getLogger("pickllm")

Verdict: TypeAlias = Literal["counted", "corrected", "waiting", "repeated", "no_answer"]
"""What became of feedback: learnt; learnt in place of an earlier value; kept until the answer is
there; ignored, for this source has spoken; ignored, for no model gave an answer to judge."""

_SILENCE = 100
"""Decisions without any feedback after which a warning is due."""


class Router:
    """Decides which arm answers, and learns from what came of it. Safe to share between threads."""

    def __init__(
        self,
        *,
        arms: Pool | Mapping[str, Arm] | Iterable[Arm],
        policy: PolicyLike = "epsilon_greedy",
        weights: WeightsLike | None = None,
        reward: Reward | None = None,
        scorer: ScorerLike | None = None,
        featurizer: Featurizer | None = None,
        fallback: Fallback = True,
        breaker: Breaker | None = DEFAULT_BREAKER,
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
            weights: What quality, cost and latency matter, for the default reward.
            reward: A reward of your own, in place of the default one.
            scorer: Scores every answer as it comes; without one, rewards come by `feedback`.
            featurizer: Makes a vector of each prompt, for a policy that looks at it.
            fallback: Who takes over from an arm that fails.
            breaker: When an arm that keeps failing is given a rest; None never.
            store: Where the learnt state is kept; without one it lives as long as the router.
            namespace: Which state of the store is this router's.
            seed: Makes the draws repeatable; None draws a fresh one.
            max_decisions: How many decisions are held for late feedback.
            clock: Seconds since the epoch.
        """
        self.pool = pool_of(arms)
        self.policy = policy_for(policy, self.pool)
        self.reward = reward_of(weights, reward)
        self.scorer = None if scorer is None else scorer_of(scorer)
        self.featurizer = featurizer
        self.fallback = fallback_of(fallback, self.pool)
        self.seed = fresh_seed() if seed is None else seed
        self.ledger = Ledger(max_decisions=max_decisions)
        self._clock = clock
        self._policy_name = self.policy.name
        self._next_number = 0
        self._counts: Counter[str] = Counter()
        self._health = Health(breaker)
        self._lock = Lock()
        kept_in = None if store is None else store_of(store)
        self._keeper = Keeper(kept_in, namespace=namespace, policy=self._policy_name)
        self._learner = self._learner_from(self._keeper.load(like=self._fresh_state()))
        check_prices(self.pool, self.reward)

    # Deciding

    def flow(self, request: Request) -> Asking[Routed]:
        """One request as steps for a driver; see `pickllm.flow` and `pickllm.drive`."""
        return answer(self, request)

    def featurize(self, request: Request) -> Asking[Vector | None]:
        """The prompt as a vector; zeros where the featurizer fails, which is counted and logged."""
        if self.featurizer is None:
            return None
        try:
            features: Vector = yield Work(run=partial(self.featurizer.features, request.text))
        except Exception as error:  # an answer without a look at the prompt is still an answer
            self._count("featurizer_failures")
            logger.warning("the featurizer failed (%s); deciding blindly", type(error).__name__)
            return np.zeros(self.featurizer.dim, dtype=np.float32)
        return features

    def decide(self, request: Request, features: Vector | None = None) -> Decision:
        """Choose an arm and enter the decision in the ledger, without calling anything.

        ``features``, ``[dim]``, are for a policy that looks at the prompt.
        """
        now_s = self._clock()
        arms, ineligible, rng = self._prepared(request, now_s)
        held = request.hold if request.hold and request.hold.arm in arms else None
        seen = NO_FEATURES if features is None else features
        situation = Situation(arms=arms, request=request, features=seen)
        choice = _held(held, arms) if held else self._choose(situation, rng)
        drawn = rng.index(choice.probabilities)
        decision = Decision(
            id=request.id,
            time_s=now_s,
            arm=arms[drawn],
            propensity=choice.probabilities[drawn],
            arms=arms,
            probabilities=choice.probabilities,
            values=choice.values,
            ineligible=ineligible,
            policy=self._policy_name,
            held=held,
            features=seen,
            session=request.session,
            tenant=request.tenant,
        )
        self._enter(decision, request.trace_ids)
        return decision

    def successor(self, decision: Decision, attempts: Sequence[Attempt]) -> str | None:
        """The arm that takes over: the next of the user's order, or the likeliest one left."""
        tried = {attempt.arm for attempt in attempts}
        left = [arm for arm in decision.arms if arm not in tried]
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
        with self._lock:
            record = self.ledger.settle(outcome)
            self._count_outcome(outcome)
            if outcome.status == "ok":
                self._health.succeeded(outcome.attempts[-1].arm)
            for attempt in self._at_fault(outcome):
                self._health.failed(attempt.arm, self._clock())
                self._learnt_from(partial(self._learner.blame, record, attempt))
            for feedback in record.source_to_feedback.values():
                self._learnt_from(partial(self._credit, record, feedback))

    def keep(self) -> Asking[None]:
        """Write to the store what was learnt, if there is a store and something new."""
        if self._keeper.behind(self.state):
            yield Work(run=self._save)

    def judge(self, request: Request, decision: Decision, reply: Reply) -> Asking[float | None]:
        """Ask the scorer, if there is one. Its failure is counted and logged, no more."""
        if self.scorer is None or not reply.called:
            return None
        try:
            score = yield from self.scorer.score(request, reply)
            if score is not None:
                self._heard(decision.id, score, "scorer")
        except Exception as error:  # the answer is there: nothing may take it away
            self._count("scorer_failures")
            logger.warning("the scorer failed (%s); an answer goes unscored", type(error).__name__)
            return None
        yield from self.keep()
        return score

    def feedback(
        self, decision_id: str, value: float, source: str = "user", *, correction: bool = False
    ) -> Verdict:
        """Say how good an answer was, now or later.

        Args:
            decision_id: Which answer: the id of its decision, or of a run around it: then each
                decision inside is meant. A turn in a tool loop belongs to the one that began it.
            value: From 0 (useless) to 1 (perfect); True and False do as well.
            source: Who says so. Each source is heard once for each decision.
            correction: Take this value in place of the one that this source gave before.

        Returns:
            What became of it; see `Verdict`.

        Raises:
            ConfigError: The value is no number in [0, 1].
            UnknownDecision: No such decision is held here.
        """
        verdict = self._heard(decision_id, value, source, correction=correction)
        self._keep()
        return verdict

    def trace(self, trace_id: str, decision_id: str) -> None:
        """Find a decision by the id of a run around it, too; nothing where it is not held here."""
        with self._lock:
            if decision_id in self.ledger:
                self.ledger.trace(trace_id, decision_id)

    # What it knows

    @property
    def state(self) -> Any:
        """What the policy has learnt: a value, replaced and never changed."""
        return self._learner.state

    @property
    def last_decision(self) -> Decision | None:
        """The newest decision, if one was made."""
        with self._lock:
            return self.ledger.last.decision if self.ledger else None

    def reset(self) -> None:
        """Start a new session: forget what was learnt, and the decisions it was learnt from."""
        with self._lock:
            self.ledger = Ledger(max_decisions=self.ledger.max_decisions)
            self._learner = self._learner_from(self._fresh_state())
        self._keep()

    def explain(self, decision_id: str) -> Explanation:
        """Why that arm: who could answer, what was expected of each, and what came of it."""
        with self._lock:
            own = decision_id in self.ledger
            key = decision_id if own else self._found(decision_id)[-1]
            return Explanation.of(self.ledger[key], self.pool)

    def convergence(self, *, patience: int = 50) -> Convergence:
        """Whether the decisions held have come to rest on one arm, and since when."""
        with self._lock:
            decisions = [record.decision for record in self.ledger]
        return convergence(
            [decision.arms for decision in decisions],
            [decision.probabilities for decision in decisions],
            patience=patience,
        )

    def stats(self) -> dict[str, int]:
        """What happened how often: decisions, outcomes by status, feedback by verdict, failures."""
        with self._lock:
            return {**self._counts, **self._keeper.stats()}

    def decisions(self, any_id: str) -> tuple[str, ...]:
        """The decisions that feedback under this id is about; none where it is not held here.

        An id of a decision or of a run around some. A turn in a tool loop belongs to the decision
        that began it.
        """
        with self._lock:
            return self.ledger.found(any_id)

    def knows(self, decision_id: str) -> bool:
        """Whether a decision is held here, under its own id or that of a run around it."""
        with self._lock:
            return bool(self.ledger.found(decision_id))

    # Inside

    def _choose(self, situation: Situation, rng: Rng) -> Choice:
        choice = self.policy.decide(self._learner.state, situation, rng)
        given, arms = choice.probabilities, situation.arms
        if len(given) != len(arms) or not (min(given) >= 0.0 and abs(sum(given) - 1.0) < 1e-6):
            raise ConfigError(
                f"{self.policy.name} gave the probabilities {given} for the arms {arms}; a policy "
                "gives one for each eligible arm, at least 0, and together 1"
            )
        return choice

    def _prepared(
        self, request: Request, now_s: float
    ) -> tuple[tuple[str, ...], dict[str, str], Rng]:
        """Arms that may be asked now, why not the others, and this decision's randomness."""
        able, unable = self.pool.eligible(request)
        with self._lock:
            healthy, resting = self._health.split(able, now_s)
            rng = Rng(seed=self.seed, number=self._next_number)
            self._next_number += 1
        return healthy, unable | resting, rng

    def _enter(self, decision: Decision, trace_ids: Sequence[str]) -> None:
        with self._lock:
            if self.ledger.add(decision):
                self._learnt_from(partial(self._learner.seal, self.ledger))
            for trace_id in trace_ids:
                self.ledger.trace(trace_id, decision.id)
            self._health.asked(decision.arm, decision.time_s)
            self._counts["decisions"] += 1
            silent = (
                self._counts["decisions"] == _SILENCE
                and not self._counts["feedback_counted"]
                and self.state is not None  # a policy that could learn
            )
        if silent:
            logger.warning(
                "%d decisions and no feedback: nothing is learnt. Give the router a scorer, call "
                "feedback(), or attach a RewardCallbackHandler (LangChain) or a RewardTracker "
                "(LlamaIndex)",
                _SILENCE,
            )

    def _heard(
        self, any_id: str, value: float, source: str, *, correction: bool = False
    ) -> Verdict:
        """Feedback, booked and learnt, but not kept yet."""
        score = checked_score(value)
        with self._lock:
            found = [self.ledger[key] for key in self._found(any_id)]
            verdicts = [self._hear(record, score, source, correction) for record in found]
            self._counts.update(f"feedback_{verdict}" for verdict in verdicts)
        return min(verdicts, key=get_args(Verdict).index)

    def _hear(self, record: Record, score: float, source: str, correction: bool) -> Verdict:
        heard = source in record.source_to_feedback
        if heard and not correction:
            return "repeated"
        feedback = Feedback(
            decision_id=record.decision.id,
            value=score,
            source=source,
            time_s=self._clock(),
            correction=correction,
        )
        credited = record.outcome is not None and self._learner.credit(record, feedback)
        record.source_to_feedback[feedback.source] = feedback
        if record.outcome is None:
            return "waiting"
        if not credited:
            return "no_answer"
        return "corrected" if heard else "counted"

    def _credit(self, record: Record, feedback: Feedback) -> None:
        """Feedback that came before the answer had ended."""
        credited = self._learner.credit(record, feedback)
        self._counts["feedback_counted" if credited else "feedback_no_answer"] += 1

    def _learnt_from(self, lesson: Callable[[], object]) -> None:
        """Learn; a reward or a policy that fails must not take the answer with it."""
        try:
            lesson()
        except Exception as error:
            self._counts["learning_failures"] += 1
            logger.warning("the reward or the policy failed: %s", type(error).__name__)

    def _at_fault(self, outcome: Outcome) -> list[Attempt]:
        """Arms to blame for failing. Where no arm answered, the request may be the reason."""
        failed = [attempt for attempt in outcome.attempts if attempt.status == "error"]
        comparable = self.fallback is not False and len(self.pool) > 1
        answered = outcome.status in ("ok", "abandoned")
        return failed if answered or not comparable else []

    def _count_outcome(self, outcome: Outcome) -> None:
        self._counts[f"outcome_{outcome.status}"] += 1
        self._counts["fallbacks"] += max(len(outcome.attempts) - 1, 0)
        self._counts["arm_failures"] += sum(a.status == "error" for a in outcome.attempts)

    def _found(self, any_id: str) -> tuple[str, ...]:
        """The decisions under an id of their own or of a run around them, or `UnknownDecision`."""
        found = self.ledger.found(any_id)
        if not found:
            self._counts["unknown_decisions"] += 1
        return found or (self.ledger[any_id].decision.id,)

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _keep(self) -> None:
        """Write now; where a loop runs, in one of its threads: a disk must not stop it."""
        if not self._keeper.behind(self.state):
            return
        try:
            asyncio.get_running_loop().run_in_executor(None, self._save)
        except RuntimeError:  # no loop here, or one that is closing
            self._save()

    def _save(self) -> None:
        self._keeper.save(lambda: self._learner.state)

    def _fresh_state(self) -> Any:
        return self.policy.init(self.pool.names, self.featurizer.dim if self.featurizer else 0)

    def _learner_from(self, state: Any) -> Learner:
        return Learner(
            policy=self.policy,
            state=state,
            reward=self.reward,
            cost_counts=not self.pool.unpriced,
        )


def _held(hold: Hold, arms: tuple[str, ...]) -> Choice:
    return Choice(probabilities=tuple(float(arm == hold.arm) for arm in arms))

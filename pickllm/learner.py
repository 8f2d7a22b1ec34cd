"""From what came of decisions to lessons, and from lessons to learnt state.

A lesson is one source's judgement of one decision, or the zero that an arm earns by failing where
another could answer. Policies such as the automaton cannot unlearn: their state depends on the
order of rewards. So the lessons of the decisions still held are kept, and a correction folds them
again from the state before the first of them, with the new value in the old one's place.
"""

from collections.abc import Container, Mapping
from typing import Any, TypeAlias

from pickllm.ledger import Record
from pickllm.protocols import Policy, Reward
from pickllm.rewards import checked_score
from pickllm.types import Attempt, Experience, Feedback, Observation

__all__ = ["Learner", "Lesson", "Taught"]

Lesson: TypeAlias = tuple[str, str]
"""Decision id and source: what makes a lesson count once."""

Taught: TypeAlias = tuple[str, tuple[Any, ...]]
"""What a lesson does to a state: a method of the policy, and its arguments behind the state."""


class Learner:
    """A policy's state, and the lessons that may still be corrected. Not locked: its router is."""

    def __init__(
        self, *, policy: Policy[Any], state: object, reward: Reward, cost_counts: bool
    ) -> None:
        self.policy = policy
        self.reward = reward
        self.cost_counts = cost_counts
        """False where some arm has no price: costs of some arms alone cannot be compared."""
        self.state = state
        self._base = state
        self._lessons: dict[Lesson, Taught] = {}

    def observe(self, record: Record, attempt: Attempt) -> None:
        """An attempt has ended: a policy that books what calls take is told."""
        seen = Observation(decision=record.decision, attempt=attempt)
        self._teach((record.decision.id, f"call of {attempt.arm}"), ("observe", (seen,)))

    def renew(self, arm: str, time_s: float) -> None:
        """The model behind an arm has changed: a policy that listens is told."""
        self._teach((f"update of {arm} at {time_s}", ""), ("model_updated", (arm, time_s)))

    def blame(self, record: Record, attempt: Attempt) -> None:
        """An arm failed where another could answer: it earns nothing."""
        spent = attempt.cost_usd, attempt.latency_s
        experience = _experience(record, attempt, spent, score=0.0, reward=0.0)
        self._learn((record.decision.id, f"failure of {attempt.arm}"), experience)

    def credit(self, record: Record, feedback: Feedback) -> bool:
        """A judgement of the answer; False where no model gave one."""
        attempt = record.answer
        if attempt is None:
            return False
        cost_usd, latency_s = record.spent
        reward = self.reward(
            score=feedback.value,
            cost_usd=cost_usd if self.cost_counts else None,
            latency_s=latency_s,
        )
        checked_score(reward, what="reward")
        experience = _experience(record, attempt, record.spent, score=feedback.value, reward=reward)
        self._learn((record.decision.id, feedback.source), experience)
        return True

    def seal(self, held: Container[str]) -> None:
        """Let go of the oldest lessons, as far as their decisions are no longer held.

        A lesson waits for those learnt before it, so about two ledgers' worth are kept at most.
        """
        while self._lessons:
            lesson = next(iter(self._lessons))
            if lesson[0] in held:
                return
            self._base = self._after(self._base, self._lessons.pop(lesson))

    def _learn(self, lesson: Lesson, experience: Experience) -> None:
        self._teach(lesson, ("learn", (experience,)))

    def _teach(self, lesson: Lesson, taught: Taught) -> None:
        """Nothing is changed where the policy fails: it would fail again at every fold."""
        if lesson in self._lessons:
            lessons = {**self._lessons, lesson: taught}
            self.state = self._fold(lessons)
            self._lessons = lessons
        else:
            self.state = self._after(self.state, taught)
            self._lessons[lesson] = taught

    def _fold(self, lessons: Mapping[Lesson, Taught]) -> object:
        state = self._base
        for taught in lessons.values():
            state = self._after(state, taught)
        return state

    def _after(self, state: object, taught: Taught) -> object:
        method, arguments = taught
        return getattr(self.policy, method)(state, *arguments)


def _experience(
    record: Record,
    attempt: Attempt,
    spent: tuple[float | None, float],
    *,
    score: float,
    reward: float,
) -> Experience:
    cost_usd, latency_s = spent
    return Experience(
        decision=record.decision,
        arm=attempt.arm,
        reward=reward,
        score=score,
        cost_usd=cost_usd,
        latency_s=latency_s,
        usage=attempt.usage,
    )

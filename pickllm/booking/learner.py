"""From what came of decisions to lessons: what an arm earned by an answer, by failing, and took.

A judgement of an answer becomes a reward here. An arm that failed where another could answer earns
zero. What a call took is a lesson for policies that book it, judged or not.
"""

from typing import Any

from pickllm.booking.ledger import Record
from pickllm.booking.lessons import Lesson, Lessons
from pickllm.protocols import Observer, Policy, Reward
from pickllm.rewards import checked_score
from pickllm.types import Attempt, Decision, Experience, Feedback, Observation

__all__ = ["Learner", "blamed", "draft_of"]


class Learner(Lessons):
    """The lessons of one router. Not locked: its router is."""

    def __init__(
        self, *, policy: Policy[Any], state: object, reward: Reward, cost_counts: bool
    ) -> None:
        super().__init__(policy, state)
        self.reward = reward
        self.cost_counts = cost_counts
        """False where some arm has no price: costs of some arms alone cannot be compared."""
        self._observes = isinstance(policy, Observer)

    def observe(self, record: Record, attempt: Attempt) -> None:
        """An attempt has ended: a policy that books what calls take is told."""
        if self._observes:
            seen = Observation(decision=record.decision, attempt=attempt)
            self.teach((record.decision.id, f"call of {attempt.arm}"), seen)

    def blame(self, record: Record, attempt: Attempt) -> None:
        """An arm failed where another could answer: it earns nothing."""
        lesson = record.decision.id, f"failure of {attempt.arm}"
        self.teach(lesson, blamed(record.decision, attempt))

    def credit(self, record: Record, feedback: Feedback) -> Experience | None:
        """A judgement of the answer, in place of this source's earlier one; what it taught.

        None where no model gave an answer to judge.
        """
        experience = self._judged(record, feedback)
        if experience is not None:
            before = record.source_to_lesson.get(feedback.source)
            self.teach((record.decision.id, feedback.source), experience, instead_of=before)
            record.source_to_lesson[feedback.source] = experience
        return experience

    def credit_draft(self, record: Record, attempt: Attempt, score: float) -> Experience:
        """What an arm earned by a draft that a cascade did not show."""
        experience = self._earned(record, attempt, score, attempt.cost_usd, attempt.latency_s)
        self.teach(draft_of(experience), experience)
        return experience

    def _judged(self, record: Record, feedback: Feedback) -> Experience | None:
        attempt = record.answer
        if attempt is None:
            return None
        return self._earned(record, attempt, feedback.value, *record.spent)

    def _earned(
        self,
        record: Record,
        attempt: Attempt,
        score: float,
        cost_usd: float | None,
        latency_s: float,
    ) -> Experience:
        reward = self.reward(
            score=score,
            cost_usd=cost_usd if self.cost_counts else None,
            latency_s=latency_s,
        )
        return Experience(
            decision=record.decision,
            arm=attempt.arm,
            reward=checked_score(reward, what="reward"),
            score=score,
            cost_usd=cost_usd,
            latency_s=latency_s,
            usage=attempt.usage,
        )


def draft_of(experience: Experience) -> Lesson:
    """The lesson that an answer which was not shown teaches."""
    return experience.decision.id, f"draft of {experience.arm}"


def blamed(decision: Decision, attempt: Attempt) -> Experience:
    """What an arm earned by failing where another could answer."""
    return Experience(
        decision=decision,
        arm=attempt.arm,
        reward=0.0,
        score=0.0,
        cost_usd=attempt.cost_usd,
        latency_s=attempt.latency_s,
        usage=attempt.usage,
    )

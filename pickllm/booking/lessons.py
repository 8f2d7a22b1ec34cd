"""A policy's state, and the lessons that it was made of, as far as they may still be corrected.

Where learning is additive a correction is a subtraction and an addition, and no lesson needs to be
kept. Policies such as the automaton cannot unlearn: their state depends on the order of rewards. So
their newest lessons are kept, and a correction folds them again from the state before the first of
them, with the new one in the old one's place.
"""

import contextlib
from collections.abc import Container, Iterable, Mapping
from typing import Any, TypeAlias

from pickllm.protocols import Policy, is_additive
from pickllm.types import Experience, Observation

__all__ = ["Lesson", "Lessons", "Taught", "Teaching"]

Lesson: TypeAlias = tuple[str, str]
"""Decision id and source: what makes a lesson count once."""

Taught: TypeAlias = Experience | Observation
"""What a lesson says: what an arm earned, or what it took."""

Teaching: TypeAlias = tuple[Lesson, Taught, Experience | None]
"""A lesson, what it says, and what it said before, where it is a correction."""


class Lessons:
    """A state under instruction. Not locked: its owner is."""

    def __init__(self, policy: Policy[Any], state: object) -> None:
        self.state = state
        self.base = state
        """The state before the first lesson that is kept."""
        self.policy = policy
        self._additive = is_additive(policy)
        self._kept: dict[Lesson, Taught] = {}

    def __len__(self) -> int:
        """How many lessons are kept."""
        return len(self._kept)

    def teach(
        self, lesson: Lesson, taught: Taught, *, instead_of: Experience | None = None
    ) -> bool:
        """Learn; with ``instead_of``, as if that had never been learnt in its place.

        Nothing is changed where the policy fails. False where the policy cannot unlearn, and the
        lesson to be corrected is not kept any more: then nothing is learnt either.
        """
        if self._additive:
            self.state = self.base = self._added(taught, instead_of)
        elif lesson in self._kept:
            kept = {**self._kept, lesson: taught}
            self.state = self._folded(kept)
            self._kept = kept
        elif instead_of is not None:
            return False
        else:
            self.state = self._learnt(self.state, taught)
            self._kept[lesson] = taught
        return True

    def rebase(self, state: object, teachings: Iterable[Teaching]) -> None:
        """Go on from another state, with these lessons on top of it.

        One that fails there is left out: it corrects what that state has never been taught.
        """
        self.state = self.base = state
        self._kept = {}
        for lesson, taught, instead_of in teachings:
            with contextlib.suppress(Exception):
                self.teach(lesson, taught, instead_of=instead_of)

    def seal(self, held: Container[str]) -> None:
        """Let go of the oldest lessons, as far as their decisions are no longer held.

        A lesson waits for those learnt before it, so about two ledgers' worth are kept at most.
        """
        while self._kept and next(iter(self._kept))[0] not in held:
            self.seal_oldest()

    def seal_oldest(self) -> Lesson:
        """Let go of the oldest lesson; there must be one."""
        lesson = next(iter(self._kept))
        self.base = self._learnt(self.base, self._kept.pop(lesson))
        return lesson

    def _added(self, taught: Taught, instead_of: Experience | None) -> object:
        policy: Any = self.policy
        before = self.state if instead_of is None else policy.unlearn(self.state, instead_of)
        return self._learnt(before, taught)

    def _learnt(self, state: object, taught: Taught) -> object:
        policy: Any = self.policy
        if isinstance(taught, Observation):
            return policy.observe(state, taught)
        return policy.learn(state, taught)

    def _folded(self, lessons: Mapping[Lesson, Taught]) -> object:
        state = self.base
        for taught in lessons.values():
            state = self._learnt(state, taught)
        return state

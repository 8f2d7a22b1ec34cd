"""The contract suites catch what they are there to catch: each broken double fails them."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pickllm import LearningAutomaton, Random
from pickllm.policies import AutomatonState
from pickllm.protocols import Entry, Policy, Store
from pickllm.rng import Rng
from pickllm.stores import MemoryStore
from pickllm.testing import check_adaptation, check_policy, check_store
from pickllm.types import Arm, Choice, Experience, Request, Said, Situation


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A policy that decides as it is told, and learns nothing."""

    probabilities: Callable[[int], tuple[float, ...]]
    values: tuple[float | None, ...] = ()
    name: str = "told()"

    def init(self, arms: Sequence[str], dim: int) -> None:
        """There is no state."""

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        return Choice(
            probabilities=self.probabilities(len(situation.arms)),
            values=self.values,
        )

    def learn(self, state: None, experience: Experience) -> None:
        """Nothing is learnt."""


@dataclass(slots=True)
class Tally:
    """A state that its policy changes in place."""

    arm_to_reward: dict[str, float] = field(default_factory=dict)


class Mutates(Random):
    """Writes into the state it was given."""

    def init(self, arms: Sequence[str], dim: int) -> Any:
        return Tally(arm_to_reward=dict.fromkeys(arms, 0.0))

    def learn(self, state: Any, experience: Experience) -> Any:
        state.arm_to_reward[experience.arm] = experience.reward
        return state


class PrefersTheFirst(Random):
    """Greedy among equals: the first of the pool wins."""

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        others = len(situation.arms) - 1
        return Choice(probabilities=(1.0 - 0.01 * others, *(0.01,) * others))


class PrefersTheFirstOfEquals(LearningAutomaton):
    """Fair to start with; once it has learnt, the order of the pool decides."""

    def decide(self, state: AutomatonState, situation: Situation, rng: Rng) -> Choice:
        fair = super().decide(state, situation, rng)
        if state.steps == 0 or len(situation.arms) == 1:
            return fair
        return PrefersTheFirst().decide(None, situation, rng)


class ForgetsItsPool(LearningAutomaton):
    """Knows the arms it was made with, and no other."""

    def decide(self, state: AutomatonState, situation: Situation, rng: Rng) -> Choice:
        weights = [state.arm_to_probability[arm] for arm in situation.arms]
        return Choice(probabilities=tuple(weight / sum(weights) for weight in weights))


class KeepsObjects(Random):
    """A state that does not come back from bytes."""

    def init(self, arms: Sequence[str], dim: int) -> Any:
        return {"seen": {"a", "set"}}


def _noise(arms: int) -> tuple[float, ...]:
    weights = [random.random() for _ in range(arms)]
    return tuple(weight / sum(weights) for weight in weights)


BROKEN_POLICIES: dict[str, tuple[Policy[Any], str]] = {
    "too much": (Told(probabilities=lambda arms: (1.0,) * arms), "sum to one"),
    "too little": (Told(probabilities=lambda arms: (0.9 / arms,) * arms), "sum to one"),
    "negative": (
        Told(probabilities=lambda arms: (1.0,) if arms == 1 else (1.5, -0.5, *(0.0,) * (arms - 2))),
        "negative",
    ),
    "too many": (Told(probabilities=lambda arms: (1.0, *(0.0,) * arms)), "for each eligible"),
    "values": (
        Told(probabilities=lambda arms: (1.0 / arms,) * arms, values=(1.0,) * 7),
        "one value",
    ),
    "no name": (Told(probabilities=lambda arms: (1.0 / arms,) * arms, name=""), "not empty"),
    "noise": (Told(probabilities=_noise), "the same choice"),
    "mutates": (Mutates(), "in place"),
    "order": (PrefersTheFirst(), "order in the pool"),
    "order, once learnt": (PrefersTheFirstOfEquals(), "order in the pool"),
}


@pytest.mark.parametrize(
    ("policy", "complaint"), BROKEN_POLICIES.values(), ids=BROKEN_POLICIES.keys()
)
def test_broken_policy_is_caught(policy: Policy[Any], complaint: str) -> None:
    """A policy that breaks one promise fails with that promise's sentence."""
    with pytest.raises(AssertionError, match=complaint):
        check_policy(policy)


@pytest.mark.parametrize("policy", [ForgetsItsPool(), KeepsObjects()], ids=["pool", "objects"])
def test_policy_that_cannot_cope_is_caught(policy: Policy[Any]) -> None:
    """A policy that knows no newcomer, or whose state is no plain value, does not get through."""
    with pytest.raises((KeyError, TypeError, AssertionError)):
        check_policy(policy)


class IgnoresExpect(MemoryStore):
    """Writes whatever version stands there."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        return super().put(key, value)


class ChecksTooLate(MemoryStore):
    """Refuses a write after it has made it."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        version = super().put(key, value)
        if expect is not None:
            super().put(key, value, expect=expect + 1)
            self._entries[key] = Entry(value=value, version=version)
        return version


class TakesPatterns(MemoryStore):
    """Reads a prefix as an SQL pattern."""

    def scan(self, prefix: str) -> Iterator[str]:
        pattern = prefix.replace("%", "*").replace("_", "?") + "*"
        return iter([key for key in super().scan("") if fnmatchcase(key, pattern)])


class DoesNotSort(MemoryStore):
    """Lists keys as they were written."""

    def scan(self, prefix: str) -> Iterator[str]:
        return iter([key for key in self._entries if key.startswith(prefix)])


class DeletesOnce(MemoryStore):
    """Raises where there is nothing to delete."""

    def delete(self, key: str) -> None:
        del self._entries[key]


class CountsFromZero(MemoryStore):
    """Gives the first write the version that means nothing stands there."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        return super().put(key, value, expect=expect) - 1


class KeepsText(MemoryStore):
    """Keeps text, and loses what is none."""

    def get(self, key: str) -> Entry | None:
        entry = super().get(key)
        return entry and replace(entry, value=entry.value.decode(errors="ignore").encode())


BROKEN_STORES: dict[str, Callable[[], Store]] = {
    "ignores expect": IgnoresExpect,
    "checks too late": ChecksTooLate,
    "prefix as a pattern": TakesPatterns,
    "does not sort": DoesNotSort,
    "counts from zero": CountsFromZero,
    "keeps text": KeepsText,
}


@pytest.mark.parametrize("make", BROKEN_STORES.values(), ids=BROKEN_STORES.keys())
def test_broken_store_is_caught(make: Callable[[], Store]) -> None:
    """A store that breaks one promise fails with an `AssertionError`."""
    with pytest.raises(AssertionError):
        check_store(make)


def test_store_that_deletes_once_is_caught() -> None:
    """Deleting what is not there must not raise."""
    with pytest.raises(KeyError):
        check_store(DeletesOnce)


@dataclass(frozen=True, kw_only=True)
class EditsTurns:
    """An adaptation that does to the messages whatever ``edit`` does."""

    edit: Callable[[Sequence[Said]], Sequence[Said]]
    name: str = "edits"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        return self.edit(request.turns)


BROKEN_ADAPTATIONS: dict[str, Callable[[Sequence[Said]], Sequence[Said]]] = {
    "loses the question": lambda turns: turns[:-1],
    "loses the rules": lambda turns: [said for said in turns if said.role != "system"],
    "turns the order round": lambda turns: turns[::-1],
    "says all twice": lambda turns: [*turns, *turns],
    "cuts what tools said": lambda turns: [
        replace(said, text=said.text[:5]) if said.role == "tool" else said for said in turns
    ],
    "cuts what is more than text": lambda turns: [
        said if said.plain else replace(said, text="") for said in turns
    ],
    "tears tool calls apart": lambda turns: [said for said in turns if said.role != "tool"],
    "speaks for another": lambda turns: [
        replace(said, role="user") if said.role == "assistant" else said for said in turns
    ],
    "talks where nothing is": lambda turns: [*turns, Said(role="system", text="Be brief.")],
}


@pytest.mark.parametrize("edit", BROKEN_ADAPTATIONS.values(), ids=BROKEN_ADAPTATIONS.keys())
def test_broken_adaptation_is_caught(edit: Callable[[Sequence[Said]], Sequence[Said]]) -> None:
    """An adaptation that breaks one promise fails with an `AssertionError`."""
    with pytest.raises(AssertionError):
        check_adaptation(EditsTurns(edit=edit))

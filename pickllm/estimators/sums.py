"""Sums by arm and time: learnt state that adds up, so that order means nothing.

What a reward adds to an arm goes into the bucket of its decision's time, however late it comes:

    arm_to_sums = {"large": {"0.0": [...], "3600.0": [...]}}           bucket: its start in seconds

Reading weighs each bucket by its age, ``weight = 2 ** (-age / half_life) * keep ** updates_since``.
Learning is a plus, unlearning a minus, and many workers' states merge by adding.

>>> forgetting = Forgetting(half_life_s=3600.0, buckets=1)
>>> sums = Sums().plus("large", forgetting.start(100.0, ()), np.array([1.0, 0.8]))
>>> sums = sums.plus("large", forgetting.start(3700.0, ()), np.array([1.0, 0.2]))
>>> sums.total("large", 3700.0, forgetting)
array([1.5, 0.6])
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.numeric import check_counts, check_numbers

__all__ = ["Array", "Forgetting", "Sums"]

Array: TypeAlias = NDArray[np.float64]
"""Numbers; each place says of what shape."""

_FORGOTTEN = 10.0
"""After so many half-lives (a thousandth) a bucket is dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgetting:
    """How much what was learnt counts when it is old, or older than a change of its model."""

    half_life_s: float | None = None
    """Age at which a reward counts for half, above 0; None never forgets."""
    buckets: int = 4
    """Buckets in a half-life, at least 1: time is told apart no finer."""
    keep: float = 0.02
    """What is left of earlier rewards when an arm's model has changed, in [0, 1]."""

    def __post_init__(self) -> None:
        check_numbers(half_life_s=self.half_life_s or 0, keep=self.keep)
        check_counts(buckets=self.buckets)
        if self.half_life_s is not None and not 0.0 < self.half_life_s < math.inf:
            raise ConfigError(f"half_life_s must be above 0, or None; it is {self.half_life_s}")
        if self.buckets < 1:
            raise ConfigError(f"buckets is {self.buckets}; a half-life needs at least one")
        if not 0.0 <= self.keep <= 1.0:
            raise ConfigError(f"keep must lie in [0, 1]; it is {self.keep}")

    @property
    def name(self) -> str:
        """Settings in one line: what decides in which bucket a reward lands."""
        return f"half_life_s={self.half_life_s}, buckets={self.buckets}"

    def start(self, time_s: float, updates: Sequence[float]) -> str:
        """The bucket of a decision made at ``time_s``, for an arm that changed at ``updates``."""
        if self.half_life_s is None and not updates:
            return "0.0"
        start = self.reference(time_s)
        return repr(max([start, *(update for update in updates if update < time_s)]))

    def reference(self, time_s: float) -> float:
        """Start of the bucket that is now; 0 for all times where nothing is forgotten."""
        if self.half_life_s is None:
            return 0.0
        width = self.half_life_s / self.buckets
        return math.floor(time_s / width) * width

    def weight(self, start: str, now_s: float, updates: Sequence[float]) -> float:
        """What a bucket counts for at ``now_s``, in [0, 1]."""
        if self.half_life_s is None and not updates:
            return 1.0
        began = float(start)
        since = self.keep ** sum(update > began for update in updates) if updates else 1.0
        if self.half_life_s is None:
            return since
        age = max(self.reference(now_s) - self.reference(began), 0.0)
        return since * math.exp2(-age / self.half_life_s)

    def forgotten(self, start: str, now_s: float) -> bool:
        """Whether a bucket is too old to matter."""
        return self.half_life_s is not None and (
            now_s - float(start) > _FORGOTTEN * self.half_life_s
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """Sums of one shape by arm and bucket, and when the models behind the arms changed."""

    arm_to_sums: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    arm_to_updates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Times at which an arm's model changed, rising."""

    def __eq__(self, other: object) -> bool:
        """Whether all sums are the same to the last bit."""
        if not isinstance(other, Sums) or self.arm_to_updates != other.arm_to_updates:
            return False
        mine, theirs = _flat(self.arm_to_sums), _flat(other.arm_to_sums)
        return mine.keys() == theirs.keys() and all(
            np.array_equal(mine[key], theirs[key]) for key in mine
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def updates(self, arm: str) -> tuple[float, ...]:
        """When the model behind ``arm`` changed."""
        return self.arm_to_updates.get(arm, ())

    def plus(self, arm: str, start: str, added: Array) -> "Sums":
        """These sums with ``added`` in one bucket of one arm; only that one is copied."""
        buckets = self.arm_to_sums.get(arm, {})
        before = buckets.get(start)
        fits = before is not None and before.shape == added.shape
        after = before + added if fits else added  # type: ignore[operator]  # not None where it fits
        return Sums(
            arm_to_sums={**self.arm_to_sums, arm: {**buckets, start: after}},
            arm_to_updates=self.arm_to_updates,
        )

    def learnt(
        self, arm: str, start: str, added: Array, now_s: float, forgetting: Forgetting
    ) -> "Sums":
        """The same; when a bucket is begun, those that no longer matter are let go."""
        begun = start not in self.arm_to_sums.get(arm, {})
        before = self._without_forgotten(arm, now_s, forgetting) if begun else self
        return before.plus(arm, start, added)

    def minus(self, arm: str, start: str, added: Array) -> "Sums":
        """The same, taken away; nothing where the bucket is gone."""
        if start not in self.arm_to_sums.get(arm, {}):
            return self
        return self.plus(arm, start, -added)

    def _without_forgotten(self, arm: str, now_s: float, forgetting: Forgetting) -> "Sums":
        """These sums without the arm's buckets that no longer matter."""
        buckets = self.arm_to_sums.get(arm, {})
        kept = {key: sums for key, sums in buckets.items() if not forgetting.forgotten(key, now_s)}
        if len(kept) == len(buckets):
            return self
        return Sums(arm_to_sums={**self.arm_to_sums, arm: kept}, arm_to_updates=self.arm_to_updates)

    def total(self, arm: str, now_s: float, forgetting: Forgetting) -> Array | None:
        """The arm's buckets added up, each by its weight; None where there is none."""
        buckets = self.arm_to_sums.get(arm)
        if not buckets:
            return None
        updates = self.updates(arm)
        parts = [sums * forgetting.weight(start, now_s, updates) for start, sums in buckets.items()]
        shape = parts[-1].shape  # the newest: features of another length are of no use to it
        return np.sum([part for part in parts if part.shape == shape], axis=0)  # type: ignore[no-any-return]  # an array

    def changed(self, arm: str, time_s: float) -> "Sums":
        """These sums, where the model behind ``arm`` is another one after ``time_s``."""
        updates = tuple(sorted({*self.updates(arm), time_s}))
        return Sums(
            arm_to_sums=self.arm_to_sums, arm_to_updates={**self.arm_to_updates, arm: updates}
        )

    @staticmethod
    def merged(states: Sequence["Sums"]) -> "Sums":
        """The sums of all, added up bucket by bucket."""
        arm_to_sums: dict[str, dict[str, Array]] = {}
        arm_to_updates: dict[str, tuple[float, ...]] = {}
        for state in states:
            for (arm, start), sums in _flat(state.arm_to_sums).items():
                buckets = arm_to_sums.setdefault(arm, {})
                buckets[start] = buckets[start] + sums if start in buckets else sums
            for arm, updates in state.arm_to_updates.items():
                arm_to_updates[arm] = tuple(sorted({*arm_to_updates.get(arm, ()), *updates}))
        return Sums(arm_to_sums=arm_to_sums, arm_to_updates=arm_to_updates)


def _flat(arm_to_sums: Mapping[str, Mapping[str, Array]]) -> dict[tuple[str, str], Array]:
    return {
        (arm, start): sums
        for arm, buckets in arm_to_sums.items()
        for start, sums in buckets.items()
    }

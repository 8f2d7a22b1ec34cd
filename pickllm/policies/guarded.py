r"""A guard: the policy serves only a share of the traffic until it is known to be no worse.

The baseline, one arm or a fixed mixture, serves the rest. Both draw from one distribution,

    p(a) = (1 - share) baseline(a) + share * policy(a)        share: ``trial``, then ``trust``

so each reward says what both would have earned: the estimate of the difference is the mean of
:math:`d = r (policy(a) - baseline(a)) / p(a)`. The guard opens while the lower end of a confidence
sequence about that mean is above ``-margin``, and closes again should it fall below. A sequence
holds at all times at once, so looking after every reward costs nothing:

    mean(d) - s(d) sqrt( 2 (n rho + 1) / (n^2 rho) * ln( sqrt(n rho + 1) / error ) )

References: Waudby-Smith et al., Time-uniform central limit theory and asymptotic confidence
sequences (2021), arXiv 2103.06476; Kazerouni et al., Conservative contextual linear bandits (2016),
arXiv 1611.06426.

>>> from pickllm.policies.fixed import Fixed
>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> policy = Guarded(policy=Fixed(arm="new"), baseline="old", trial=0.2)
>>> state = policy.init(["old", "new"], 0)
>>> policy.decide(state, situation("old", "new"), Rng(seed=1, number=1)).probabilities
(0.8, 0.2)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pickllm.errors import ConfigError
from pickllm.policies.wrapped import Wrapped
from pickllm.protocols import state_name
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Observation, Situation

__all__ = ["Guarded", "GuardedState"]

_LEAST = 30
"""Rewards before the guard may open: the sequence is asymptotic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardedState:
    """What the policy has learnt, and how it compares with the baseline."""

    policy: Any
    count: float = 0.0
    difference: float = 0.0
    """Sum of d."""
    squares: float = 0.0
    """Sum of its squares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded(Wrapped):
    """The baseline serves, and the policy a share, until the policy is no worse."""

    baseline: str | Mapping[str, float]
    """The arm to be compared with, or weights by name."""
    trial: float = 0.2
    """Share of the policy while it is not known to be no worse, in (0, 1)."""
    trust: float = 0.95
    """Its share afterwards, at least ``trial`` and below 1: the rest keeps the comparison alive."""
    margin: float = 0.02
    """A mean reward that is lower by this much counts as no worse, in [0, 1]."""
    error: float = 0.05
    """Probability that the guard ever opens to a policy that is worse, in (0, 1)."""

    def __post_init__(self) -> None:
        super(Guarded, self).__post_init__()
        if not 0.0 < self.trial <= self.trust < 1.0:
            raise ConfigError(
                f"0 < trial <= trust < 1 must hold; they are {self.trial} and {self.trust}"
            )
        if not (0.0 <= self.margin <= 1.0 and 0.0 < self.error < 1.0):
            raise ConfigError("margin must lie in [0, 1] and error in (0, 1)")
        if isinstance(self.baseline, Mapping) and not (
            min(self.baseline.values(), default=0.0) >= 0.0 < math.fsum(self.baseline.values())
        ):
            raise ConfigError("a baseline's weights must be at least 0, and one of them above it")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        baseline = dict(self.baseline) if isinstance(self.baseline, Mapping) else self.baseline
        return (
            f"guarded by {baseline!r} (trial={self.trial}, trust={self.trust}, "
            f"margin={self.margin}, error={self.error}): {self.inner.name}"
        )

    @property
    def state_name(self) -> str:
        """Another baseline is another comparison."""
        baseline = dict(self.baseline) if isinstance(self.baseline, Mapping) else self.baseline
        return f"guarded by {baseline!r}: {state_name(self.inner)}"

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The baseline's, and the inner policy's."""
        own = (self.baseline,) if isinstance(self.baseline, str) else tuple(self.baseline)
        return (*own, *super(Guarded, self).names_arms)

    def init(self, arms: Sequence[str], dim: int) -> GuardedState:
        """The policy's own start, and no comparison yet."""
        return GuardedState(policy=self.inner.init(arms, dim))

    def decide(self, state: GuardedState, situation: Situation, rng: Rng) -> Choice:
        """The mixture; the policy's own probabilities stand in ``shadow``."""
        choice = self.inner.decide(state.policy, situation, rng)
        base = self._baseline(situation.arms)
        if base is None:
            return choice
        share = self.trust if self.no_worse(state) else self.trial
        mixed = tuple(
            (1.0 - share) * b + share * p for b, p in zip(base, choice.probabilities, strict=True)
        )
        return replace(choice, probabilities=mixed, shadow=choice.probabilities)

    def learn(self, state: GuardedState, experience: Experience) -> GuardedState:
        """The policy learns, and the comparison gains a reward."""
        learnt = self.inner.learn(state.policy, experience)
        return self._compared(replace(state, policy=learnt), experience, 1.0)

    def unlearn(self, state: GuardedState, experience: Experience) -> GuardedState:
        """The policy unlearns, and the comparison loses a reward."""
        learnt = self._additive.unlearn(state.policy, experience)
        return self._compared(replace(state, policy=learnt), experience, -1.0)

    def merge(self, states: Sequence[GuardedState]) -> GuardedState:
        """What all have learnt and compared."""
        return GuardedState(
            policy=self._additive.merge([state.policy for state in states]),
            count=math.fsum(state.count for state in states),
            difference=math.fsum(state.difference for state in states),
            squares=math.fsum(state.squares for state in states),
        )

    def observe(self, state: GuardedState, observation: Observation) -> GuardedState:
        """The policy books what calls take."""
        return replace(state, policy=super(Guarded, self).observe(state.policy, observation))

    def model_updated(self, state: GuardedState, arm: str, time_s: float) -> GuardedState:
        """The policy is told, and the comparison begins anew: it was with another model."""
        updated = super(Guarded, self).model_updated(state.policy, arm, time_s)
        return GuardedState(policy=updated)

    def no_worse(self, state: GuardedState) -> bool:
        """Whether the policy is known to be no worse than the baseline, but for the margin."""
        return self.lower_end(state) >= -self.margin

    def lower_end(self, state: GuardedState) -> float:
        """Lower end of the confidence sequence about the difference of mean rewards."""
        count = state.count
        if count < _LEAST:
            return -math.inf
        mean = state.difference / count
        variance = max(state.squares / count - mean * mean, 1e-12)
        rho = 0.01  # narrowest after a few hundred rewards
        radius = 2.0 * (count * rho + 1.0) / (count * count * rho)
        return mean - math.sqrt(
            variance * radius * math.log(math.sqrt(count * rho + 1.0) / self.error)
        )

    def _baseline(self, arms: tuple[str, ...]) -> tuple[float, ...] | None:
        """Its probabilities over the eligible arms; None where none of its arms is."""
        if isinstance(self.baseline, str):
            weights = [float(arm == self.baseline) for arm in arms]
        else:
            weights = [self.baseline.get(arm, 0.0) for arm in arms]
        total = math.fsum(weights)
        return tuple(weight / total for weight in weights) if total > 0.0 else None

    def _compared(self, state: GuardedState, experience: Experience, sign: float) -> GuardedState:
        decision = experience.decision
        base = self._baseline(decision.arms)
        if base is None or not decision.shadow or experience.arm != decision.arm:
            return state
        chosen = decision.arms.index(decision.arm)
        ratio = (decision.shadow[chosen] - base[chosen]) / decision.propensity
        difference = experience.reward * ratio
        return replace(
            state,
            count=state.count + sign,
            difference=state.difference + sign * difference,
            squares=state.squares + sign * difference * difference,
        )

"""A threshold that follows the traffic, so that the share of strong calls stays what was wanted.

    q    = the quantile of the newest win rates above which ``share`` of them lie
    n    = how many of them there are, at most ``memory``
    t    = (trust * t_0 + n * q) / (trust + n),   kept within ``reach`` of t_0

t_0 is the threshold that was calibrated. Prompts get harder or change their subject, and a share
that is a budget is passed unless the threshold goes with them. One more win rate moves it little,
for it moves q to a neighbouring one and n by one; and however strange the traffic, it ends at
``reach``. Every request counts, whichever arm it went to and whether or not it was judged, so there
is nothing to be biased by. Where quality is to hold rather than the share, keep the threshold, and
let `ShareWatch` tell.

What is learnt are the newest win rates with their times: states of workers merge into what one
worker would have learnt of all, in any order.

>>> from pickllm.testing import situation
>>> rule = WinRateThreshold(arms=("large", "small"), strong="large", weak="small", threshold=0.6)
>>> policy = FollowingThreshold(rule=rule, share=0.5, trust=2.0, reach=0.3)
>>> policy.threshold_at(RecentRates())
0.6
>>> policy.threshold_at(RecentRates(rates=((1.0, 0.7), (2.0, 0.8))))  # (2 * 0.6 + 2 * 0.8) / 4
0.7
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.protocols import Featurizer
from pickllm.ranking.calibration import threshold_for_share
from pickllm.ranking.threshold import WinRateThreshold
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Observation, Situation

__all__ = ["FollowingThreshold", "RecentRates"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentRates:
    """The newest win rates, each with the time of its decision, in seconds; rising."""

    rates: tuple[tuple[float, float], ...] = ()
    values: Floats = field(init=False, repr=False, compare=False)
    """The win rates alone, ``[requests]``: worked out once, for every decision wants them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.array([rate for _, rate in self.rates]))


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowingThreshold:
    """`WinRateThreshold` whose threshold keeps the share."""

    rule: WinRateThreshold
    """From `routellm`, with the threshold to begin with."""
    share: float
    """Wanted share of strong calls, in [0, 1]."""
    memory: int = 1_000
    """How many of the newest requests count, at least 1."""
    trust: float = 100.0
    """How many requests the calibrated threshold counts for, at least 0."""
    reach: float = 0.1
    """It goes no further from the calibrated threshold, in win rates, at least 0."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or self.memory < 1:
            raise ConfigError("share must lie in [0, 1], and memory be at least 1")
        if not (self.trust >= 0.0 and self.reach >= 0.0):
            raise ConfigError("trust and reach must be at least 0")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return (
            f"{self.rule.name}, kept at a share of {self.share}, memory={self.memory}, "
            f"trust={self.trust}, reach={self.reach}"
        )

    @property
    def state_name(self) -> str:
        """Win rates hang on what ranks, and on how many are kept; not on the share."""
        by = self.rule.ranking.name if self.rule.ranking else ", ".join(self.rule.arms)
        return f"{self.memory} win rates of {self.rule.strong} over {self.rule.weak} by {by}"

    @property
    def learns(self) -> bool:
        """Not from judgements: nobody has to be reminded of them."""
        return False

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The rule's."""
        return self.rule.names_arms

    @property
    def looks_at_prompt(self) -> bool:
        """It does."""
        return True

    def featurizer_with(self, given: Featurizer | None) -> Featurizer:
        """As the rule has it."""
        return self.rule.featurizer_with(given)

    def threshold_at(self, state: RecentRates) -> float:
        """The threshold that holds now."""
        count = len(state.rates)
        if not count:
            return self.rule.threshold
        wanted = threshold_for_share(state.values, self.share)
        begun = self.rule.threshold
        found = (self.trust * begun + count * wanted) / (self.trust + count)
        return min(max(found, begun - self.reach), begun + self.reach)

    def init(self, arms: Sequence[str], dim: int) -> RecentRates:
        """Nothing seen."""
        return RecentRates()

    def decide(self, state: RecentRates, situation: Situation, rng: Rng) -> Choice:
        """The rule, by the threshold of the moment."""
        return self.rule.decided_at(self.threshold_at(state), situation)

    def observe(self, state: RecentRates, observation: Observation) -> RecentRates:
        """One more request, however many arms were asked for it."""
        decision = observation.decision
        rate = self.rule.win_rate(decision.features)
        if rate is None or decision.held is not None:
            return state
        seen = (decision.time_s, rate)
        if not state.rates or seen > state.rates[-1]:
            return RecentRates(rates=(*state.rates[-self.memory + 1 :], seen)[-self.memory :])
        return self._newest([*state.rates, seen])

    def learn(self, state: RecentRates, experience: Experience) -> RecentRates:
        """Judgements teach it nothing."""
        return state

    def unlearn(self, state: RecentRates, experience: Experience) -> RecentRates:
        """So there is nothing to take back."""
        return state

    def merge(self, states: Sequence[RecentRates]) -> RecentRates:
        """The newest of all."""
        return self._newest([rate for state in states for rate in state.rates])

    def _newest(self, rates: Iterable[tuple[float, float]]) -> RecentRates:
        return RecentRates(rates=tuple(sorted(set(rates))[-self.memory :]))

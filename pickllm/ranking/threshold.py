"""RouteLLM's rule: the strong model where it is likely enough to answer better, else the weak one.

    win rate of strong over weak:  W(q) = (1 + strength_strong(q) - strength_weak(q)) / 2
    strong  where  W(q) >= threshold,  weak elsewhere

The threshold is a price: it says how much likelier a better answer has to be before the strong
model is paid for. Take it from prompts of your own, see `pickllm.ranking.calibration`. The rule
needs no feedback and learns nothing from it. With ``epsilon`` the other of the two is asked now and
then, which is what off-policy evaluation, and a policy that learns after this one, live on.

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 2.

>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> rule = WinRateThreshold(arms=("large", "small"), strong="large", weak="small", threshold=0.6)
>>> seen = np.array([0.8, 0.3], dtype=np.float32)  # W = 0.75
>>> choice = rule.decide(None, situation("small", "large", features=seen), Rng(seed=1, number=1))
>>> choice.probabilities
(0.0, 1.0)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError
from pickllm.explorers import shared_by_best
from pickllm.protocols import Featurizer
from pickllm.ranking.contract import FittedRanker, Prompts, pair_scores
from pickllm.ranking.features import RankedFeatures
from pickllm.rng import Rng
from pickllm.types import Choice, Experience, Situation, Vector

__all__ = ["WinRateThreshold", "win_rates"]

_ROUNDING = 1e-5
"""A prompt ranked alone may differ so much from the same prompt ranked among others."""


def win_rates(fitted: FittedRanker, prompts: Prompts, *, strong: str, weak: str) -> Floats:
    """W(q) of prompts, in [0, 1], ``[prompts]``: what thresholds are taken from.

    Raises:
        ConfigError: The ranker does not know one of them.
    """
    return np.asarray(0.5 + 0.5 * pair_scores(fitted, prompts, strong=strong, weak=weak))


@dataclass(frozen=True, kw_only=True, slots=True)
class WinRateThreshold:
    """The strong arm from a win rate on, else the weak one; a policy that learns nothing."""

    arms: tuple[str, ...]
    """Whose strengths lead the features, in order."""
    strong: str
    weak: str
    threshold: float
    """A win rate; above 1 is never strong, 0 always."""
    epsilon: float = 0.0
    """Share of requests that go to either of the two at random, in [0, 1]."""
    ranking: RankedFeatures | None = None
    """What ranks the prompts; None where features come from elsewhere."""

    def __post_init__(self) -> None:
        if missing := {self.strong, self.weak}.difference(self.arms):
            raise ConfigError(f"the ranker knows {', '.join(self.arms)}; not {min(missing)}")
        if self.strong == self.weak or not 0.0 <= self.epsilon <= 1.0:
            raise ConfigError("strong and weak must be two arms, and epsilon lie in [0, 1]")
        if math.isnan(self.threshold):
            raise ConfigError("threshold is a win rate, such as 0.6; it is not a number")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        by = f" by {self.ranking.name}" if self.ranking else ""
        return (
            f"{self.strong} where it beats {self.weak} with {self.threshold:.6g} or more"
            f"{by}, epsilon={self.epsilon}"
        )

    @property
    def looks_at_prompt(self) -> bool:
        """It does."""
        return True

    @property
    def names_arms(self) -> tuple[str, ...]:
        """The two."""
        return (self.strong, self.weak)

    def featurizer_with(self, given: Featurizer | None) -> Featurizer:
        """The ranker. What is given counts only where there is none; it must be strengths then."""
        found = self.ranking or given
        if found is None:
            raise ConfigError("a threshold needs a ranker: make the policy by routellm(…)")
        return found

    def init(self, arms: Sequence[str], dim: int) -> None:
        """There is no state."""

    def learn(self, state: None, experience: Experience) -> None:
        """Nothing is learnt."""

    def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
        """The pair shares the probability; other arms get some only where neither is eligible."""
        return self.decided_at(self.threshold, situation)

    def decided_at(self, threshold: float, situation: Situation) -> Choice:
        """The same by another threshold."""
        found = self.win_rate(situation.features)
        rate = 0.5 if found is None else found
        better, worse = self.strong, self.weak
        if rate < threshold - _ROUNDING:
            better, worse = worse, better
        order = [arm for arm in (better, worse) if arm in situation.arms] or situation.arms
        equal = order is situation.arms
        values = [1.0 if equal or place == 0 else 0.0 for place in range(len(order))]
        shares = dict(zip(order, shared_by_best(values, self.epsilon), strict=True))
        arm_to_rate = {self.strong: rate, self.weak: 1.0 - rate}
        return Choice(
            probabilities=tuple(shares.get(arm, 0.0) for arm in situation.arms),
            values=tuple(arm_to_rate.get(arm) for arm in situation.arms),
        )

    def win_rate(self, features: Vector) -> float | None:
        """W by the strengths that lead the features; None where the prompt was not ranked."""
        strengths = features[: len(self.arms)]
        if len(strengths) < len(self.arms) or not strengths.any():
            return None
        strong, weak = (float(strengths[self.arms.index(arm)]) for arm in (self.strong, self.weak))
        return 0.5 + 0.5 * (strong - weak)

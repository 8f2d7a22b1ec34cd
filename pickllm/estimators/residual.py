r"""Ridge regression of what a forecast leaves over: the forecast leads the features.

With :math:`f_a(x)` what somebody else expects of arm a for the prompt, such as a ranker:

    theta = argmin  sum_i ( r_i - f_a(x_i) - theta' x_i )^2
                     + prior_count theta_0^2 + penalty |theta|^2
    mean  = f_a(x) + theta' x

Before the first reward it says what the forecast says; with rewards it corrects the forecast's
level, its scale (for the forecasts are features, too) and what it misses of the rest. Each reward
brings the forecast that was made for it along, in the decision's features, so the sums are as
additive as a ridge's own.

An arm that the forecast does not know is expected to be like the mean of those that it knows.

>>> import numpy as np
>>> from pickllm.testing import experience, situation
>>> estimator = ResidualRidge(forecast=("small", "large"), prior_count=1.0, penalty=1e9)
>>> x = np.array([0.4, 0.8], dtype=np.float32)
>>> state = estimator.init(["small", "large", "new"], 2)
>>> def means():
...     found = estimator.estimate(state, situation("small", "large", "new", features=x)).means
...     return [round(mean, 2) for mean in found]
>>> means()
[0.4, 0.8, 0.6]
>>> state = estimator.learn(state, experience("small", reward=1.0, features=x))
>>> means()  # half of what it fell short by: one reward beside one of prior_count
[0.7, 0.8, 0.6]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pickllm.estimators.ridge import Ridge, RidgeState
from pickllm.types import Experience, Situation, Vector

__all__ = ["ResidualRidge"]

_UNKNOWN = 0.5
"""Of every arm, where nothing at all was forecast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidualRidge(Ridge):
    """A ridge on what rewards differ by from a forecast. Its ``prior`` counts for nothing."""

    forecast: tuple[str, ...] = ()
    """The arms of the forecast, in [0, 1] each, in the order in which they lead the features."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"residual of {', '.join(self.forecast)}: {super(ResidualRidge, self).name}"

    @property
    def state_name(self) -> str:
        """What is learnt hangs on what it is the rest of."""
        return f"residual of {', '.join(self.forecast)}: {super(ResidualRidge, self).state_name}"

    def expected(
        self, state: RidgeState, situation: Situation, priors: Sequence[float]
    ) -> tuple[list[float], list[float], list[float]]:
        """The forecast, and what rewards have taught beside it; ``priors`` are not looked at."""
        without = (0.0,) * len(priors)
        rest, spreads, counts = super(ResidualRidge, self).expected(state, situation, without)
        forecasts = self.forecasts(situation.features, situation.arms)
        means = [forecast + more for forecast, more in zip(forecasts, rest, strict=True)]
        return means, spreads, counts

    def aim(self, experience: Experience) -> float:
        """What the forecast of that decision left over."""
        (forecast,) = self.forecasts(experience.decision.features, (experience.arm,))
        return super(ResidualRidge, self).aim(experience) - forecast

    def forecasts(self, features: Vector, arms: tuple[str, ...]) -> list[float]:
        """What was forecast of these arms, ``[arms]``."""
        known = features[: len(self.forecast)].tolist()
        if len(known) < len(self.forecast) or not any(known):  # a featurizer that failed: zeros
            return [_UNKNOWN] * len(arms)
        arm_to_forecast = dict(zip(self.forecast, known, strict=True))
        others = math.fsum(known) / len(known)
        return [arm_to_forecast.get(arm, others) for arm in arms]

"""What each arm is worth, learnt from rewards. One estimator, one file.

running_mean.py       mean reward, or with a constant step stateless Q
discounted_mean.py    mean reward that forgets by age
beta_counts.py        successes and failures: a Beta posterior
ridge.py              linear in the prompt's features: LinUCB, linear Thompson sampling
residual.py           the same, of what somebody else's forecast leaves over
logistic.py           a probability from the prompt's features
sums.py               the state that most of them share: sums by arm and time, which add up
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily

if TYPE_CHECKING:
    from pickllm.estimators.beta_counts import BetaCounts
    from pickllm.estimators.discounted_mean import DiscountedMean
    from pickllm.estimators.logistic import Logistic, LogisticState
    from pickllm.estimators.residual import ResidualRidge
    from pickllm.estimators.ridge import Ridge, RidgeState, Solved
    from pickllm.estimators.running_mean import RunningMean, RunningMeanState
    from pickllm.estimators.sums import Array, Forgetting, Sums
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "beta_counts": "BetaCounts",
            "discounted_mean": "DiscountedMean",
            "logistic": "Logistic LogisticState",
            "residual": "ResidualRidge",
            "ridge": "Ridge RidgeState Solved",
            "running_mean": "RunningMean RunningMeanState",
            "sums": "Array Forgetting Sums",
        },
    )

__all__ = [
    "Array",
    "BetaCounts",
    "DiscountedMean",
    "Forgetting",
    "Logistic",
    "LogisticState",
    "ResidualRidge",
    "Ridge",
    "RidgeState",
    "RunningMean",
    "RunningMeanState",
    "Solved",
    "Sums",
]

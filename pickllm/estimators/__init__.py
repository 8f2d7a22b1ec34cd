"""What each arm is worth, learnt from rewards. One estimator, one file."""

from pickllm.estimators.running_mean import RunningMean, RunningMeanState

__all__ = ["RunningMean", "RunningMeanState"]

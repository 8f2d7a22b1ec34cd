"""What each arm would have earned on each logged prompt, predicted by data that did not see it.

    q(x, a) = mean + w_a . [1, x]
    w_a     = argmin  sum of (r - mean - w_a . [1, x])^2 + ridge |w_a|^2

One ridge regression for each arm, on standardised features; without features it is the arm's mean,
drawn a little to that of all. Cross-fitting: the prompts are dealt into folds, and a row is
predicted by the models of the other folds, so that no row's own reward is in its prediction.

Reference: Chernozhukov et al., Double/debiased machine learning (2018), for the cross-fitting.

>>> chosen = np.arange(400) % 2
>>> q = cross_fitted(chosen, 1.0 - chosen, arms=3)
>>> q[0].round(1).tolist()
[1.0, 0.0, 0.5]
"""

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.evaluation.logged import Column
from pickllm.evaluation.table import Matrix

__all__ = ["cross_fitted"]


def cross_fitted(
    chosen: NDArray[np.intp],
    outcome: Column,
    *,
    arms: int,
    features: Matrix | None = None,
    folds: int = 5,
    ridge: float = 1.0,
    seed: int = 0,
) -> Matrix:
    """Predicted outcome of every arm on every row, ``[decisions, arms]``.

    Args:
        chosen: ``[decisions]``, the arm drawn.
        outcome: ``[decisions]``, what came of it: a reward, a score, a cost.
        arms: How many arms there are.
        features: ``[decisions, dim]``, or None.
        folds: At least 2.
        ridge: Penalty, in rows: an arm with as many rows lies half-way to the mean of all.
        seed: Deals the rows into folds.
    """
    rows = len(outcome)
    if folds < 2 or ridge <= 0.0:
        raise ConfigError("cross-fitting needs at least 2 folds, and a ridge above 0")
    inputs = _standardised(features, rows)
    fold = np.random.default_rng(seed).permutation(rows) % folds
    predicted = np.empty((rows, arms))
    for each in range(folds):
        held_out, others = fold == each, fold != each
        mean = float(outcome[others].mean()) if others.any() else float(outcome.mean())
        for arm in range(arms):
            seen = others & (chosen == arm)
            weights = _ridge(inputs[seen], outcome[seen] - mean, ridge)
            predicted[held_out, arm] = mean + inputs[held_out] @ weights
    return np.clip(predicted, outcome.min(), outcome.max())


def _standardised(features: Matrix | None, rows: int) -> Matrix:
    """A column of ones, and the features with mean 0 and spread 1 or 0."""
    ones = np.ones((rows, 1))
    if features is None or not features.shape[1]:
        return ones
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    return np.hstack([ones, scaled])


def _ridge(inputs: Matrix, targets: Column, penalty: float) -> Column:
    gram = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    return np.linalg.solve(gram, inputs.T @ targets).astype(np.float64)

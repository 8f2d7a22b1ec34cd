"""What a log knows of each decision, beside what another policy would have done there.

>>> evidence = Evidence(
...     target=np.array([[0.2, 0.8], [0.2, 0.8]]),
...     probabilities=np.array([[0.5, 0.5], [1.0, 0.0]]),
...     chosen=np.array([1, 0]),
...     outcome=np.array([1.0, 0.0]),
... )
>>> evidence.weights.tolist(), evidence.unsupported
([1.6, 0.2], 0.4)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.evaluation.logged import Column
from pickllm.evaluation.table import Matrix

__all__ = ["Evidence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known of each logged decision, and what the other policy would have done there."""

    target: Matrix
    """``[decisions, arms]``, the other policy's probabilities."""
    probabilities: Matrix
    """``[decisions, arms]``, those logged."""
    chosen: NDArray[np.intp]
    """``[decisions]``, the arm that was drawn."""
    outcome: Column
    """``[decisions]``, what came of it: a reward, a score, a cost."""
    predicted: Matrix | None = None
    """``[decisions, arms]``, outcomes predicted without the row's own; see `cross_fitted`."""
    row_weights: Column | None = None
    """``[decisions]``, how much each row counts; None is all alike."""

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        matrices = {"target": self.target, "predicted": self.predicted}
        columns = {"chosen": self.chosen, "outcome": self.outcome, "row_weights": self.row_weights}
        for name, matrix in matrices.items():
            if matrix is not None and matrix.shape != shape:
                raise ConfigError(f"{name} has shape {matrix.shape}; [decisions, arms] is {shape}")
        for name, column in columns.items():
            if column is not None and column.shape != shape[:1]:
                raise ConfigError(f"{name} has shape {column.shape}; [decisions] is {shape[:1]}")
        if not shape[0]:
            raise ConfigError("there are no decisions to estimate anything from")
        if not np.isfinite(self.outcome).all():
            raise ConfigError("an outcome is no finite number: leave out rows where it is unknown")
        if not np.all(self._of_chosen(self.probabilities) > 0.0):
            raise ConfigError("an arm was drawn whose probability was 0: these are not the odds")

    @property
    def weights(self) -> Column:
        """How much likelier the other policy was to do what was done, ``[decisions]``."""
        return self._of_chosen(self.target) / self._of_chosen(self.probabilities)

    @property
    def unsupported(self) -> float:
        """Share of the other policy's probability on arms that could not have been drawn."""
        return float(np.where(self.probabilities > 0.0, 0.0, self.target).sum(axis=1).mean())

    @property
    def rows(self) -> Column:
        """How much each row counts, ``[decisions]``."""
        return np.ones(len(self.chosen)) if self.row_weights is None else self.row_weights

    def predictions(self) -> tuple[Column, Column]:
        """What the other policy can expect, and what was expected of what was done."""
        if self.predicted is None:
            raise ConfigError("this method needs predicted outcomes; see `cross_fitted`")
        return (self.target * self.predicted).sum(axis=1), self._of_chosen(self.predicted)

    def _of_chosen(self, matrix: Matrix) -> Column:
        found: Column = matrix[np.arange(len(self.chosen)), self.chosen]
        return found

"""What every arm did on every prompt: the full information that a live router never has.

>>> table = OutcomeTable(
...     arms=("small", "large"),
...     score=np.array([[1.0, 1.0], [0.0, 1.0]]),
...     cost_usd=np.array([[0.001, 0.01], [0.001, 0.01]]),
...     latency_s=np.array([[0.1, 0.5], [0.1, 0.5]]),
... )
>>> table.summary("mine", np.array([0, 1])).accuracy
1.0
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.protocols import Reward
from pickllm.types import Arm

__all__ = ["Matrix", "OutcomeTable", "Summary"]

Matrix: TypeAlias = NDArray[np.float64]
"""Of two axes, each array says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a way of choosing came to, over all prompts of a table."""

    name: str
    accuracy: float
    """Mean score, in [0, 1]."""
    cost_usd: float
    """Sum over all prompts; NaN where an arm's price is unknown."""
    latency_s: float
    """Mean over all prompts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeTable:
    """Outcomes of ``arms`` on prompts, all matrices ``[prompts, arms]``."""

    arms: tuple[str, ...]
    score: Matrix
    """Quality in [0, 1]."""
    cost_usd: Matrix
    """NaN where unknown."""
    latency_s: Matrix
    prompts: tuple[str, ...] = field(default=(), repr=False)
    """For policies that look at them; or empty."""
    features: Matrix | None = None
    """``[prompts, dim]``, made beforehand, in place of a featurizer's; or None."""
    tokens_in: Matrix | None = None
    """Tokens of each call, where they are known, so that a new price counts; or None."""
    tokens_out: Matrix | None = None
    cards: tuple[Arm, ...] = ()
    """``[arms]``, for prices; empty where only the costs are known."""

    def __post_init__(self) -> None:
        shape = (len(self.score), len(self.arms))
        for name in ("score", "cost_usd", "latency_s"):
            found = getattr(self, name).shape
            if found != shape:
                raise ConfigError(f"{name} has shape {found}; [prompts, arms] is {shape}")
        for given in (self.prompts or self.score, self.features):
            if given is not None and len(given) != len(self.score):
                raise ConfigError(f"{len(given)} prompts or features for {len(self.score)} rows")
        if self.cards and tuple(card.name for card in self.cards) != self.arms:
            raise ConfigError("cards must be of the arms, in their order")
        sound = (self.score >= 0.0) & (self.score <= 1.0)
        if not sound.all():
            row, place = np.argwhere(~sound)[0]
            raise ConfigError(
                f"scores must be numbers in [0, 1]; {self.arms[place]} has {self.score[row, place]}"
            )
        if np.any(self.cost_usd < 0.0) or np.any(self.latency_s < 0.0):
            raise ConfigError("costs and latencies must be 0 or more")

    def __len__(self) -> int:
        """How many prompts there are."""
        return len(self.score)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "OutcomeTable":
        """The table of some prompts alone: their numbers, or a mask ``[prompts]``."""
        return OutcomeTable(
            arms=self.arms,
            score=self.score[rows],
            cost_usd=self.cost_usd[rows],
            latency_s=self.latency_s[rows],
            prompts=tuple(np.array(self.prompts, dtype=object)[rows]) if self.prompts else (),
            features=_taken(self.features, rows),
            tokens_in=_taken(self.tokens_in, rows),
            tokens_out=_taken(self.tokens_out, rows),
            cards=self.cards,
        )

    def rewards(self, reward: Reward) -> Matrix:
        """What each arm would have earned on each prompt, ``[prompts, arms]``."""
        known = not np.isnan(self.cost_usd).any()
        cells = np.ndindex(self.score.shape)
        flat = [
            reward(
                score=float(self.score[cell]),
                cost_usd=float(self.cost_usd[cell]) if known else None,
                latency_s=float(self.latency_s[cell]),
            )
            for cell in cells
        ]
        return np.array(flat).reshape(self.score.shape)

    def summary(self, name: str, chosen: NDArray[np.intp]) -> Summary:
        """What came of asking arm ``chosen[i]`` for prompt ``i``."""
        rows = np.arange(len(self))
        return Summary(
            name=name,
            accuracy=float(self.score[rows, chosen].mean()),
            cost_usd=float(self.cost_usd[rows, chosen].sum()),
            latency_s=float(self.latency_s[rows, chosen].mean()),
        )


def _taken(matrix: Matrix | None, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Matrix | None:
    return None if matrix is None else matrix[rows]

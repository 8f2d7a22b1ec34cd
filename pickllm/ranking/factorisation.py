"""Matrix factorisation: a vector for each arm, and a map that brings prompts to where arms live.

    s(m, q) = w2 . (v_m / |v_m| * (W1 e_q + b))
    P(a beats b | q) = sigma(s(a, q) - s(b, q))

For a fixed pool everything on the left of e_q is one matrix ``[arms, dim]``, so to rank a prompt is
one product. Trained by logistic loss on battles, with Adam, in seconds on a CPU.

Published, it drops ties, has no b, and adds noise to each e_q (`published_factorisation`). That
loses what ties say: a prompt on which both do well needs no strong model. Here a tie is half a win.

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 4.2, and ``train_matrix_factorization.py``.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError, MissingExtra
from pickllm.ranking.bradley_terry import expected_wins, win_rate
from pickllm.ranking.contract import Prompts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Factorisation", "FittedFactorisation", "published_factorisation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedFactorisation:
    """The product of all that was learnt."""

    arms: tuple[str, ...]
    weights: Floats
    """``[dim, arms]`` float32."""
    offset: Floats
    """``[arms]`` float32."""

    @property
    def dim(self) -> int:
        """Length of the vectors that it reads."""
        return len(self.weights)

    @property
    def instant(self) -> bool:
        """It is one product."""
        return True

    def ratings(self, vectors: Floats) -> Floats:
        """Score s of each arm for prompts ``[prompts, dim]``, ``[prompts, arms]``."""
        return np.asarray(vectors @ self.weights + self.offset)

    def strengths(self, prompts: Prompts) -> Floats:
        """Chance of each arm to win against another drawn at random, ``[prompts, arms]``."""
        return expected_wins(self.ratings(prompts.vectors_of(self.dim)))

    def win_rate(self, vector: Floats, first: str, second: str) -> float:
        """Chance that the first arm's answer to a prompt ``[dim]`` is the better one."""
        if missing := {first, second}.difference(self.arms):
            raise ConfigError(f"this ranker knows {', '.join(self.arms)}; not {min(missing)}")
        ratings = self.ratings(vector)
        return float(win_rate(ratings[self.arms.index(first)] - ratings[self.arms.index(second)]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Factorisation:
    """Settings of the training."""

    size: int = 128
    """Length of an arm's vector, at least 1."""
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 3e-4
    weight_decay: float = 1e-5
    keep_ties: bool = True
    """A tie is half a win for each; False leaves it out, as published."""
    bias: bool = True
    """Whether there is a b."""
    noise: float = 0.0
    """Standard deviation of the noise on each number of e_q; 0.1 as published."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.size, self.epochs, self.batch) < 1 or not self.learning_rate > 0.0:
            raise ConfigError("size, epochs and batch must be at least 1, learning_rate above 0")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"factorisation(size={self.size}, epochs={self.epochs}, ties={self.keep_ties})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedFactorisation:
        """Train; the same seed gives the same numbers on the same machine.

        Raises:
            ConfigError: Prompts have no vectors, or all battles are ties and ties are dropped.
            MissingExtra: torch is not installed.
        """
        if not prompts.vectors.shape[1]:
            raise ConfigError("factorisation reads vectors, and the prompts have none")
        kept = table if self.keep_ties else table.take(table.won != 0.5)
        if not len(kept):
            raise ConfigError("all battles are ties; without them there is nothing to learn from")
        weights, offset = self._trained(kept, np.asarray(prompts.vectors, dtype=np.float32))
        return FittedFactorisation(arms=table.arms, weights=weights, offset=offset)

    def _trained(self, table: PreferenceTable, vectors: Floats) -> tuple[Floats, Floats]:
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("to train a factorisation", extra="local") from error
        chance = torch.Generator().manual_seed(self.seed)

        def uniform(*shape: int) -> "Tensor":
            """As a linear layer begins."""
            reach = float(shape[0]) ** -0.5
            return (torch.rand(*shape, generator=chance) * 2.0 - 1.0).mul(reach).requires_grad_()

        arms = torch.randn(len(table.arms), self.size, generator=chance).requires_grad_()
        into, out = uniform(vectors.shape[1], self.size), uniform(self.size)
        bias = torch.zeros(self.size).requires_grad_(self.bias)
        learnt = [arms, into, out, *([bias] if self.bias else [])]
        optimizer = torch.optim.Adam(learnt, lr=self.learning_rate, weight_decay=self.weight_decay)
        known = torch.from_numpy(vectors)
        columns = (table.prompt, table.first, table.second)
        prompt, first, second = (torch.from_numpy(each.astype(np.int64)) for each in columns)
        won, weight = (
            torch.from_numpy(each.astype(np.float32)) for each in (table.won, table.weight)
        )

        def lead(battles: "Tensor") -> "Tensor":
            unit = torch.nn.functional.normalize(arms, dim=1)
            asked = known[prompt[battles]]
            if self.noise:
                asked = asked + self.noise * torch.randn(asked.shape, generator=chance)
            apart = unit[first[battles]] - unit[second[battles]]
            return (apart * (asked @ into + bias)) @ out

        for _ in range(self.epochs):
            order = torch.randperm(len(table), generator=chance)
            for battles in torch.split(order, self.batch):
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    lead(battles), won[battles], weight[battles]
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch's
                optimizer.step()
        with torch.no_grad():
            by_arm = torch.nn.functional.normalize(arms, dim=1) * out
            return (into @ by_arm.T).numpy(), (by_arm @ bias).numpy()


def published_factorisation() -> Factorisation:
    """As RouteLLM trains it: without ties and bias, with noise, for 100 epochs."""
    return Factorisation(epochs=100, keep_ties=False, bias=False, noise=0.1)

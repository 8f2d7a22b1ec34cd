"""Battles with a law behind them, for tests of rankers."""

from dataclasses import dataclass

import numpy as np

from pickllm.arrays import Floats
from pickllm.data import PreferenceTable
from pickllm.ranking.contract import Prompts

__all__ = ["ByLength", "made_battles"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ByLength:
    """A ranker that was told: long prompts are for the last arm, and all others are alike."""

    arms: tuple[str, ...]
    dim: int = 0
    instant: bool = True

    def strengths(self, prompts: Prompts) -> Floats:
        """One half, and for the last arm a hundredth for each character, ``[prompts, arms]``."""
        found = np.full((len(prompts), len(self.arms)), 0.5)
        found[:, -1] = [min(len(text) / 100, 1.0) for text in prompts.texts]
        return found


def made_battles(
    battles: int = 400, *, arms: int = 12, dim: int = 16, prompts: int | None = None, seed: int = 0
) -> tuple[PreferenceTable, Prompts]:
    """Battles of arms that are the better the higher their number, more so for some prompts."""
    rng = np.random.default_rng(seed)
    count = prompts or battles
    vectors = rng.normal(size=(count, dim)) + 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = rng.integers(arms, size=battles)
    second = (first + rng.integers(1, arms, size=battles)) % arms
    prompt = np.arange(battles) if prompts is None else rng.integers(count, size=battles)
    lead = (first - second) * (0.15 + 0.6 * vectors[prompt, 0])
    chance = rng.random(battles)
    won = np.where(chance < 1.0 / (1.0 + np.exp(0.6 - lead)), 1.0, 0.0)
    won[(won == 0.0) & (chance < 1.0 / (1.0 + np.exp(-0.6 - lead)))] = 0.5
    table = PreferenceTable(
        prompts=tuple(f"prompt {number}" for number in range(count)),
        arms=tuple(f"arm {number:02}" for number in range(arms)),
        sources=("made",),
        prompt=prompt,
        first=first,
        second=second,
        won=won,
        weight=np.ones(battles),
        source=np.zeros(battles, dtype=np.intp),
    )
    return table, Prompts(texts=table.prompts, vectors=vectors.astype(np.float32))

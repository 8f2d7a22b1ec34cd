"""Tables and texts that tests of cascades are made on."""

import numpy as np

from pickllm.cascading import AnswerTable, ScoredTable
from pickllm.protocols import Asking
from pickllm.scoring import FunctionScorer
from pickllm.types import Draft

__all__ = ["ALIKE", "answered", "draft", "result_of", "sums", "world"]

ALIKE = FunctionScorer(grade=lambda *_: 0.5)
"""A scorer to which all answers are alike."""


def draft(arm: str, score: float | None, *, partial: bool = False, text: str = "") -> Draft:
    """An answer that costs a tenth of a cent."""
    return Draft(arm=arm, score=score, cost_usd=0.001, latency_s=0.1, partial=partial, text=text)


def world(
    seed: int, *, rows: int = 400, arms: int = 3, noise: float = 0.3, rise: float = 0.1
) -> ScoredTable:
    """Prompts of differing hardness; dearer arms are better by ``rise``, and scores are noisy."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows)[:, None]
    chance = np.clip(1.1 - hard + rise * np.arange(arms), 0.02, 0.98)
    quality = (rng.random((rows, arms)) < chance).astype(float)
    score = np.clip(chance * 0.4 + quality * 0.4 + noise * rng.standard_normal((rows, arms)), 0, 1)
    cost = 0.001 * 10.0 ** np.arange(arms) * (0.5 + rng.random((rows, arms)))
    names = ("small", "medium", "large", "huge")[:arms]
    return ScoredTable(arms=names, score=score, quality=quality, cost_usd=cost)


def sums(count: int = 300, *, seed: int = 0) -> AnswerTable:
    """Sums: the small model is often wrong with large numbers, and shows it; the large, seldom."""
    rng = np.random.default_rng(seed)
    prompts, answers, quality = [], [], []
    for _ in range(count):
        one, other = (int(number) for number in rng.integers(1, 10 ** int(rng.integers(1, 4)), 2))
        slips = rng.random(2) < (0.05 if one + other < 40 else 0.7, 0.04)
        said = [one + other + int(slip) * (1 + int(rng.integers(1, 9))) for slip in slips]
        prompts.append(f"What is {one} + {other}?")
        answers.append(tuple(f"{one} + {other} = {each}. The answer is {each}" for each in said))
        quality.append([float(not slip) for slip in slips])
    cost = np.tile([0.0001, 0.002], (count, 1))
    return AnswerTable(
        arms=("small", "large"),
        prompts=tuple(prompts),
        answers=tuple(answers),
        quality=np.array(quality),
        cost_usd=cost,
    )


def answered(table: AnswerTable) -> dict[str, list[object]]:
    """A table as the columns of a file."""
    columns: dict[str, list[object]] = {"prompt": list(table.prompts)}
    for column, arm in enumerate(table.arms):
        columns[f"{arm}|answer"] = [row[column] for row in table.answers]
        columns[f"{arm}|score"] = table.quality[:, column].tolist()
        columns[f"{arm}|cost_usd"] = table.cost_usd[:, column].tolist()
    return columns


def result_of(asking: Asking[float | None]) -> float | None:
    """What a scorer says in the end; work that it yields is done."""
    try:
        step = next(asking)
        while True:
            step = asking.send(step.run())  # type: ignore[union-attr]  # scorers of texts yield work alone
    except StopIteration as stop:
        found: float | None = stop.value
        return found

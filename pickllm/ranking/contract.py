"""What every ranker is: something that learns from battles how good each arm is for a prompt.

    ranker.fit(table, prompts) ──► fitted ──► fitted.strengths(prompts)   [prompts, arms]

A ranker holds settings only. What it has learnt is a value of its own, which `state.py` saves. A
strength is the quality expected of an arm in [0, 1], so whoever has strengths can rank a pair of
models, choose among many, or hand them to a policy as what it knows beforehand.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.preferences import PreferenceTable
from pickllm.embedding.contract import Embedder, check_embedder
from pickllm.errors import ConfigError

__all__ = ["FittedRanker", "Prompts", "Ranker", "embedded_prompts", "pair_scores", "prompts_of"]

F_co = TypeVar("F_co", covariant=True, bound="FittedRanker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """Prompts as rankers see them; some read the texts, others the vectors."""

    texts: tuple[str, ...] = field(repr=False)
    vectors: Floats
    """Embeddings, ``[prompts, dim]`` float32; dim is 0 where there are none."""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.texts):
            raise ConfigError(
                f"{len(self.texts)} prompts have vectors of shape {self.vectors.shape}; it must be "
                "[prompts, dim]"
            )
        if not np.isfinite(self.vectors).all():
            raise ConfigError("vectors of prompts must be finite numbers: look at the embedder")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.texts)

    def vectors_of(self, dim: int) -> Floats:
        """The vectors, for a ranker that reads so many numbers; `ConfigError` for others."""
        if self.vectors.shape[1] != dim:
            raise ConfigError(
                f"this ranker reads vectors of {dim} numbers, and these have "
                f"{self.vectors.shape[1]}: embed prompts as those were that it was fitted on"
            )
        return self.vectors

    def take(self, places: Integers) -> "Prompts":
        """Some of them: their places, or a mask ``[prompts]``."""
        chosen = np.arange(len(self))[places]
        return Prompts(
            texts=tuple(self.texts[place] for place in chosen), vectors=self.vectors[chosen]
        )


class FittedRanker(Protocol):
    """What a ranker has learnt.

    One that takes less time for a prompt than handing it to a thread would, as products and sums
    do, says so in a property ``instant``.
    """

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it knows, in the order of `strengths`."""

    @property
    def dim(self) -> int:
        """Length of the vectors that it reads; 0 where it reads texts alone."""

    def strengths(self, prompts: Prompts) -> Floats:
        """Expected quality of each arm for each prompt, in [0, 1], ``[prompts, arms]``."""


class Ranker(Protocol[F_co]):
    """How to learn from battles; settings only."""

    def fit(self, table: PreferenceTable, prompts: Prompts) -> F_co:
        """Learn. ``prompts`` are those of the table, in its order.

        Raises:
            ConfigError: The prompts lack what this ranker reads, or there is nothing to learn from.
        """


def pair_scores(fitted: FittedRanker, prompts: Prompts, *, strong: str, weak: str) -> Floats:
    """How much better the strong arm should do than the weak one, in [-1, 1], ``[prompts]``.

    Raises:
        ConfigError: The ranker does not know one of them.
    """
    if missing := {strong, weak}.difference(fitted.arms):
        raise ConfigError(f"this ranker knows {', '.join(fitted.arms)}; not {min(missing)}")
    found = fitted.strengths(prompts)
    return np.asarray(found[:, fitted.arms.index(strong)] - found[:, fitted.arms.index(weak)])


def embedded_prompts(texts: tuple[str, ...], embedder: Embedder | None = None) -> Prompts:
    """Prompts with the vectors that an embedder makes of them, if there is one.

    Raises:
        ConfigError: It is no embedder, or makes vectors that are no numbers.
    """
    if embedder is None:
        return Prompts(texts=texts, vectors=np.zeros((len(texts), 0), dtype=np.float32))
    check_embedder(embedder, method="embed")
    return Prompts(texts=texts, vectors=embedder.embed(texts))


def prompts_of(table: PreferenceTable, vectors: Floats | None = None) -> Prompts:
    """The prompts of a table, with their embeddings ``[prompts, dim]`` where there are any."""
    known = np.zeros((len(table.prompts), 0), dtype=np.float32) if vectors is None else vectors
    return Prompts(texts=table.prompts, vectors=known)

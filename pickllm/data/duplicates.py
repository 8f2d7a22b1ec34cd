"""Prompts that stand in a table more than once, nearly, and those that leaked into training data.

Two prompts are near-duplicates where their embeddings have a cosine of at least 0.95, RouteLLM's
own limit. Near-duplicates of near-duplicates belong together: a group is a connected component.
Split by groups, or a router is tested on what it was fitted on.

>>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.99, 0.1]])
>>> near_duplicate_groups(vectors).tolist()
[0, 1, 0]
>>> leaked(vectors[:2], training=vectors[2:]).tolist()
[True, False]
"""

from collections.abc import Iterator

import numpy as np

from pickllm.arrays import Floats, Integers, unit_rows
from pickllm.errors import ConfigError
from pickllm.evaluation.metrics import dataset_similarity

__all__ = ["NEAR", "group_folds", "leaked", "near_duplicate_groups"]

NEAR = 0.95
"""Cosine from which two prompts count as the same."""


def near_duplicate_groups(
    vectors: Floats, *, cosine: float = NEAR, prompts_at_once: int = 1024
) -> Integers:
    """Number of each prompt's group, ``[prompts]``; groups are numbered by their first prompt.

    Compares all pairs, blockwise: seconds for 50,000 prompts.

    Args:
        vectors: Embeddings, ``[prompts, dim]``.
        cosine: From where two prompts are the same, in (0, 1].
        prompts_at_once: How many rows are compared in one product; bounds the memory.
    """
    leader = np.arange(len(vectors))  # of each prompt: the first one of its group
    for near in _near(unit_rows(vectors), cosine, prompts_at_once):
        leaders = np.unique(leader[near])
        if len(leaders) > 1:
            leader[leaders] = leaders[0]
            leader = leader[leader]
    return np.asarray(np.unique(leader, return_inverse=True)[1], dtype=np.intp)


def leaked(evaluated: Floats, *, training: Floats, cosine: float = NEAR) -> Integers:
    """Which evaluated prompts were trained on, as a mask ``[evaluated]``; arrays ``[…, dim]``."""
    return np.asarray(dataset_similarity(evaluated, training) >= cosine)


def group_folds(groups: Integers, *, folds: int, rng: np.random.Generator) -> Integers:
    """Fold of each prompt, ``[prompts]``: groups stay whole, folds have nearly equal sizes.

    Raises:
        ConfigError: There are fewer groups than folds.
    """
    sizes = np.bincount(groups)
    if folds < 2 or len(sizes) < folds:
        raise ConfigError(
            f"{len(sizes)} prompts that are not alike can not be cut into {folds} folds: take "
            "fewer folds, or bring more prompts"
        )
    group_to_fold = np.zeros(len(sizes), dtype=np.intp)
    filled = np.zeros(folds)
    shuffled = rng.permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        smallest = int(filled.argmin())
        group_to_fold[group] = smallest
        filled[smallest] += sizes[group]
    return group_to_fold[groups]


def _near(units: Floats, cosine: float, at_once: int) -> Iterator[Integers]:
    """Places of a prompt and of those near to it, for each that has such; earlier blocks apart."""
    for start in range(0, len(units), at_once):
        near = units[start : start + at_once] @ units[start:].T >= cosine
        for row in np.flatnonzero(near.sum(axis=1) > 1):
            yield start + np.flatnonzero(near[row])

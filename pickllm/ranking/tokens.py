"""Tokens of prompts on their way into a language model, and the chances that come out.

Prompts that are too long keep their head and their tail; rows of like length go together.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pickllm.arrays import Floats

__all__ = ["chances_of", "head_and_tail", "padded"]


def head_and_tail(tokens: Sequence[int], limit: int) -> list[int]:
    """Tokens without their middle where there are more than ``limit``.

    >>> head_and_tail([1, 2, 3, 4, 5, 6], 4)
    [1, 2, 5, 6]
    """
    if len(tokens) <= limit:
        return list(tokens)
    head = limit // 2
    return [*tokens[:head], *tokens[len(tokens) - (limit - head) :]]


def padded(
    rows: Sequence[Sequence[int]], *, padding: int, left: bool = False, device: Any = "cpu"
) -> dict[str, Any]:
    """Rows of tokens as the tensors that models take; padding stands behind, or before."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[at, where] = torch.tensor(row, dtype=torch.long)
        mask[at, where] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def chances_of(
    rows: Sequence[Sequence[int]],
    logits: Callable[[Sequence[Sequence[int]]], Any],
    *,
    labels: int,
    at_once: int,
) -> Floats:
    """Probabilities of the labels, ``[rows, labels]``; rows of like length go together.

    Args:
        rows: Tokens of each prompt.
        logits: What a model says of some rows, as a tensor ``[rows, labels]``.
        labels: How many there are.
        at_once: How many rows a model is given in one go.
    """
    import torch

    found = np.zeros((len(rows), labels))
    order = np.argsort([len(row) for row in rows], kind="stable")
    with torch.no_grad():
        for start in range(0, len(rows), at_once):
            places = order[start : start + at_once]
            said = logits([rows[at] for at in places])
            found[places] = said.float().softmax(dim=-1).cpu().numpy()
    return found

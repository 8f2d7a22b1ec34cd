"""Near-duplicate prompts, leaks, and folds."""

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.data import group_folds, leaked, near_duplicate_groups


def circle(*degrees: float) -> np.ndarray:
    """Vectors at some angles; 0.95 is the cosine of 18.2 degrees."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_near_prompts_share_a_group(at_once: int) -> None:
    """Also where only a prompt between them is near to both, and whatever the blocks."""
    vectors = circle(0, 90, 15, 30, 100)

    assert [0, 1, 0, 0, 1] == near_duplicate_groups(vectors, prompts_at_once=at_once).tolist()


@pytest.mark.parametrize("at_once", [7, 100])
def test_groups_are_what_can_be_reached(at_once: int) -> None:
    """In any order and block, as a walk from prompt to near prompt finds them."""
    vectors = np.random.default_rng(0).normal(size=(90, 3))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    reached = units @ units.T >= 0.97
    for _ in range(7):
        reached = reached @ reached
    expected = np.unique(reached.argmax(axis=1), return_inverse=True)[1]

    found = near_duplicate_groups(vectors, cosine=0.97, prompts_at_once=at_once)

    assert 1 < expected.max() < 80
    assert expected.tolist() == found.tolist()


def test_a_leak_is_a_prompt_near_to_one_trained_on() -> None:
    """From a cosine of 0.95 on."""
    assert [True, False] == leaked(circle(0, 45), training=circle(10, 180)).tolist()


def test_folds_keep_groups_whole() -> None:
    """Each prompt has a fold, its group's; folds have nearly equal sizes."""
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6])
    folds = group_folds(groups, folds=3, rng=np.random.default_rng(0))

    assert 1 == len(set(folds[:3].tolist()))
    assert [3, 3, 3] == np.bincount(folds).tolist()
    with pytest.raises(ConfigError, match="2 prompts that are not alike"):
        group_folds(np.array([0, 1, 1]), folds=3, rng=np.random.default_rng(0))

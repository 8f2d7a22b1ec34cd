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


def test_a_leak_is_a_prompt_near_to_one_trained_on() -> None:
    """From a cosine of 0.95 on."""
    assert [True, False] == leaked(circle(0, 45), training=circle(10, 180)).tolist()


def test_folds_keep_groups_whole() -> None:
    """Each prompt has a fold, its group's; folds have nearly equal sizes."""
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6])
    folds = group_folds(groups, folds=3, rng=np.random.default_rng(0))

    assert 1 == len(set(folds[:3].tolist()))
    assert [3, 3, 3] == np.bincount(folds).tolist()
    with pytest.raises(ConfigError, match="2 groups"):
        group_folds(np.array([0, 1, 1]), folds=3, rng=np.random.default_rng(0))

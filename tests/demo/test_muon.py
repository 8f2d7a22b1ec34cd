"""The optimizer of the demo's training."""

import pytest
import torch

from pickllm.demo.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 4, 10), (2, 10, 4)])
def test_orthogonal_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    """All directions of a step are about equally long, whatever the matrix."""
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0))

    values = torch.linalg.svdvals(orthogonal(matrices))

    assert shape == orthogonal(matrices).shape
    assert 0.3 < values.min()
    assert values.max() < 1.3


def test_a_step_is_that_of_torchs_own_muon() -> None:
    """The move is that of `torch.optim.Muon`, but for what its bfloat16 rounds away."""
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimizers = (
        Muon([ours], lr=0.1, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, nesterov=True),
    )

    for _ in range(3):
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = 2 * weight.detach()
            optimizer.step()

    assert torch.allclose(ours, theirs, atol=0.02)
    assert (start - ours).abs().max() > 0.1

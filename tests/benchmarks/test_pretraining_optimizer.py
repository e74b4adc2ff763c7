"""Muon in single precision, against the singular value decomposition and torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.pretraining_optimizer import Muon, orthogonalised, pretraining_optimizers
from spd_bench.models.sam_small import build_sam_small


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (12, 12)])
def test_a_matrix_keeps_its_singular_vectors_and_gets_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = orthogonalised(matrix)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.diag(left.T @ found @ right.T)
    torch.testing.assert_close(left @ torch.diag(values) @ right, found, rtol=1e-3, atol=1e-3)
    assert values.max() < 1.25
    assert values[:-1].min() > 0.3


def test_it_steps_as_torch_s_muon_does_up_to_that_one_s_bfloat16() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 32), [torch.randn(24, 32) for _ in range(4)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = Muon([ours], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        reference.step()
    moved, expected = ours.detach() - start, theirs.detach() - start
    assert (moved - expected).norm() < 0.05 * expected.norm()


def test_a_kernel_of_a_convolution_is_a_matrix_of_its_outputs() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.zeros(16, 4, 3, 3))
    kernel.grad = torch.randn(16, 4, 3, 3)
    Muon([kernel], lr=1.0, weight_decay=0.0).step()
    values = torch.linalg.svdvals(kernel.detach().flatten(1)) / (0.2 * 36**0.5)
    assert values.min() > 0.5
    assert values.max() < 1.25


def test_every_parameter_of_the_network_has_one_optimiser() -> None:
    network = build_sam_small(resolution=64)
    muon, adamw = pretraining_optimizers(network, lr=1e-3)
    inside = [parameter for group in muon.param_groups for parameter in group["params"]]
    others = [parameter for group in adamw.param_groups for parameter in group["params"]]
    assert {id(p) for p in (*inside, *others)} == {id(p) for p in network.parameters() if p.requires_grad}
    assert len(inside) + len(others) == len({id(p) for p in (*inside, *others)})
    assert all(parameter.ndim >= 2 for parameter in inside)
    assert sum(p.numel() for p in inside) > 0.8 * sum(p.numel() for p in network.parameters())

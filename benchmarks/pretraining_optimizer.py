"""The optimiser of the pretraining: Muon for the matrices inside the network, AdamW for all else.

Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is Scalable for
LLM Training", arXiv 2502.16982) makes each matrix's momentum orthogonal before it steps. On these scenes it needs less
than half of AdamW's steps to the same IoU. ``torch.optim.Muon`` computes in bfloat16, which takes tens of times longer
on a CPU without such arithmetic, and refuses the kernels of convolutions; hence this one, in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_SMALLEST_SIDE = 16
_NOT_HIDDEN = ("rel_pos", "token", "embed", "stage1.", "hypernetworks")
"""Parts of names: tables and tokens are no maps between layers, first and last layers do better in AdamW."""


class Muon(Optimizer):
    """Momentum made orthogonal, for weights of at least two dimensions; a kernel counts as (outputs, all else).

    A step's size matches the root mean square of AdamW's (0.2), so that one learning rate serves both.

    Args:
        parameters: the weights.
        lr: learning rate.
        weight_decay: decoupled, times the learning rate.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step for every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, weight.grad, group)

    def _step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM).flatten(1)
        size = 0.2 * math.sqrt(max(ahead.shape))
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(orthogonalised(ahead).view_as(weight), alpha=-group["lr"] * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of the given one and singular values near 1 (about 0.7 to 1.2).

    Newton-Schulz iteration of Muon's quintic polynomial. As every iterate is a polynomial of the Gram matrix times the
    first one, only matrices of the shorter side are iterated.

    Args:
        matrix: shape (N, M).
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    a, b, c = _COEFFICIENTS
    start = matrix / (matrix.norm() + 1e-7)
    gram = start @ start.T
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for _ in range(_ITERATIONS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ start


def pretraining_optimizers(network: nn.Module, *, lr: float) -> list[Optimizer]:
    """Muon over the network's hidden matrices, and AdamW over its other parameters."""
    hidden = {name for name, parameter in network.named_parameters() if _is_hidden_matrix(name, parameter)}
    inside = [parameter for name, parameter in network.named_parameters() if name in hidden]
    others = [parameter for name, parameter in network.named_parameters() if name not in hidden]
    return [Muon(inside, lr=lr, weight_decay=0.1), AdamW(others, lr=lr, weight_decay=0.01, fused=True)]


def _is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    if parameter.ndim < 2 or any(part in name for part in _NOT_HIDDEN):
        return False
    return min(parameter.flatten(1).shape) >= _SMALLEST_SIDE

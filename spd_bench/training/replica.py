"""The network's part in a training step: on its own, or as one of equal copies in several processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spd_bench.training.distributed import every_row, processes, rank
from spd_bench.training.windows import Targets, WindowBatch

Outputs = dict[str, Tensor]
"""What a loss is computed from, by name; one row for each slice."""


def replicated(network: nn.Module, outputs: Callable[[WindowBatch], Outputs]) -> Callable[[WindowBatch], Outputs]:
    """``outputs`` of a batch, computed by equal copies of a network that stay equal.

    ``DistributedDataParallel`` looks at one forward pass of one module, while methods call parts of their networks:
    the module here is the whole step. What is trainable may not change afterwards; build it again where it does.

    Args:
        network: the network, its trainable parameters set.
        outputs: calls the network, or parts of it.
    """
    if processes() == 1:
        return outputs
    return DistributedDataParallel(_Step(network, outputs), find_unused_parameters=True)


class _Step(nn.Module):
    """A forward pass that always has a gradient.

    A process whose slices all lack a point computes nothing that does, and would leave the others waiting for its
    gradients. The anchor, a parameter of 0 that nothing trains, is added to what comes out; the network's parameters
    that no process has used keep no gradient, as in one process alone, and an optimiser passes over them.
    """

    def __init__(self, network: nn.Module, outputs: Callable[[WindowBatch], Outputs]) -> None:
        super().__init__()
        self.network = network
        self.anchor = nn.Parameter(torch.zeros((), device=next(network.parameters()).device))
        self._outputs = outputs

    def forward(self, batch: WindowBatch) -> Outputs:
        return {name: rows + self.anchor for name, rows in self._outputs(batch).items()}


def whole_outputs(outputs: Outputs) -> Outputs:
    """The outputs of the whole batch, from those of every process's share."""
    return {name: every_row(rows) for name, rows in outputs.items()}


def whole_targets(batch: WindowBatch) -> Targets:
    """The targets of the whole batch, from those of every process's share."""
    if processes() == 1:
        return batch
    counts = every_row(torch.tensor([len(batch.masks)]))
    ahead = int(counts[: rank()].sum())
    return Targets(masks=every_row(batch.masks), pairs=every_row(batch.pairs + ahead))

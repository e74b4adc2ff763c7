"""The trainer of the ``nnunet`` row: nnU-Net's own recipe, shortened to the budget and nothing else."""

from __future__ import annotations

from spd_bench.training.tracked import TrackedTrainer


class BudgetedNNUNetTrainer(TrackedTrainer):
    """nnU-Net's network, loss, optimiser, schedule and augmentation as they are.

    Number and length of its epochs come from the budget; the polynomial schedule falls over them as it does
    over nnU-Net's own 1000 epochs of 250 steps.
    """

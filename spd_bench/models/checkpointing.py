"""Gradient checkpointing of SAM's image encoder: less memory for more time.

Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174), through ``torch.utils.checkpoint``.
"""

from __future__ import annotations

from typing import TypeGuard

from torch import nn

from spd_bench.models.image_encoder import FusedImageEncoder
from spd_bench.models.sam_small_encoder import SmallImageEncoder


def set_gradient_checkpointing(encoder: nn.Module, *, enabled: bool) -> None:
    """Make ``encoder`` keep only the tokens between its blocks, and compute each block again for the gradients.

    Outputs and gradients stay the same, as dropout repeats itself; a step costs one more forward pass of the blocks.
    Without gradients nothing changes. LoRA and adapters may be added before or after.

    Args:
        encoder: the image encoder of a ``spd_bench.models.sam.build_sam``.
        enabled: whether to do so from now on.

    Raises:
        ValueError: the encoder is another one.
    """
    if not can_checkpoint(encoder):
        msg = f"gradient checkpointing needs an image encoder of SAM's, got {type(encoder).__name__}"
        raise ValueError(msg)
    encoder.checkpoints_gradients = enabled


def can_checkpoint(encoder: nn.Module | None) -> TypeGuard[FusedImageEncoder | SmallImageEncoder]:
    """Whether ``set_gradient_checkpointing`` knows how to save memory in ``encoder``."""
    return isinstance(encoder, FusedImageEncoder | SmallImageEncoder)

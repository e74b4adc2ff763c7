"""SAM's image encoder with fused attention and, if asked, gradient checkpointing.

The weights are those of segment_anything's ``ImageEncoderViT``, under the same names, and so are the numbers that come
out, up to the order of sums in floating point.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spd_bench.models.fused_attention import FusedAttention


class FusedBlock(nn.Module):
    """A transformer block of SAM's image encoder with :class:`FusedAttention`.

    It holds the given block's own layers under their names.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.window_size: int = block.window_size
        self.norm1 = block.norm1
        self.attn = FusedAttention(block.attn, window_size=block.window_size)
        self.norm2, self.mlp = block.norm2, block.mlp

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w, D) -> the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return cast(Tensor, tokens + self.mlp(self.norm2(tokens)))


class FusedImageEncoder(ImageEncoderViT):
    """Drop-in for segment_anything's ``ImageEncoderViT``, of the same arguments and state dict.

    Attributes:
        checkpoints_gradients: whether training keeps only the tokens between blocks and computes the blocks again for
            the gradients; see ``spd_bench.models.checkpointing``.
    """

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.checkpoints_gradients = False
        for index, block in enumerate(self.blocks):
            self.blocks[index] = FusedBlock(block)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, R, R) -> embeddings (B, C, h, w)."""
        tokens = self.patch_embed(images)
        if self.pos_embed is not None:
            tokens = tokens + self.pos_embed
        # The patches come channels first in memory, and every later sum would keep that order and pay for it.
        tokens = tokens.contiguous()
        recompute = self.checkpoints_gradients and torch.is_grad_enabled()
        for block in self.blocks:
            tokens = checkpoint(block, tokens, use_reentrant=False) if recompute else block(tokens)
        return cast(Tensor, self.neck(tokens.permute(0, 3, 1, 2)))

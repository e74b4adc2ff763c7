"""The image encoder of ``sam_small``: convolutions down to stride 8, transformer blocks at stride 16, context at 32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.image_encoder import Block
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from spd_bench.models.image_encoder import FusedBlock

STRIDE = 8
"""Pixels of the image behind one position of the embedding, along each side."""

_GROUPS = 8
_WIDTHS = (32, 64, 128, 192)
_DEPTH = 3
_HEADS = 6
_WINDOW = 8
_MLP_RATIO = 2.0


class SmallImageEncoder(nn.Module):
    """A compact hybrid encoder with the interface of ``segment_anything``'s ``ImageEncoderViT``.

    A convolution and two residual stages make features at stride 8. A third one leads to stride 16, where SAM's
    transformer blocks (``spd_bench.models.image_encoder``) attend within windows of 8 x 8 positions, with relative
    positions: they stand in ``blocks`` under the names that LoRA and adapters look for. Features at stride 32 and the
    image's mean are the context beyond a window. All is brought back to stride 8 and summed, as in a feature pyramid
    (Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017). Nothing in it depends on the image's
    size, and there is no batch normalisation. Attributes: ``img_size`` and ``checkpoints_gradients``, whether training
    keeps only what lies between stages and blocks (see ``spd_bench.models.checkpointing``).

    Args:
        img_size: side of the square images in pixels.
        out_chans: channels of the embedding.
    """

    def __init__(self, *, img_size: int, out_chans: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.checkpoints_gradients = False
        half, quarter, eighth, sixteenth = _WIDTHS
        self.stage1 = nn.Sequential(
            nn.Conv2d(3, half, 5, stride=2, padding=2, bias=False), nn.GroupNorm(_GROUPS, half), nn.ReLU()
        )
        self.stage2 = ResidualBlock(half, quarter, stride=2)
        self.stage3 = nn.Sequential(ResidualBlock(quarter, eighth, stride=2), ResidualBlock(eighth, eighth, stride=1))
        self.stage4 = ResidualBlock(eighth, sixteenth, stride=2)
        self.blocks = nn.ModuleList(_transformer_block(sixteenth) for _ in range(_DEPTH))
        self.coarse = ResidualBlock(sixteenth, sixteenth, stride=2)
        self.from_global = nn.Conv2d(sixteenth, out_chans, 1)
        self.from_coarse = nn.Conv2d(sixteenth, out_chans, 1)
        self.from_blocks = nn.Conv2d(sixteenth, out_chans, 1)
        self.from_stage3 = nn.Conv2d(eighth, out_chans, 1)
        self.from_stage2 = nn.Conv2d(quarter, out_chans, 2, stride=2)
        self.neck = nn.Sequential(
            LayerNorm2d(out_chans),
            nn.GELU(),
            nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), sides multiples of 32 -> embeddings (B, out_chans, H / 8, W / 8)."""
        quarter = self._run(self.stage2, self._run(self.stage1, images))
        eighth = self._run(self.stage3, quarter)
        tokens = self._run(self.stage4, eighth).permute(0, 2, 3, 1)
        for block in self.blocks:
            tokens = self._run(block, tokens)
        sixteenth = tokens.permute(0, 3, 1, 2)
        coarse = self._run(self.coarse, sixteenth)
        summed = self.from_stage2(quarter) + self.from_stage3(eighth)
        summed = summed + _enlarged(self.from_blocks(sixteenth), 2) + _enlarged(self.from_coarse(coarse), 4)
        summed = summed + self.from_global(coarse.mean(dim=(2, 3), keepdim=True))
        return cast(Tensor, self.neck(summed))

    def _run(self, part: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
        if self.checkpoints_gradients and torch.is_grad_enabled():
            return checkpoint(part, features, use_reentrant=False)
        return part(features)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with group normalisation, and a skip (He et al., "Deep Residual Learning", CVPR 2016).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of 8.
        stride: 1, or 2 to halve the sides.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(_GROUPS, out_channels)
        self.convolution2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(_GROUPS, out_channels)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.skip = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(in_channels, out_channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        hidden = functional.relu(self.norm1(self.convolution1(features)))
        return functional.relu(self.skip(features) + self.norm2(self.convolution2(hidden)))


def _transformer_block(width: int) -> FusedBlock:
    block = Block(
        dim=width,
        num_heads=_HEADS,
        mlp_ratio=_MLP_RATIO,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=_WINDOW,
        input_size=(_WINDOW, _WINDOW),
    )
    return FusedBlock(block)


def _enlarged(features: Tensor, factor: int) -> Tensor:
    return functional.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)

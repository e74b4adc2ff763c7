"""SPD's saliency head: where, in this slice, the target's anatomy is likely to lie."""

from __future__ import annotations

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional


class SaliencyHead(nn.Module):
    """A lightweight decoder from SAM's image embedding to one logit for each pixel.

    Two transposed convolutions, each doubling the size, as in SAM's mask decoder, then a 1x1 convolution. The
    paper (arXiv 2604.23314) does not give the head; its coarseness is intended.

    Args:
        channels: channels of the image embedding, a multiple of 8.
        bias: start value of the last layer's bias. A negative one starts from a quiet background, since few
            pixels belong to the target.
    """

    def __init__(self, *, channels: int, bias: float = -2.0) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            msg = f"channels must be a positive multiple of 8, got {channels}"
            raise ValueError(msg)
        self.upscaling = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.logit = nn.Conv2d(channels // 8, 1, kernel_size=1)
        with torch.no_grad():
            self.logit.bias.fill_(bias)  # type: ignore[union-attr]

    def forward(self, embedding: Tensor, size: int) -> Tensor:
        """Saliency logits; their sigmoid is the saliency map.

        Args:
            embedding: image embeddings, shape (B, channels, h, w).
            size: side of the input image in pixels.

        Returns:
            Logits, shape (B, 1, size, size).
        """
        logits = self.logit(self.upscaling(embedding))
        return functional.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)

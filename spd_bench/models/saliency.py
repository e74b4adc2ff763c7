"""SPD's saliency head: where, in this slice, the target's anatomy is likely to lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

_ENLARGEMENT = 4
"""Two transposed convolutions, each of stride 2."""


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

    def at_pixels(self, embedding: Tensor, pixels: Sequence[NDArray[np.integer]], size: int) -> Tensor:
        """Saliency logits at some pixels only: what :meth:`forward` has there, to float error, for a few columns.

        Both convolutions leave each embedding pixel to itself (kernel = stride) and normalisation is by pixel, so
        a logit before the enlargement depends on one column of the embedding, and one after it on up to four.

        Args:
            embedding: image embeddings, shape (B, channels, h, w).
            pixels: B integer arrays (N, 2) of pixels (x, y) of the input images.
            size: side of the input images in pixels.

        Returns:
            Logits of all pixels in their order, shape (N_1 + ... + N_B,).
        """
        images = np.repeat(np.arange(len(pixels)), [len(array) for array in pixels])
        if not len(images):
            return embedding.new_zeros(0)
        xy = np.concatenate([array for array in pixels if len(array)])
        height, width = embedding.shape[-2:]
        x, x_weight = _bilinear_neighbours(xy[:, 0], length=_ENLARGEMENT * width, size=size)
        y, y_weight = _bilinear_neighbours(xy[:, 1], length=_ENLARGEMENT * height, size=size)
        x, y = np.tile(x, 2), np.repeat(y, 2, axis=1)  # (N, 4): the corners of a cell, row by row
        weight = np.tile(x_weight, 2) * np.repeat(y_weight, 2, axis=1)

        places = (images[:, None] * height + y // _ENLARGEMENT) * width + x // _ENLARGEMENT
        columns, of_corner = np.unique(places.ravel(), return_inverse=True)
        image, row, column = np.unravel_index(columns, (len(pixels), height, width))
        logits = self.logit(self.upscaling(embedding[image, :, row, column][:, :, None, None]))
        inside = (of_corner.reshape(x.shape) * _ENLARGEMENT + y % _ENLARGEMENT) * _ENLARGEMENT + x % _ENLARGEMENT
        corners = logits.flatten()[torch.from_numpy(inside).to(logits.device)]
        return (corners * torch.from_numpy(weight.astype(np.float32)).to(logits.device)).sum(dim=1)


def _bilinear_neighbours(
    index: NDArray[np.integer], *, length: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two pixels (N, 2) of a line of ``length`` behind pixels of one of ``size``, and their weights (N, 2)."""
    position = np.maximum((index + 0.5) * length / size - 0.5, 0)
    first = position.astype(np.int64)
    share = position - first
    return np.stack([first, np.minimum(first + 1, length - 1)], axis=1), np.stack([1 - share, share], axis=1)

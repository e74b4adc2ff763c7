"""What networks say of resized slices, brought to the volume's own grid part by part.

A part is resized and written at once, so that of a whole volume nothing is held but what is handed out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spd_bench.models.inference import DecodedSlices
from spd_bench.planning.grid import resize_images


@torch.inference_mode()
def write_mask(
    mask: NDArray[np.uint8], logits: Tensor, *, indices: Sequence[int], transpose: Sequence[int], threshold: float = 0.0
) -> None:
    """Write some slices of a mask, with the values of :func:`spd_bench.planning.grid.masks_on_own_grid`.

    Args:
        mask: the volume's mask on its own grid (z, y, x); written to.
        logits: (N, R, R) on any device, where they are resized, too.
        indices: the slices' places along the planned axis.
        transpose: the axis order of the planned arrays (nnU-Net's ``transpose_forward``).
        threshold: logits above it are target.
    """
    planned = mask.transpose(transpose)
    resized = functional.interpolate(
        logits[:, None].float(), size=planned.shape[1:], mode="bilinear", align_corners=False
    )
    planned[list(indices)] = (resized[:, 0] > threshold).to(torch.uint8).cpu().numpy()


def write_saliency(
    saliency: NDArray[np.float32], maps: NDArray[np.float32], *, first: int, transpose: Sequence[int]
) -> None:
    """Write consecutive slices of a saliency volume.

    Args:
        saliency: the volume's saliency on its own grid (z, y, x); written to.
        maps: (N, R, R).
        first: place of the first of them along the planned axis.
        transpose: as for :func:`write_mask`.
    """
    planned = saliency.transpose(transpose)
    planned[first : first + len(maps)] = resize_images(maps, (planned.shape[1], planned.shape[2]))


def mask_of_parts(
    parts: Iterable[DecodedSlices], *, shape: Sequence[int], transpose: Sequence[int]
) -> NDArray[np.uint8]:
    """The mask (z, y, x) of a volume from its decoded slices; those that never come are empty."""
    mask = np.zeros(tuple(shape), np.uint8)
    for part in parts:
        write_mask(mask, part.logits, indices=part.indices, transpose=transpose)
    return mask

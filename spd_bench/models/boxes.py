"""Boxes from noisy points, for models that are prompted with a box.

After MedSAM (Ma et al., Nature Communications 2024, https://github.com/bowang-lab/MedSAM), which takes a tight box
of the target and moves each side outward at random in training. Here the box is that of the slice's points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def boxes_of_points(
    points: Sequence[NDArray[Any] | Tensor], *, resolution: int, margin: float, outward: Tensor | None = None
) -> Tensor:
    """The tight box of each point set, widened and kept inside the image.

    Args:
        points: B arrays (N >= 1, 2) of pixels (x, y).
        resolution: side of the image in pixels.
        margin: how far each side is moved outward, as a share of the image's side.
        outward: further outward shift of each side, shape (B, 4) in pixels, at least 0; None for none.

    Returns:
        Float tensor (B, 4): (x0, y0, x1, y1) in pixels.

    Raises:
        ValueError: a point set is empty.
    """
    if any(len(array) == 0 for array in points):
        msg = "points must hold at least one point an image"
        raise ValueError(msg)
    arrays = [torch.as_tensor(array, dtype=torch.float32) for array in points]
    corners = torch.stack([torch.cat([array.amin(dim=0), array.amax(dim=0)]) for array in arrays])
    shift = torch.full_like(corners, margin * resolution)
    if outward is not None:
        shift = shift + outward.to(corners)
    sign = corners.new_tensor([-1.0, -1.0, 1.0, 1.0])
    return (corners + sign * shift).clamp(0, resolution - 1)

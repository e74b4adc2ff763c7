"""Prompts dug out of a coarse mask: a point inside, a point outside, a box and a mask for SAM.

Lin et al., "SAMRefiner: Taming Segment Anything Model for Universal Mask Refinement", ICLR 2025, arXiv 2502.06756,
https://github.com/linyq2117/SAMRefiner (MIT): its rules, its constants, at any size. Its distances are the chamfer
approximation of the FastGeodis package; here they are the exact Euclidean ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

_STRENGTH = 30.0
_SPREAD = 4.0
"""The mask prompt falls off with exp(-(d - d_max)^2 / (area / _SPREAD))."""


@dataclass(frozen=True, kw_only=True)
class MaskPrompts:
    """The prompts of one mask, in pixels of SAM's input image.

    Attributes:
        points: shape (2, 2): a positive point (x, y), then a negative one.
        box: shape (4,): (x0, y0, x1, y1), the outermost pixels of the mask.
        mask: logits of SAM's mask prompt, shape (side, side).
    """

    points: Tensor
    box: Tensor
    mask: Tensor


def prompts_of_mask(mask: NDArray[np.bool_], *, side: int) -> MaskPrompts:
    """The prompts of a mask.

    The positive point is the mask's pixel deepest inside. The negative one is the background pixel farthest from the
    mask in its box, whose last row and column do not count. A mask that fills that part of its box gets the image's
    first pixel instead; both as in the original. Of several such pixels it is the first, row by row.

    Args:
        mask: shape (R, R).
        side: side of SAM's mask prompt, R / 4 for a patch size of 16.

    Raises:
        ValueError: the mask is empty or covers the whole image: it has no inside or no outside.
    """
    if not mask.any() or mask.all():
        msg = f"mask must have target and background, got {int(mask.sum())} of {mask.size} pixels"
        raise ValueError(msg)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    depth = distance_transform_edt(mask)
    outside = np.zeros_like(depth)
    outside[top:bottom, left:right] = distance_transform_edt(~mask)[top:bottom, left:right]
    return MaskPrompts(
        points=torch.tensor([_first_maximum(depth), _first_maximum(outside)], dtype=torch.float32),
        box=torch.tensor([left, top, right, bottom], dtype=torch.float32),
        mask=_mask_prompt(mask, depth, side),
    )


def _first_maximum(values: NDArray[np.floating]) -> tuple[int, int]:
    """(x, y) of the largest value."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(column), int(row)


def _mask_prompt(mask: NDArray[np.bool_], depth: NDArray[np.floating], side: int) -> Tensor:
    """+-strength, weakened towards the mask's border."""
    area = max(mask.sum() / _SPREAD, 1.0)
    weights = np.where(mask, np.exp(-np.square(depth - depth.max()) / area), 0.0)
    sign = torch.where(_resized(np.where(mask, 1.0, -1.0), side) > 0, 1.0, -1.0)
    resized = _resized(weights, side)
    return _STRENGTH * sign * torch.where(resized > 0, resized, 1.0)


def _resized(values: NDArray[np.floating], side: int) -> Tensor:
    tensor = torch.from_numpy(values).float()[None, None]
    return functional.interpolate(tensor, size=(side, side), mode="bilinear", align_corners=False)[0, 0]

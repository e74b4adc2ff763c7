"""Erosion of a mask by its face neighbours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def eroded(mask: NDArray[np.bool_], *, axes: Iterable[int]) -> NDArray[np.bool_]:
    """The voxels of a mask with a neighbour in it on both sides along each of some axes; outside the array is none."""
    inside = mask.copy()
    for axis in axes:
        inner, whole = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        inner[1:] &= whole[:-1]
        inner[:-1] &= whole[1:]
        inner[[0, -1]] = False
    return inside

"""Distances between the surfaces of two masks, the numbers under HD95, ASD and NSD.

The surface is what medpy 0.5 and MONAI take as such: the mask minus its erosion by the 4-neighbourhood (6 in 3D), the
image border counting as outside. A distance runs from the centre of a surface voxel to the nearest surface voxel of
the other mask, in mm.

medpy computes distance transforms of the whole image. Here both masks are cropped to their common box, and voxels on
both surfaces are known to be 0 apart. The others are looked up, by a rule that depends on how many there are:

* fewer than :data:`MANY`, or so few that their box is mostly empty (:data:`VOXELS_PER_LOOKUP`): in a k-d tree;
* otherwise in the rows of the grid, which settles the near ones, and what is left in a k-d tree without the inside of
  flat pieces of surface.

The values are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spd_bench.evaluation.erosion import eroded
from spd_bench.evaluation.nearest_rows import row_distances
from spd_bench.evaluation.nearest_tree import indices_of, thinned_tree_distances, tree_distances

MANY = 1000
"""Look-ups that are worth the few hundred calls on small arrays that the rows of a grid take."""
VOXELS_PER_LOOKUP = 128
"""Voxels of the box that may stand against one look-up. A pass over the rows takes 3 nanoseconds a voxel, and where it
settles a look-up it saves about 500."""


class SurfaceDistances(NamedTuple):
    """Both directed sets of surface distances in mm, one value a surface voxel, in no particular order.

    Attributes:
        to_prediction: from the reference's surface to the prediction's.
        to_reference: from the prediction's surface to the reference's.
    """

    to_prediction: NDArray[np.float64]
    to_reference: NDArray[np.float64]

    @property
    def pooled(self) -> NDArray[np.float64]:
        """Both sets in one."""
        return np.concatenate(self)


def surface_distances(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: Sequence[float]
) -> SurfaceDistances | None:
    """Distances in mm between the surfaces of two masks.

    Args:
        reference: boolean mask, two- or three-dimensional.
        prediction: boolean mask of the same shape.
        spacing: pixel size in mm along each axis of the arrays.

    Returns:
        The directed distances; None where a mask is empty and so has no surface.

    Raises:
        ValueError: shapes or the length of ``spacing`` do not fit.
    """
    if reference.shape != prediction.shape or len(spacing) != reference.ndim:
        msg = f"masks of shape {reference.shape} and {prediction.shape} do not fit together with spacing {spacing}"
        raise ValueError(msg)
    if not reference.any() or not prediction.any():
        return None
    box = bounding_box(reference | prediction)
    mine, theirs = surface(reference[box]), surface(prediction[box])
    return SurfaceDistances(
        to_prediction=_directed(mine, theirs, spacing),
        to_reference=_directed(theirs, mine, spacing),
    )


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds all of a mask; the mask must not be empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
        # What is cut off along one axis need not be searched along the next.
        mask = mask[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask with a face neighbour outside it; beyond the array is outside."""
    return mask & ~eroded(mask, axes=range(mask.ndim))


def _directed(start: NDArray[np.bool_], goal: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Distance from every voxel of one surface to the nearest of the other."""
    distances = np.zeros(np.count_nonzero(start))
    apart = indices_of(start & ~goal)
    lookups = len(apart[0])
    if lookups < MANY or lookups * VOXELS_PER_LOOKUP < goal.size:
        distances[:lookups] = tree_distances(apart, goal, spacing) if lookups else 0
        return distances
    found = row_distances(apart, goal, tuple(spacing))
    far = np.isnan(found)
    if far.any():
        found[far] = thinned_tree_distances(tuple(index[far] for index in apart), goal, spacing)
    distances[:lookups] = found
    return distances

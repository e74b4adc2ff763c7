"""Is a trace flipped against its image? The segmentation of what was traced tells.

Fiji and NIfTI tools do not agree on where rows start, and a file of traces holds voxels without a direction. A
trace that was drawn through its target has points inside it; how many more than every mirror image of the trace
has tells, where a distance would not: near the midline a mirrored trace comes close to the target as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLIP_AXES = {"x": 2, "y": 1, "z": 0}
"""Voxel axis by name -> its place in (z, y, x)."""

CLEAR_LEAD = 0.2
"""A flip that puts this much more of the points inside the target than another one is the right one of the two."""

_FEW = 0.1


@dataclass(frozen=True, kw_only=True)
class FlipCheck:
    """How well a trace agrees with a segmentation as it is and flipped along each voxel axis.

    Attributes:
        shares: share of the points whose voxel belongs to the target, by "" (as it is), "x", "y" and "z".
    """

    shares: dict[str, float]

    def best_of(self, *flips: str) -> str:
        """The flip with most points inside the target; of equal ones the one that is named first."""
        return max(flips or self.shares, key=lambda flip: self.shares[flip])

    def lead(self, flip: str, *, over: str) -> float:
        """How much larger the share of one flip is than that of another; negative where it is smaller."""
        # Shares such as 0.7 and 0.5 are 0.19999999999999996 apart in floating point.
        return round(self.shares[flip] - self.shares[over], 9)

    @property
    def fits_nowhere(self) -> bool:
        """Whether next to no point lies inside the target, however the trace is flipped."""
        return max(self.shares.values()) < _FEW


def flip_voxels(voxels: NDArray[np.floating], *, flip: str, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Voxel points (N, 3: z y x) mirrored along ``flip`` ("x", "y" or "z"; "" for not at all)."""
    flipped = np.array(voxels, dtype=np.float64).reshape(-1, 3)
    if flip:
        axis = FLIP_AXES[flip]
        flipped[:, axis] = shape[axis] - 1 - flipped[:, axis]
    return flipped


def check_flips(voxels: NDArray[np.floating], target: NDArray[np.bool_]) -> FlipCheck:
    """Compare a trace with the segmentation of what was traced.

    Args:
        voxels: points (N, 3: z y x) on the target's grid, N at least 1; those outside of it are in no target.
        target: the segmentation, shape (z, y, x), at least one voxel.

    Raises:
        ValueError: there is no point or no target.
    """
    if not len(voxels) or not target.any():
        msg = f"a check needs points and a target, got {len(voxels)} points and {np.count_nonzero(target)} voxels"
        raise ValueError(msg)
    z, y, x = target.shape
    flips = {flip: flip_voxels(voxels, flip=flip, shape=(z, y, x)) for flip in ("", *FLIP_AXES)}
    return FlipCheck(shares={flip: _share_inside(flipped, target) for flip, flipped in flips.items()})


def _share_inside(voxels: NDArray[np.float64], target: NDArray[np.bool_]) -> float:
    nearest = np.rint(voxels).astype(np.int64)
    on_grid = ((nearest >= 0) & (nearest < target.shape)).all(axis=1)
    return float(np.count_nonzero(target[tuple(nearest[on_grid].T)]) / len(nearest))

"""Is a trace flipped against its image? The segmentation of what was traced tells.

Fiji and NIfTI tools do not agree on where rows start, and a file of traces holds voxels without a direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spd_bench.raw.geometry import VolumeGeometry

FLIP_AXES = {"x": 2, "y": 1, "z": 0}
"""Voxel axis by name -> its place in (z, y, x)."""

REACH_MM = 10.0
"""Points this near to the target count as agreeing with it: a reader's points are noisy."""

_DISAGREES, _AGREES = 0.1, 0.5


@dataclass(frozen=True, kw_only=True)
class FlipCheck:
    """How well a trace agrees with a segmentation as it is and flipped along each voxel axis.

    Attributes:
        shares: share of the points within :data:`REACH_MM` of the target, by "" (as it is), "x", "y" and "z".
    """

    shares: dict[str, float]

    def disagrees(self, flip: str) -> bool:
        """Whether next to no point lies near the target."""
        return self.shares[flip] < _DISAGREES

    def agrees(self, flip: str) -> bool:
        """Whether most points lie near the target."""
        return self.shares[flip] > _AGREES

    @property
    def best(self) -> str:
        """The flip that agrees best, no flip before any other."""
        return max(self.shares, key=lambda flip: self.shares[flip])


def flip_voxels(voxels: NDArray[np.floating], *, flip: str, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Voxel points (N, 3: z y x) mirrored along ``flip`` ("x", "y" or "z"; "" for not at all)."""
    flipped = np.array(voxels, dtype=np.float64).reshape(-1, 3)
    if flip:
        axis = FLIP_AXES[flip]
        flipped[:, axis] = shape[axis] - 1 - flipped[:, axis]
    return flipped


def check_flips(voxels: NDArray[np.floating], target: NDArray[np.bool_], geometry: VolumeGeometry) -> FlipCheck:
    """Compare a trace with the segmentation of what was traced.

    Args:
        voxels: points (N, 3: z y x) on the grid, N at least 1.
        target: the segmentation, shape (z, y, x), at least one voxel.
        geometry: the grid of both.

    Raises:
        ValueError: there is no point or no target.
    """
    if not len(voxels) or not target.any():
        msg = f"a check needs points and a target, got {len(voxels)} points and {np.count_nonzero(target)} voxels"
        raise ValueError(msg)
    tree = cKDTree(geometry.voxel_to_lps(np.argwhere(target).astype(np.float64)))
    shares = {}
    for flip in ("", *FLIP_AXES):
        positions = geometry.voxel_to_lps(flip_voxels(voxels, flip=flip, shape=geometry.shape))
        distances, _ = tree.query(positions)
        shares[flip] = float(np.mean(distances <= REACH_MM))
    return FlipCheck(shares=shares)

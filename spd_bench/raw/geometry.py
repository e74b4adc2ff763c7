"""Where a volume's voxels are: shape, spacing, origin and direction, in ITK's LPS frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

_FARTHEST = 1e9
"""A thousand kilometres: beyond it a position can become infinite."""


@dataclass(frozen=True, kw_only=True)
class VolumeGeometry:
    """The grid of a volume.

    Arrays are indexed ``(z, y, x)`` as SimpleITK returns them; positions are ``(x, y, z)`` in mm in
    LPS (x to the patient's left, y to the back, z to the head), the frame of DICOM and ITK.

    Attributes:
        shape: number of voxels along (z, y, x).
        spacing: voxel size in mm along (z, y, x).
        origin: position in mm (LPS, x y z) of the centre of voxel (0, 0, 0).
        direction: 3x3 matrix, row by row; its columns are the directions of the x, y and z index.
            Cosines below 1e-12 are zero.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            msg = f"shape must hold three positive sizes (z, y, x), got {self.shape}"
            raise ValueError(msg)
        if len(self.spacing) != 3 or not all(np.isfinite(self.spacing)) or min(self.spacing) <= 0:
            msg = f"spacing must hold three positive sizes in mm, got {self.spacing}"
            raise ValueError(msg)
        if max(self.spacing) > _FARTHEST or not all(abs(position) <= _FARTHEST for position in self.origin):
            msg = f"spacing and origin must be below {_FARTHEST:g} mm, got {self.spacing} and {self.origin}"
            raise ValueError(msg)
        if len(self.direction) != 9 or not 1e-6 <= abs(np.linalg.det(np.reshape(self.direction, (3, 3)))) < np.inf:
            msg = f"direction must be an invertible 3x3 matrix, got {self.direction}"
            raise ValueError(msg)
        # ITK inverts the direction by a singular value decomposition that gives NaN for subnormal cosines.
        object.__setattr__(self, "direction", tuple(0.0 if abs(c) < 1e-12 else float(c) for c in self.direction))

    @classmethod
    def of_image(cls, image: sitk.Image) -> VolumeGeometry:
        """The geometry of a three-dimensional SimpleITK image."""
        x, y, z = image.GetSize()
        sx, sy, sz = image.GetSpacing()
        return cls(shape=(z, y, x), spacing=(sz, sy, sx), origin=image.GetOrigin(), direction=image.GetDirection())

    def apply_to(self, image: sitk.Image) -> None:
        """Write spacing, origin and direction into a SimpleITK image of the same shape."""
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)

    @property
    def index_to_mm(self) -> NDArray[np.float64]:
        """3x3 matrix from an index offset (x, y, z) to an offset in mm (LPS)."""
        return np.reshape(self.direction, (3, 3)) @ np.diag(self.spacing[::-1])

    def voxel_to_lps(self, voxels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions in mm (N, 3: x y z, LPS) of continuous voxel indices (N, 3: z y x)."""
        indices = np.asarray(voxels, dtype=np.float64).reshape(-1, 3)[:, ::-1]
        return indices @ self.index_to_mm.T + np.asarray(self.origin)

    def lps_to_voxel(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Continuous voxel indices (N, 3: z y x) of positions in mm (N, 3: x y z, LPS)."""
        offsets = np.asarray(positions, dtype=np.float64).reshape(-1, 3) - np.asarray(self.origin)
        return (offsets @ np.linalg.inv(self.index_to_mm).T)[:, ::-1]

    def contains(self, voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which continuous voxel indices (N, 3: z y x) lie inside the grid, voxel borders included."""
        indices = np.asarray(voxels, dtype=np.float64).reshape(-1, 3)
        tolerance = 0.5 + 1e-6
        inside = (indices >= -tolerance) & (indices <= np.asarray(self.shape) - 1 + tolerance)
        return np.asarray(inside.all(axis=1))

    def difference_to(self, other: VolumeGeometry, tolerance: float = 1e-3) -> str | None:
        """The first difference to another geometry in words, or None where the grids agree.

        Args:
            other: the geometry to compare with.
            tolerance: allowed difference of the origin in mm and of each direction cosine; spacing, whose
                error adds up over the slices, must agree to a relative 1e-5 as in nnU-Net.
        """
        if self.shape != other.shape:
            return f"shape {self.shape} against {other.shape} (z, y, x)"
        for name in ("spacing", "origin", "direction"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if not np.allclose(mine, theirs, atol=1e-8 if name == "spacing" else tolerance):
                return f"{name} {tuple(np.round(mine, 6).tolist())} against {tuple(np.round(theirs, 6).tolist())}"
        return None

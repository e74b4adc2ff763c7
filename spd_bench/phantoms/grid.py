"""The voxel grid of a phantom, in millimetres around the centre of its field of view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spd_bench.raw.geometry import VolumeGeometry

Box = tuple[slice, slice, slice]
"""A block of voxels: index ranges along (z, y, x)."""


@dataclass(frozen=True)
class Grid:
    """An axis-aligned grid whose middle is the origin of LPS.

    Anatomy is described in mm, never in voxels, so that one case is the same patient at every
    resolution.

    Attributes:
        geometry: shape, spacing and origin of the volume; its direction is the identity.
    """

    geometry: VolumeGeometry

    @classmethod
    def centred(cls, *, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
        """A grid of ``shape`` voxels of ``spacing`` mm, both (z, y, x), centred on (0, 0, 0)."""
        origin = [-(count - 1) / 2 * step for count, step in zip(shape, spacing, strict=True)]
        return cls(VolumeGeometry(shape=shape, spacing=spacing, origin=(origin[2], origin[1], origin[0])))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (z, y, x)."""
        return self.geometry.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along (z, y, x)."""
        return self.geometry.spacing

    @property
    def pixel(self) -> float:
        """In-plane pixel size in mm (pixels are square)."""
        return self.spacing[2]

    @property
    def whole(self) -> Box:
        """The box of all voxels."""
        depth, height, width = self.shape
        return slice(0, depth), slice(0, height), slice(0, width)

    @cached_property
    def _axes(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        z, y, x = (
            ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)
            for count, step in zip(self.shape, self.spacing, strict=True)
        )
        return z, y, x

    def axes(self, box: Box | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Positions in mm of a box's voxels as open arrays of shapes (Z, 1, 1), (1, Y, 1) and (1, 1, X)."""
        z_range, y_range, x_range = box or self.whole
        z, y, x = self._axes
        return z[z_range][:, None, None], y[y_range][None, :, None], x[x_range][None, None, :]

    def index_ranges(self, low: ArrayLike, high: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and one-past-last voxel indices (..., 3: z y x) between positions (..., 3: x y z) in mm."""
        middle = (np.asarray(self.shape) - 1) / 2
        spacing = np.asarray(self.spacing)
        first = np.ceil(np.asarray(low, dtype=np.float64)[..., ::-1] / spacing + middle)
        last = np.floor(np.asarray(high, dtype=np.float64)[..., ::-1] / spacing + middle) + 1
        limit = np.asarray(self.shape)
        first = np.clip(first, 0, limit).astype(np.int64)
        return first, np.maximum(np.clip(last, 0, limit).astype(np.int64), first)

    def box(self, low: ArrayLike, high: ArrayLike) -> Box:
        """The voxels between two corners (x, y, z) in mm, cut to the grid; it may be empty."""
        first, last = self.index_ranges(low, high)
        z, y, x = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return z, y, x

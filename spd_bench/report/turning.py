"""Volumes on the reader's slices: turned as a radiologist looks at them, reduced to what a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.inspection.figures import on_slices
from spd_bench.inspection.orientation import Display, axis_codes
from spd_bench.planning.grid import nearest_indices, resize_images
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import is_plane

LONGEST_SIDE = 256
"""Slices are at most that many pixels long: what a reader sees on a page, and a quarter of the bytes of 512 pixels."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Brings volumes (z, y, x) of one geometry onto the reader's slices (Z, rows, columns).

    Attributes:
        geometry: the volumes' grid.
        axis: the axis of (z, y, x) that runs through the slices.
        display: how the slices are turned.
    """

    geometry: VolumeGeometry
    axis: int
    display: Display

    @classmethod
    def of(cls, geometry: VolumeGeometry, axis: int) -> Turn:
        """The turn of volumes of that geometry, sliced across an axis of (z, y, x)."""
        return cls(geometry=geometry, axis=axis, display=Display.of(axis_codes(geometry), axis))

    @property
    def depth(self) -> int:
        """Number of slices."""
        return self.geometry.shape[self.axis]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the turned slices before they are reduced."""
        rows, columns = self._in_plane(self.geometry.shape)
        return (columns, rows) if self.display.transpose else (rows, columns)

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width in mm of a pixel of :attr:`grid`."""
        height, width = self._in_plane(self.geometry.spacing)
        return self.display.pixel((height, width))

    @property
    def sides(self) -> tuple[str, str]:
        """The patient's sides at the upper and the left edge; a 2D image does not know them."""
        return ("", "") if is_plane(self.geometry) else (self.display.top, self.display.left)

    @property
    def affine(self) -> NDArray[np.float64]:
        """4x4, from (column, row, slice) of :attr:`grid` to mm, to the patient's right, front and head (RAS)."""
        # Three steps from the first voxel tell where each axis of the volume has gone.
        voxels = np.concatenate([np.zeros((1, 3), np.int64), np.eye(3, dtype=np.int64)])
        turned = np.column_stack([self.points(voxels)[:, ::-1], np.ones(4, np.int64)])
        positions = self.geometry.voxel_to_lps(voxels.astype(np.float64)) * (-1.0, -1.0, 1.0)
        affine = np.eye(4)
        affine[:3] = np.linalg.solve(turned.astype(np.float64), positions).T
        return affine

    def mask(self, volume: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask, turned and reduced."""
        return reduce_mask(self._turned(volume), reduced_size(self.grid, LONGEST_SIDE))

    def grey(self, volume: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
        """Values between two ends as grey levels 0 to 255, turned and reduced."""
        reduced = resize_images(self._turned(volume), reduced_size(self.grid, LONGEST_SIDE))
        low, high = window
        # A volume of one value has no contrast to show.
        shown = np.clip((reduced - low) / (high - low or 1.0), 0.0, 1.0)
        return np.rint(255 * shown).astype(np.uint8)

    def points(self, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Voxels (N, 3: z y x) as (slice, row, column) on :attr:`grid`."""
        return self.display.points(on_slices(voxels, self.axis), (self.depth, *self._in_plane(self.geometry.shape)))

    def _turned(self, volume: NDArray[Any]) -> NDArray[Any]:
        return self.display.stack(np.moveaxis(volume, self.axis, 0))

    def _in_plane(self, sizes: Sequence[Any]) -> tuple[Any, Any]:
        rows, columns = (size for axis, size in enumerate(sizes) if axis != self.axis)
        return rows, columns


def reduced_size(shape: Sequence[int], longest: int) -> tuple[int, int]:
    """Rows and columns with the longer side at most ``longest``; nothing is enlarged."""
    factor = min(1.0, longest / max(shape))
    rows, columns = (max(1, round(size * factor)) for size in shape)
    return rows, columns


def reduce_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Slices (Z, rows, columns) of a mask at another size, by nearest neighbour."""
    rows, columns = (nearest_indices(new, old) for new, old in zip(size, mask.shape[1:], strict=True))
    return mask[:, rows[:, None], columns]

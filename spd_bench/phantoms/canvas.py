"""An image that bodies are painted into, with soft edges for the partial volume of a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import Region


def coverage(distance: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Share of a voxel that lies inside a border: 1 inside, 0 outside, linear over ``width`` mm."""
    return np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)


class Canvas:
    """A volume being painted, back to front.

    Attributes:
        grid: its grid.
        voxels: float32 image (Z, Y, X).
    """

    def __init__(self, grid: Grid, background: float) -> None:
        self.grid = grid
        self.voxels: NDArray[np.float32] = np.full(grid.shape, background, dtype=np.float32)

    def paint(self, region: Region, value: float | NDArray[np.float32], *, edge: float | None = None) -> None:
        """Put a body on top of what is there.

        Args:
            region: the body.
            value: its intensity: one number or an array of the whole grid's shape.
            edge: width of its soft border in mm; one pixel where not given.
        """
        part = self.voxels[region.box]
        inside = value[region.box] if isinstance(value, np.ndarray) else np.float32(value)
        part += coverage(region.distance, edge or self.grid.pixel) * (inside - part)

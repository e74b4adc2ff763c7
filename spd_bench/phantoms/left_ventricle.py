"""The left ventricle of a short-axis stack and its own coordinates: depth in the wall, angle, level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import Region, elliptic_column


@dataclass(frozen=True, kw_only=True)
class Ventricle:
    """Size and place of a left ventricle; its base is the first slice, its apex beyond the last.

    Attributes:
        centre: (x, y) in mm at mid level.
        lean: shift (x, y) in mm of the axis from base to apex.
        cavity: radius in mm of the cavity at its widest.
        wall: thickness in mm of the myocardium.
        oval: (x, y) factors of the section.
        breath_shift: random shifts (16, 2) in mm between breath holds, read along the stack.
        papillary_angles: two angles in rad where papillary muscles stand.
    """

    centre: tuple[float, float]
    lean: tuple[float, float]
    cavity: float
    wall: float
    oval: tuple[float, float]
    breath_shift: NDArray[np.float64]
    papillary_angles: tuple[float, float]

    def level(self, grid: Grid) -> NDArray[np.float32]:
        """Position along the stack (Z,): 0 at the lower edge of the first slice, 1 at the upper edge of the last."""
        depth = grid.shape[0]
        return ((np.arange(depth) + 0.5) / depth).astype(np.float32)

    def axis(self, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centre (x, y) of the section of each slice in mm, two arrays (Z,)."""
        level = self.level(grid)
        station = np.minimum((level * len(self.breath_shift)).astype(int), len(self.breath_shift) - 1)
        x, y = (
            (self.centre[side] + self.lean[side] * (level - 0.5) + self.breath_shift[station, side]).astype(np.float32)
            for side in (0, 1)
        )
        return x, y

    def cavity_radius(self, grid: Grid) -> NDArray[np.float32]:
        """Radius in mm of the cavity in each slice (Z,), narrowing towards the apex."""
        level = self.level(grid)
        return np.asarray(self.cavity * np.sqrt(np.clip(1 - (0.9 * level) ** 3, 0.05, None)), dtype=np.float32)

    def papillary_muscles(self, grid: Grid) -> list[Region]:
        """The two papillary muscles, columns at the wall of the cavity that end before base and apex."""
        x, y = self.axis(grid)
        radius, level = self.cavity_radius(grid), self.level(grid)
        size = np.where((level > 0.15) & (level < 0.75), 0.17 * radius, 0.01)
        return [
            elliptic_column(
                grid,
                centre=(x + 0.72 * radius * np.cos(angle), y + 0.72 * radius * np.sin(angle)),
                radii=(size, size),
            )
            for angle in self.papillary_angles
        ]


def draw_ventricle(rng: np.random.Generator) -> Ventricle:
    """Draw a left ventricle right of the middle of the image."""
    stretch = rng.uniform(0.93, 1.07)
    return Ventricle(
        centre=(float(rng.normal(28, 8)), float(rng.normal(0, 8))),
        lean=(float(rng.normal(8, 4)), float(rng.normal(6, 4))),
        cavity=float(rng.uniform(21, 29)),
        wall=float(rng.uniform(8, 11)),
        oval=(float(stretch), float(1 / stretch)),
        breath_shift=rng.normal(0, 1.2, (16, 2)),
        papillary_angles=(float(rng.normal(-0.7, 0.2)), float(rng.normal(0.9, 0.2))),
    )


def ventricle_coordinates(
    grid: Grid, ventricle: Ventricle, rough: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The ventricle's own coordinates of every voxel.

    Args:
        grid: the stack.
        ventricle: its ventricle.
        rough: smooth field (Z, Y, X) of unit variance that makes the section irregular.

    Returns:
        Three float32 arrays (Z, Y, X): depth in the wall (0 endocardium, 1 epicardium, negative in the
        cavity), angle in rad (0 to the patient's left, growing backwards), level along the stack.
    """
    _, y, x = grid.axes()
    x_centre, y_centre = (axis[:, None, None] for axis in ventricle.axis(grid))
    right, back = (x - x_centre) / ventricle.oval[0], (y - y_centre) / ventricle.oval[1]
    distance = np.hypot(right, back) + np.float32(1.2) * rough
    depth = (distance - ventricle.cavity_radius(grid)[:, None, None]) / ventricle.wall
    level = np.broadcast_to(ventricle.level(grid)[:, None, None], grid.shape)
    return depth.astype(np.float32), np.arctan2(back, right).astype(np.float32), np.asarray(level)

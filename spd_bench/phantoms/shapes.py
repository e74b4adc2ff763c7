"""Building blocks of anatomy as signed distances: ellipsoids, elliptic columns, tubes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.grid import Box, Grid

BODY_MARGIN = 12.0
"""Rim in mm that ellipsoids and columns hold beyond their border, room for roughening it."""

TUBE_MARGIN = 6.0
"""Rim in mm that tubes hold beyond their border, room for soft edges and for their neighbours."""


@dataclass(frozen=True)
class Region:
    """A body in space.

    Attributes:
        box: the voxels it is known on.
        distance: signed distance in mm to its border on these voxels, negative inside (exact for
            tubes, first order for ellipsoids).
    """

    box: Box
    distance: NDArray[np.float32]

    def spread_over(self, grid: Grid, *, far: float = BODY_MARGIN) -> NDArray[np.float32]:
        """The distance on the whole grid (Z, Y, X), ``far`` mm where it is not known."""
        distance = np.full(grid.shape, far, dtype=np.float32)
        distance[self.box] = self.distance
        return distance

    def roughened(self, field: NDArray[np.float32], amplitude: float) -> Region:
        """The region with its border moved by ``amplitude`` mm times a field of the whole grid's shape."""
        return Region(self.box, self.distance + np.float32(amplitude) * field[self.box])

    def within(self, distance: NDArray[np.float32]) -> Region:
        """The part inside another body, given by its signed distance on the whole grid."""
        return Region(self.box, np.maximum(self.distance, distance[self.box]))

    def outside(self, distance: NDArray[np.float32]) -> Region:
        """The part outside another body, given by its signed distance on the whole grid."""
        return Region(self.box, np.maximum(self.distance, -distance[self.box]))

    def shrunk(self, depth: float) -> Region:
        """The region without its outer ``depth`` mm (grown where negative)."""
        return Region(self.box, self.distance + np.float32(depth))


def ellipsoid(
    grid: Grid, *, centre: ArrayLike, radii: ArrayLike, rotation: Rotation | None = None, margin: float = BODY_MARGIN
) -> Region:
    """An ellipsoid.

    Args:
        grid: where it is wanted.
        centre: its centre (x, y, z) in mm.
        radii: its half axes along its own (x, y, z) in mm.
        rotation: turns its axes from those of the grid.
        margin: rim in mm beyond the border.
    """
    middle, half_axes = np.asarray(centre, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    turn = np.eye(3) if rotation is None else rotation.as_matrix()
    reach = np.sqrt((turn**2) @ (half_axes + margin) ** 2)
    box = grid.box(middle - reach, middle + reach)
    z, y, x = grid.axes(box)
    dx, dy, dz = (axis - np.float32(value) for axis, value in zip((x, y, z), middle, strict=True))
    own = [dx * np.float32(column[0]) + dy * np.float32(column[1]) + dz * np.float32(column[2]) for column in turn.T]
    return Region(box, _ellipsoid_distance(own, half_axes))


def elliptic_column(
    grid: Grid, *, centre: tuple[ArrayLike, ArrayLike], radii: tuple[ArrayLike, ArrayLike], exponent: float = 2.0
) -> Region:
    """A column along z with an elliptic (or, above exponent 2, squarer) section.

    Args:
        grid: where it is wanted.
        centre: (x, y) of its axis in mm; numbers, or one value per slice (Z,).
        radii: half axes (x, y) in mm; numbers, or one value per slice (Z,).
        exponent: of the superellipse |x/a|^p + |y/b|^p = 1.
    """
    x_centre, y_centre, x_radius, y_radius = (
        np.asarray(value, dtype=np.float32).reshape(-1, 1, 1) for value in (*centre, *radii)
    )
    low = [(x_centre - x_radius).min() - BODY_MARGIN, (y_centre - y_radius).min() - BODY_MARGIN, -np.inf]
    high = [(x_centre + x_radius).max() + BODY_MARGIN, (y_centre + y_radius).max() + BODY_MARGIN, np.inf]
    box = grid.box(low, high)
    z, y, x = grid.axes(box)
    u, v = np.abs((x - x_centre) / x_radius), np.abs((y - y_centre) / y_radius)
    level = np.maximum((u**exponent + v**exponent) ** np.float32(1 / exponent), 1e-6)
    slope = np.sqrt((u / x_radius) ** 2 + (v / y_radius) ** 2) / level
    distance = (level - 1) / np.maximum(slope, 1 / np.maximum(x_radius, y_radius))
    shape = (len(z), *distance.shape[1:])
    return Region(box, np.broadcast_to(distance, shape).astype(np.float32))


def tube(grid: Grid, centreline: NDArray[np.float64], radius: ArrayLike, *, margin: float = TUBE_MARGIN) -> Region:
    """A tube around a polyline (N, 3: x y z, mm) with one radius in mm or one a point (N,)."""
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(centreline))
    return capsules(
        grid,
        starts=centreline[:-1],
        ends=centreline[1:],
        start_radii=radii[:-1],
        end_radii=radii[1:],
        margin=margin,
    )


def capsules(
    grid: Grid,
    *,
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    start_radii: NDArray[np.float64],
    end_radii: NDArray[np.float64],
    margin: float = TUBE_MARGIN,
) -> Region:
    """The union of straight pieces with round ends: a tube or a whole vessel tree.

    Args:
        grid: where it is wanted.
        starts: first ends of the axes (N, 3: x y z) in mm.
        ends: second ends of the axes (N, 3: x y z) in mm.
        start_radii: radii in mm at the first ends (N,).
        end_radii: radii in mm at the second ends (N,).
        margin: rim in mm beyond the border within which distances are right; farther out they are ``margin``.
    """
    if not len(starts):
        return Region(grid.box((0, 0, 0), (-1, -1, -1)), np.zeros((0, 0, 0), dtype=np.float32))
    reach = np.maximum(start_radii, end_radii)[:, None] + margin
    low, high = np.minimum(starts, ends) - reach, np.maximum(starts, ends) + reach
    box = grid.box(low.min(axis=0), high.max(axis=0))
    corner = np.array([side.start for side in box])
    first, last = grid.index_ranges(low, high)
    axes = grid.axes(box)
    distance = np.full([side.stop - side.start for side in box], margin, dtype=np.float32)
    for index in np.flatnonzero((last > first).all(axis=1)):
        here = tuple(slice(a, b) for a, b in zip(first[index] - corner, last[index] - corner, strict=True))
        local = (axes[0][here[0]], axes[1][:, here[1]], axes[2][:, :, here[2]])
        piece = _capsule_distance(local, starts[index], ends[index], start_radii[index], end_radii[index])
        np.minimum(distance[here], piece, out=distance[here])
    return Region(box, distance)


def _ellipsoid_distance(own: list[NDArray[np.float32]], radii: NDArray[np.float64]) -> NDArray[np.float32]:
    """First-order distance k (k - 1) / |grad| of an ellipsoid from coordinates in its own axes."""
    scaled = [axis / np.float32(radius) for axis, radius in zip(own, radii, strict=True)]
    level = np.maximum(np.sqrt(sum(axis**2 for axis in scaled)), 1e-6)
    slope = np.sqrt(sum((axis / np.float32(radius)) ** 2 for axis, radius in zip(scaled, radii, strict=True)))
    slope = np.maximum(slope, level / np.float32(radii.max()))
    return np.asarray(level * (level - 1) / slope, dtype=np.float32)


def _capsule_distance(
    axes: tuple[NDArray[np.float32], ...],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    start_radius: float,
    end_radius: float,
) -> NDArray[np.float32]:
    """Distance to one tapering capsule on open axes (z, y, x)."""
    z, y, x = (axis - np.float32(value) for axis, value in zip(axes, start[::-1], strict=True))
    along = (end - start).astype(np.float32)
    squared_length = max(float(along @ along), 1e-6)
    fraction = (x * along[0] + y * along[1] + z * along[2]) / np.float32(squared_length)
    fraction = np.clip(fraction, 0, 1)
    away = (x - fraction * along[0]) ** 2 + (y - fraction * along[1]) ** 2 + (z - fraction * along[2]) ** 2
    return np.asarray(
        np.sqrt(away) - np.float32(start_radius) - fraction * np.float32(end_radius - start_radius), dtype=np.float32
    )

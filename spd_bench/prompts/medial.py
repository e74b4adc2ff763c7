"""Medial points of a mask: where a careful reader would put one point a slice and component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, kw_only=True)
class MedialPath:
    """The medial points of one component through the slices.

    A slice that cuts the component into several pieces holds one point for each of them.

    Attributes:
        slices: slice index of each point (N,), ascending.
        positions: in-plane voxel index (row, column) of each point (N, 2).
        radii: distance in mm from each point to the nearest voxel outside the mask (N,).
    """

    slices: NDArray[np.int64]
    positions: NDArray[np.int64]
    radii: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.slices)


def medial_paths(mask: NDArray[np.bool_], in_plane_spacing: Sequence[float]) -> Iterator[MedialPath]:
    """The medial path of every connected component of a mask, in a fixed order.

    Components are 26-connected in the volume, their pieces 8-connected in a slice. The medial point is the
    piece's voxel that is farthest from its border (the volume's border counts); of several, the one nearest
    to the piece's centroid.

    Args:
        mask: boolean array (slice, row, column).
        in_plane_spacing: voxel size in mm along (row, column).
    """
    components, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        component = components[box] == number
        points = [
            (box[0].start + index, box[1].start + row, box[2].start + column, radius)
            for index, piece_slice in enumerate(component)
            for row, column, radius in _medial_points(piece_slice, in_plane_spacing)
        ]
        table = np.array(points, dtype=np.float64)
        indices = table[:, :3].astype(np.int64)
        yield MedialPath(slices=indices[:, 0], positions=indices[:, 1:], radii=table[:, 3])


def _medial_points(piece_slice: NDArray[np.bool_], spacing: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Row, column and radius (mm) of the medial point of each piece of a slice."""
    distance = ndimage.distance_transform_edt(np.pad(piece_slice, 1), sampling=spacing)[1:-1, 1:-1]
    pieces, count = ndimage.label(piece_slice, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        inside = np.argwhere(pieces == number)
        depth = distance[tuple(inside.T)]
        deepest = inside[depth >= depth.max() - 1e-9]
        from_centroid = ((deepest - inside.mean(axis=0)) * np.asarray(spacing)) ** 2
        row, column = deepest[np.argmin(from_centroid.sum(axis=1))]
        yield int(row), int(column), float(depth.max())

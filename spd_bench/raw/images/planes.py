"""The grid of a 2D image: a volume of one slice, described as nnU-Net describes it.

nnU-Net gives a 2D image a third axis whose spacing is 999 times the largest one in the plane, so that slices
always lie along that axis. Nothing is ever measured across it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spd_bench.raw.geometry import VolumeGeometry

_DEPTH = 999


def plane_geometry(
    shape: Sequence[int],
    *,
    spacing: Sequence[float] = (1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0),
    direction: Sequence[float] = (1.0, 0.0, 0.0, 1.0),
) -> VolumeGeometry:
    """The geometry of a 2D image.

    Args:
        shape: number of pixels along (y, x).
        spacing: pixel size in mm along (y, x); 1 where the format has none, so that points are pixels (x, y, 0).
        origin: position in mm of the centre of pixel (0, 0), (x, y).
        direction: 2x2 matrix, row by row; its columns are the directions of the x and y index.

    Raises:
        ValueError: sizes that make no grid.
    """
    rows, columns = shape
    height, width = spacing
    a, b, c, d = direction
    return VolumeGeometry(
        shape=(1, rows, columns),
        spacing=(_DEPTH * max(height, width), height, width),
        origin=(origin[0], origin[1], 0.0),
        direction=(a, b, 0.0, c, d, 0.0, 0.0, 0.0, 1.0),
    )


def is_plane(geometry: VolumeGeometry) -> bool:
    """Whether a geometry is that of a 2D image."""
    return geometry.shape[0] == 1 and bool(np.isclose(geometry.spacing[0], _DEPTH * max(geometry.spacing[1:])))

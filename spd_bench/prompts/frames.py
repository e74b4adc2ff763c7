"""The frames that point coordinates come in, and the way from each to LPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry

FRAMES: dict[str, str] = {
    "voxel_xyz": "voxel column, row, slice of the image, counted from 0",
    "voxel_zyx": "voxel slice, row, column of the image, counted from 0",
    "ras_mm": "mm to the patient's right, front, head (nibabel, Slicer's own view)",
    "lps_mm": "mm to the patient's left, back, head (DICOM, ITK, Slicer's files)",
}
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def to_lps(coordinates: NDArray[np.floating], *, frame: str, geometry: VolumeGeometry) -> NDArray[np.float64]:
    """Positions in mm (N, 3: x y z, LPS) of coordinates in one of :data:`FRAMES`.

    Args:
        coordinates: array (N, 3), in the order and unit that ``frame`` states; voxels may be fractions.
        frame: a name of :data:`FRAMES`; nibabel's world is ``ras_mm``, SimpleITK's is ``lps_mm``.
        geometry: the volume that voxel frames count in.

    Raises:
        InputError: the frame is unknown.
        ValueError: the coordinates have another shape.
    """
    require_frame(frame)
    points = np.asarray(coordinates, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        msg = f"coordinates must have shape (N, 3), got {points.shape}"
        raise ValueError(msg)
    if frame == "voxel_zyx":
        return geometry.voxel_to_lps(points)
    if frame == "voxel_xyz":
        return geometry.voxel_to_lps(points[:, ::-1])
    return points * _RAS_TO_LPS if frame == "ras_mm" else points.copy()


def require_frame(frame: str, *, file: Path | None = None) -> None:
    """Raise InputError where ``frame`` is not a name of :data:`FRAMES`."""
    if frame not in FRAMES:
        raise InputError(f"unknown frame {frame!r}", file=file, remedy=f"choose one of {', '.join(FRAMES)}")


def agreed_frame(*, stated: str | None, asked: str | None, file: Path) -> str:
    """The frame of a file from what the file states and what the user asked for; a guess is never made.

    Raises:
        InputError: neither names a frame, a name is unknown, or they contradict each other.
    """
    for name in (stated, asked):
        if name is not None:
            require_frame(name, file=file)
    if stated is None and asked is None:
        raise InputError(
            "the frame of the coordinates is not stated",
            file=file,
            remedy=f"name it with --frame, one of {', '.join(FRAMES)}",
        )
    if stated is not None and asked is not None and stated != asked:
        raise InputError(
            f"frame {asked} was asked for, the file itself states {stated}",
            file=file,
            remedy="leave out --frame, or correct the file",
        )
    return stated or asked or ""

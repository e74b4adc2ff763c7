"""How a volume's axes lie in the patient, and how its slices are turned for a reader's eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from spd_bench.raw.geometry import VolumeGeometry

_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}
_OPPOSITE = {"S": "I", "I": "S", "A": "P", "P": "A", "L": "R", "R": "L"}
# The radiological view: head or front on top, the patient's right (or front) on the left.
_DOWN, _RIGHT = ("I", "P"), ("L", "P")


def axis_codes(geometry: VolumeGeometry) -> str:
    """Where the x, y and z index grow to, as nibabel's letters; "LPS" for ITK's identity direction."""
    return "".join(nib.aff2axcodes(_ras_affine(geometry)))


def obliquity_degrees(geometry: VolumeGeometry) -> float:
    """The largest angle in degrees between an axis of the volume and the patient's axis nearest to it."""
    return float(np.rad2deg(nib.affines.obliquity(_ras_affine(geometry)).max()))


def slice_plane(codes: str, slice_axis: int) -> str:
    """The plane nearest to slices across an axis of (z, y, x): "axial", "coronal" or "sagittal"."""
    return _PLANES[codes[2 - slice_axis]]


@dataclass(frozen=True, kw_only=True)
class Display:
    """Turns slices (Z, rows, columns) as they are stored into a radiologist's view of them.

    Attributes:
        transpose: whether rows and columns change places, before anything is flipped.
        flip_rows: whether the rows run upwards then.
        flip_columns: whether the columns run to the left then.
        top: the patient's side on top: S, or A in axial slices.
        left: the patient's side on the left: R, or A in sagittal slices.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    top: str
    left: str

    @classmethod
    def of(cls, codes: str, slice_axis: int) -> Display:
        """The display of slices across ``slice_axis`` of (z, y, x) in a volume with these axis codes."""
        rows, columns = (codes[2 - axis] for axis in range(3) if axis != slice_axis)
        transpose = columns in "SI" or (columns in "AP" and rows in "LR")
        if transpose:
            rows, columns = columns, rows
        flip_rows, flip_columns = rows not in _DOWN, columns not in _RIGHT
        return cls(
            transpose=transpose,
            flip_rows=flip_rows,
            flip_columns=flip_columns,
            top=rows if flip_rows else _OPPOSITE[rows],
            left=columns if flip_columns else _OPPOSITE[columns],
        )

    def stack(self, stack: NDArray[Any]) -> NDArray[Any]:
        """A view of slices (Z, rows, columns), turned."""
        turned = stack.swapaxes(1, 2) if self.transpose else stack
        return turned[:, :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def points(self, points: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Points (N, 3: slice, row, column) on the turned slices; ``shape`` is the stack's as it is stored."""
        rows, columns = (2, 1) if self.transpose else (1, 2)
        turned = points[:, [0, rows, columns]]
        if self.flip_rows:
            turned[:, 1] = shape[rows] - 1 - turned[:, 1]
        if self.flip_columns:
            turned[:, 2] = shape[columns] - 1 - turned[:, 2]
        return turned

    def pixel(self, spacing: tuple[float, float]) -> tuple[float, float]:
        """Pixel height and width in mm on the turned slices, given those of the stored ones."""
        return (spacing[1], spacing[0]) if self.transpose else spacing


def _ras_affine(geometry: VolumeGeometry) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ geometry.index_to_mm
    return affine

"""Reading one DICOM series as a volume, and refusing those that are none.

GDCM, through SimpleITK, reads the pixels in HU and the grid. It also reads a series with a missing slice or a tilted
gantry, as if nothing were missing or tilted; so positions are checked first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.itk_warnings import without_itk_warnings
from spd_bench.raw.release.dicom_headers import SliceHeader

# Positions are often rounded to 0.1 mm, which at 0.5 mm between slices is a fifth.
_STEP_TOLERANCE = 0.2
_SAME_POSITION_MM = 1e-3
_ORIENTATION_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DicomVolume:
    """A series as a volume.

    Attributes:
        voxels: HU (z, y, x); slices in the order of their positions along the normal of the slices.
        geometry: its grid.
        slices: the headers in the same order.
    """

    voxels: NDArray[Any]
    geometry: VolumeGeometry
    slices: tuple[SliceHeader, ...]


def read_series(slices: Sequence[SliceHeader]) -> DicomVolume:
    """Read the slices of one series.

    Raises:
        InputError: fewer than two slices; a file twice; slices of different size, spacing or orientation; a
            position that is missing or taken twice; a gap; a tilted gantry; pixels that cannot be read.
    """
    _check_slices(slices)
    ordered = _in_position_order(slices)
    _check_positions(ordered)
    image = _read_pixels(ordered)
    return DicomVolume(
        voxels=_compact(sitk.GetArrayViewFromImage(image)), geometry=VolumeGeometry.of_image(image), slices=ordered
    )


def _check_slices(slices: Sequence[SliceHeader]) -> None:
    first = slices[0]
    if len(slices) < 2 or first.frames > 1:
        raise InputError(
            f"not a series of single slices ({len(slices)} file(s), {first.frames} frame(s) in the first)",
            file=first.file,
            remedy="convert the scan to NIfTI and give that",
        )
    _check_unique(slices)
    for header in slices:
        if header.position is None or header.orientation is None or header.pixel_spacing is None:
            raise InputError(
                "slice without position, orientation or pixel spacing",
                file=header.file,
                remedy="take the release's own file; without them the slice has no place",
            )
        _check_alike(header, first)


def _check_unique(slices: Sequence[SliceHeader]) -> None:
    # By place as well: anonymised scans may have one UID for all of their images.
    for (instance, place), times in Counter((header.instance, header.position) for header in slices).items():
        if instance and times > 1:
            names = ", ".join(
                header.file.name for header in slices if (header.instance, header.position) == (instance, place)
            )
            raise InputError(
                f"{times} files hold the same image (SOPInstanceUID {instance}): {names}",
                file=slices[0].file.parent,
                remedy="keep one of them",
            )


def _check_alike(header: SliceHeader, first: SliceHeader) -> None:
    for name, tolerance in (("size", 0.0), ("orientation", _ORIENTATION_TOLERANCE), ("pixel_spacing", 1e-4)):
        mine, theirs = getattr(header, name), getattr(first, name)
        if not np.allclose(mine, theirs, rtol=0, atol=tolerance):
            raise InputError(
                f"{name.replace('_', ' ')} {_shown(mine)} differs from {_shown(theirs)} of {first.file.name}",
                file=header.file,
                remedy="keep the slices of one scan in the folder",
            )


def _in_position_order(slices: Sequence[SliceHeader]) -> tuple[SliceHeader, ...]:
    along, _ = _split_positions(slices)
    return tuple(slices[number] for number in np.argsort(along, kind="stable"))


def _split_positions(slices: Sequence[SliceHeader]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in mm along the normal of the slices (N), and what of them lies across it (N, 3)."""
    row, column = np.asarray(slices[0].orientation, dtype=np.float64).reshape(2, 3)
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    positions = np.asarray([header.position for header in slices], dtype=np.float64)
    along = positions @ normal
    return along, positions - np.outer(along, normal)


def _check_positions(ordered: Sequence[SliceHeader]) -> None:
    along, across = _split_positions(ordered)
    steps = np.diff(along)
    usual = float(np.median(steps))
    _check_distinct(ordered, steps)
    _check_tilt(ordered, along, across)
    odd = np.flatnonzero(np.abs(steps - usual) > _STEP_TOLERANCE * usual)
    if odd.size:
        at = int(odd[np.argmax(np.abs(steps[odd] - usual))])
        raise InputError(
            f"slices are missing or not evenly spaced: {steps[at]:g} mm between {ordered[at].file.name} and"
            f" {ordered[at + 1].file.name} where {usual:g} mm is usual ({odd.size} such place(s))",
            file=ordered[0].file.parent,
            remedy="add the missing files; a volume needs even spacing",
        )


def _check_distinct(ordered: Sequence[SliceHeader], steps: NDArray[np.float64]) -> None:
    same = np.flatnonzero(steps < _SAME_POSITION_MM)
    if same.size:
        at = int(same[0])
        raise InputError(
            f"{ordered[at].file.name} and {ordered[at + 1].file.name} lie at the same position"
            f" ({same.size} such pair(s))",
            file=ordered[at].file.parent,
            remedy="keep the slices of one scan in the folder",
        )


def _check_tilt(ordered: Sequence[SliceHeader], along: NDArray[np.float64], across: NDArray[np.float64]) -> None:
    shift = float(np.linalg.norm(across - across[0], axis=1).max())
    if shift > max(ordered[0].pixel_spacing or (0.0,)):
        angle = np.rad2deg(np.arctan2(shift, along[-1] - along[0]))
        raise InputError(
            f"slices are shifted against each other by up to {shift:.3g} mm (gantry tilt of {angle:.3g} degrees)",
            file=ordered[0].file.parent,
            remedy="resample the scan to an upright grid (dcm2niix does) and give it as NIfTI with its mask",
        )


def _read_pixels(ordered: Sequence[SliceHeader]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(header.file) for header in ordered])
    if len({header.rescale for header in ordered}) > 1:
        # The first slice's pixel type would round the others' HU.
        reader.SetOutputPixelType(sitk.sitkFloat64)
    with without_itk_warnings():
        try:
            return reader.Execute()
        except RuntimeError as error:
            raise InputError(
                "pixels cannot be read", file=_first_unreadable(ordered), remedy="replace the file; it may be truncated"
            ) from error


def _first_unreadable(ordered: Sequence[SliceHeader]) -> Path:
    for header in ordered:
        try:
            sitk.ReadImage(str(header.file))
        except RuntimeError:
            return header.file
    return ordered[0].file.parent


def _compact(voxels: NDArray[Any]) -> NDArray[Any]:
    limits = np.iinfo(np.int16)
    if np.issubdtype(voxels.dtype, np.integer) and limits.min <= voxels.min() and voxels.max() <= limits.max:
        return voxels.astype(np.int16)
    return voxels.copy()


def _shown(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"

"""Reading one patient of FUMPE: scan and mask on one grid, the mask on the right slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.release.dicom_headers import SliceHeader, read_headers
from spd_bench.raw.release.dicom_series import read_series
from spd_bench.raw.release.mask_order import Decision, place_mask
from spd_bench.raw.release.mat_masks import read_mat_mask
from spd_bench.raw.release.source_volumes import SourceVolume, check_finite, on_grid_of, read_source_volume, to_axial
from spd_bench.raw.release.target_mask import LabelValues, target_mask

_ONE_VALUE = LabelValues(target=None)


def read_dicom_case(files: Sequence[Path], mask_file: Path, *, decision: Decision) -> tuple[SourceVolume, SourceVolume]:
    """Scan and mask of a patient, axial slices first, from DICOM files and a bare array.

    Raises:
        InputError: files that cannot be read, a series that is no volume, a mask that does not fit it or whose order
            is not clear.
    """
    mask = target_mask(read_mat_mask(mask_file), _ONE_VALUE)
    slices, left_out = _fitting_series(files, len(mask.voxels), mask_file=mask_file)
    volume = read_series(slices)
    placed, told = place_mask(
        mask.voxels,
        volume.voxels,
        orders=_orders(volume.slices, by_name=slices),
        decision=decision,
        file=mask_file,
    )
    image = SourceVolume(voxels=volume.voxels, geometry=volume.geometry, repairs=left_out)
    label = SourceVolume(voxels=placed, geometry=volume.geometry)
    return to_axial(image), replace(to_axial(label), repairs=(*mask.repairs, *told))


def read_nifti_case(image_file: Path, mask_file: Path, *, decision: Decision) -> tuple[SourceVolume, SourceVolume]:
    """Scan and mask of a patient, axial slices first, from NIfTI files; the mask's order is checked as well.

    Raises:
        InputError: as :func:`read_dicom_case`; NaN in the image, or grids that differ.
    """
    stored = read_source_volume(image_file)
    check_finite(stored)
    label = on_grid_of(read_source_volume(mask_file), stored, file=mask_file)
    image, mask = to_axial(stored), target_mask(to_axial(label), _ONE_VALUE)
    upwards = np.arange(len(mask.voxels))
    placed, told = place_mask(
        mask.voxels,
        image.voxels,
        orders={"position": upwards, "reversed": upwards[::-1]},
        decision=decision,
        file=mask_file,
    )
    # Where the HU find the mask right as it is stored there is nothing to tell.
    told = () if decision == Decision() and np.array_equal(placed, mask.voxels) else told
    return image, replace(mask, voxels=placed, repairs=(*mask.repairs, *told))


def _fitting_series(
    files: Sequence[Path], slices: int, *, mask_file: Path
) -> tuple[tuple[SliceHeader, ...], tuple[str, ...]]:
    """The series that has as many slices as the mask, in the order of file names, and what was left out."""
    headers = read_headers(files)
    fitting = [series for series in headers.series.values() if len(series) == slices]
    if len(fitting) != 1:
        counts = ", ".join(str(len(series)) for series in headers.series.values()) or "none"
        ignored = f"; no images: {', '.join(path.name for path in headers.ignored[:3])}" if headers.ignored else ""
        raise InputError(
            f"{'more than one' if fitting else 'no'} series has the mask's {slices} slices (slices of the series there:"
            f" {counts}{ignored})",
            file=mask_file,
            remedy="complete the scan, or leave only that series in its folder which the mask belongs to",
        )
    left_out = "other series in the scan's folder (a localiser or the like) left out"
    return fitting[0], ((left_out,) if len(headers.series) > 1 else ())


def _orders(by_position: Sequence[SliceHeader], *, by_name: Sequence[SliceHeader]) -> dict[str, NDArray[np.intp]]:
    """The orders that a mask's slices may follow -> their positions in the volume."""
    position = {header.file: number for number, header in enumerate(by_position)}
    orders: dict[str, NDArray[np.intp]] = {
        "file": np.array([position[header.file] for header in by_name], dtype=np.intp),
        "position": np.arange(len(by_position)),
        "reversed": np.arange(len(by_position))[::-1],
    }
    numbers = [header.number for header in by_position if header.number is not None]
    if len(set(numbers)) == len(by_position):
        orders["instance"] = np.argsort(numbers)
    return orders

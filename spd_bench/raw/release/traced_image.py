"""What makes points land on other voxels of a release's image than of the image that it was converted to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib

from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.nifti_grid import nifti_grid
from spd_bench.raw.release.records import FILE_ENDING, read_records
from spd_bench.raw.release.source_volumes import REORDERED


def reordering_of(image: Path) -> str | None:
    """How conversion reordered the axes of a raw dataset's image, as its record says; None where it did not.

    Voxels that were counted on the release's own image are others in the converted one; positions in mm stay.

    Args:
        image: ``imagesTr/<case>_0000.nii.gz`` of a converted release, or any other image.
    """
    image = image.absolute()
    case = re.sub(r"_\d{4}$", "", image.name.removesuffix(FILE_ENDING))
    record = read_records(image.parent.parent).get(case)
    if record is None or f"{image.parent.name}/{image.name}" not in record["written"]:
        return None
    of_image = (repair for repair in record["repairs"] if REORDERED in repair and not repair.startswith("label: "))
    return next(of_image, None)


def repaired_grid(image: Path, geometry: VolumeGeometry) -> str | None:
    """Why conversion puts a NIfTI image on another grid than ITK reads from its header; None where it does not.

    Args:
        image: an image that ITK reads.
        geometry: the grid that ITK reads from it.
    """
    if not image.name.lower().endswith((".nii", ".nii.gz")):
        return None
    header: Any = nib.load(image).header
    if len(header.get_data_shape()) < 3:
        return None
    grid = nifti_grid(header, file=image)
    difference = grid.geometry.difference_to(geometry)
    return None if difference is None else "; ".join(grid.repairs) or difference

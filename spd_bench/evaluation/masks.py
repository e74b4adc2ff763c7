"""Mask files: which case is which file, and reading them with every fault named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.formats import FORMATS
from spd_bench.raw.volumes import read_volume

# Longest first, so that a case of a.nii.gz is "a"; a case may hold dots itself.
VOLUME_SUFFIXES = (*FORMATS, ".mhd", ".gipl.gz")


def find_volumes(folder: Path) -> dict[str, Path]:
    """The volumes of a folder, case to file, sorted by case; hidden files and :func:`other_files` are passed over.

    Raises:
        InputError: the folder does not exist, one case has two files, or something named as a volume is no file.
    """
    found: dict[str, Path] = {}
    for path, suffix in _listed(folder):
        if suffix is None:
            continue
        if not path.is_file():
            raise InputError(
                "named as a volume, but a folder or a link to nothing",
                file=path,
                remedy="restore the file or remove it",
            )
        case = path.name[: -len(suffix)]
        if case in found:
            raise InputError(
                f"case {case} has two files, {found[case].name} and {path.name}", file=folder, remedy="keep one of them"
            )
        found[case] = path
    return dict(sorted(found.items()))


def other_files(folder: Path) -> list[str]:
    """Names of what lies in a folder beside volumes and hidden files: what is not read.

    Raises:
        InputError: the folder does not exist.
    """
    return [path.name for path, suffix in _listed(folder) if suffix is None]


def _listed(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """What lies in a folder, and the suffix of each volume."""
    if not folder.is_dir():
        raise InputError("folder not found", file=folder, remedy="check the path")
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            yield path, next((suffix for suffix in VOLUME_SUFFIXES if path.name.lower().endswith(suffix)), None)


def read_reference_mask(path: Path, target_labels: Sequence[int] = ()) -> tuple[NDArray[np.bool_], VolumeGeometry]:
    """Read a reference as a boolean mask (z, y, x) of its target.

    Args:
        path: a label map with any number of labels.
        target_labels: the labels that make up the target; none given means every label above 0.

    Raises:
        InputError: unreadable, or a voxel is NaN, negative or not a whole number.
    """
    labels, geometry = read_volume(path)
    _require_whole_numbers(labels, path)
    if (labels < 0).any():
        raise InputError(
            f"reference holds negative values, such as {labels.min():g}",
            file=path,
            remedy="give a label map, 0 for background and whole numbers above it; an image is none",
        )
    mask = np.isin(labels, target_labels) if target_labels else labels > 0
    return mask, geometry


def read_predicted_mask(path: Path, reference_geometry: VolumeGeometry) -> NDArray[np.bool_]:
    """Read a prediction as a boolean mask (z, y, x) on the grid of its reference.

    Raises:
        InputError: unreadable, on another grid, or a voxel is neither 0 nor 1.
    """
    voxels, geometry = read_volume(path)
    difference = geometry.difference_to(reference_geometry)
    if difference is not None:
        raise InputError(
            f"prediction and reference lie on different grids ({difference})",
            file=path,
            remedy="write predictions in the geometry of the original image",
        )
    _require_whole_numbers(voxels, path)
    mask = voxels == 1
    if not np.array_equal(mask, voxels != 0):
        values = np.unique(voxels)
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
        raise InputError(f"prediction is not a binary mask, values {shown}", file=path, remedy="write only 0 and 1")
    return mask


def _require_whole_numbers(voxels: NDArray[Any], path: Path) -> None:
    if np.issubdtype(voxels.dtype, np.integer):
        return
    if not np.isfinite(voxels).all():
        raise InputError("mask holds NaN or infinite values", file=path, remedy="write whole numbers, 0 for background")
    fractional = voxels[voxels != np.rint(voxels)]
    if fractional.size:
        raise InputError(
            f"mask holds values that are no whole numbers, such as {fractional[0]:g}",
            file=path,
            remedy="threshold probabilities before they are scored",
        )

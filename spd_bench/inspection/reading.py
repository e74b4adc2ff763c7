"""Reading the files of one case, every fault an InputError that names the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.prompts.points import PointPrompts, read_prompts
from spd_bench.raw.channels import check_number_of_channels, read_channels, read_channels_header
from spd_bench.raw.dataset import RawCase
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.label_values import check_label_values
from spd_bench.raw.volumes import read_volume


def read_grid(case: RawCase, channels: int) -> VolumeGeometry:
    """The grid of a case's first image; InputError unless its files hold this number of channels."""
    header = read_channels_header(case.images)
    check_number_of_channels(case.images, found=header.channels, announced=channels)
    return header.geometry


def read_image_file(path: Path, geometry: VolumeGeometry) -> NDArray[np.float32]:
    """Read the channels (C, z, y, x) of one image file, which must be finite and lie on this grid."""
    voxels, found = read_channels([path])
    _check_grid(path, found, geometry)
    return voxels


def read_labels(case: RawCase, geometry: VolumeGeometry, label_values: Sequence[int]) -> NDArray[Any]:
    """Read a case's label map (z, y, x), which must lie on this grid and hold these values only."""
    if case.label is None:
        raise InputError("image without a label", file=case.images[0], remedy="add its label file")
    labels, found = read_volume(case.label)
    _check_grid(case.label, found, geometry)
    check_label_values(case.label, labels, label_values)
    return labels


def read_points(case: RawCase, geometry: VolumeGeometry) -> tuple[PointPrompts, NDArray[np.int64]] | None:
    """A case's prompts and their voxels (N, 3: z y x); None where the case has no prompt file."""
    if not case.prompts.is_file():
        return None
    prompts = read_prompts(case.prompts)
    return prompts, prompts.voxels(geometry, file=case.prompts)


def _check_grid(path: Path, found: VolumeGeometry, expected: VolumeGeometry) -> None:
    difference = found.difference_to(expected)
    if difference is not None:
        raise InputError(
            f"not on the grid of the case's first image: {difference}",
            file=path,
            remedy="resample it, or replace the file that belongs to another case",
        )

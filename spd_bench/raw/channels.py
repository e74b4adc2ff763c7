"""The channels of a case: one file each, or several in one file (an RGB image, a four-dimensional volume)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.header import ImageHeader
from spd_bench.raw.volumes import read_header, read_image, spacing_file_of_channel, write_image


def read_channels(files: Sequence[Path]) -> tuple[NDArray[np.float32], VolumeGeometry]:
    """Read all channels of a case, the same array as nnU-Net's readers give.

    Args:
        files: the case's image files in the order of their channel numbers, at least one.

    Returns:
        Array (C, z, y, x) and the grid that the channels share; C may exceed the number of files.

    Raises:
        InputError: a file is missing or unreadable, holds NaN or infinity, or differs from the first one in its
            grid or its number of channels.
    """
    first: ImageHeader | None = None
    channels: NDArray[np.float32] | None = None
    for number, file in enumerate(files):
        header, voxels = read_image(file, spacing_file_of_channel(file))
        first = first or header
        _check_like_first(file, header, first)
        # Into one array at once, or none at all: joined in the end, the channels would be in memory twice.
        if channels is None and len(files) == 1 and voxels.dtype == np.float32 and voxels.flags.writeable:
            channels = voxels
        elif channels is None:
            channels = np.empty((len(files) * header.channels, *header.geometry.shape), np.float32)
        _fill(channels[len(voxels) * number :][: len(voxels)], voxels, file=file)
    if first is None or channels is None:
        msg = "a case has at least one image file"
        raise ValueError(msg)
    return channels, first.geometry


def read_channels_header(files: Sequence[Path]) -> ImageHeader:
    """The number of channels in all files, and the grid of the first one, from the headers alone.

    Raises:
        InputError: a file is missing or unreadable.
    """
    headers = [read_header(file, spacing_file_of_channel(file)) for file in files]
    return ImageHeader(channels=sum(header.channels for header in headers), geometry=headers[0].geometry)


def write_channel(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write one channel ``<case>_<number><ending>`` as :func:`spd_bench.raw.volumes.write_volume` writes a volume."""
    write_image(path, spacing_file_of_channel(path), voxels, geometry)


def packed_files(files: Sequence[Path], *, announced: int) -> tuple[Path, ...]:
    """Of one file name a channel those that hold all channels, where files hold several; else nothing.

    Args:
        files: the names that one file a channel would have; only leading ones exist where files hold several.
        announced: the number of channels of a case.

    Raises:
        InputError: files hold several channels, but not as many as announced; a file is unreadable.
    """
    present = tuple(takewhile(os.path.isfile, files))
    if not present or len(present) >= announced:
        return ()
    found = read_channels_header(present).channels
    if found == len(present):
        return ()
    check_number_of_channels(present, found=found, announced=announced)
    return present


def check_number_of_channels(files: Sequence[Path], *, found: int, announced: int) -> None:
    """Raise InputError unless the files hold as many channels as ``dataset.json`` announces."""
    if found != announced:
        raise InputError(
            f"{found} channel(s) in {len(files)} file(s), but dataset.json announces {announced}",
            file=files[0],
            remedy="name every channel in channel_names (RGB has 3, with alpha 4), or save one grey image a channel",
        )


def _fill(channels: NDArray[np.float32], voxels: NDArray[Any], *, file: Path) -> None:
    """Copy voxels, plane by plane, and check what has been copied."""
    bad = 0
    with np.errstate(over="ignore"):
        for plane, source in zip(chain(*channels), chain(*voxels), strict=True):
            plane[...] = source
            bad += plane.size - int(np.count_nonzero(np.isfinite(plane)))
    if bad:
        raise InputError(
            f"{bad} voxel(s) are NaN or infinite", file=file, remedy="replace them by a value that makes sense"
        )


def _check_like_first(file: Path, header: ImageHeader, first: ImageHeader) -> None:
    difference = first.geometry.difference_to(header.geometry)
    if difference is not None:
        raise InputError(
            f"channel differs from the first one in {difference}", file=file, remedy="resample it to the first"
        )
    if header.channels != first.channels:
        raise InputError(
            f"{header.channels} channel(s) in this file, but {first.channels} in the first one of the case",
            file=file,
            remedy="save all files of a case alike, in colours or in grey",
        )

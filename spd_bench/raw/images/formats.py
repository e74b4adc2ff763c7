"""The image formats of nnU-Net and who reads and writes each of them.

A file holds one or several channels on one grid: a colour PNG holds three, a four-dimensional NIfTI as many as its
last axis is long, everything else one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images import itk_images, natural_images, tiff_images
from spd_bench.raw.images.header import ImageHeader


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How a format is read and written.

    Attributes:
        read_header: channels and geometry of a file, given the file and where its spacing file would be.
        read_voxels: the voxels (C, z, y, x) of a file whose header was read.
        write: writes voxels (z, y, x) to a file; ValueError where the format cannot hold them.
        write_spacing: writes the spacing file that belongs to a volume, for the format that has one.
    """

    read_header: Callable[[Path, Path], ImageHeader]
    read_voxels: Callable[[Path, ImageHeader], NDArray[Any]]
    write: Callable[[Path, NDArray[Any], VolumeGeometry], None]
    write_spacing: Callable[[Path, VolumeGeometry], None] | None = None


_ITK = ImageFormat(read_header=itk_images.read_header, read_voxels=itk_images.read_voxels, write=itk_images.write_image)
_NATURAL = ImageFormat(
    read_header=natural_images.read_header, read_voxels=natural_images.read_voxels, write=natural_images.write_image
)
_TIFF = ImageFormat(
    read_header=tiff_images.read_header,
    read_voxels=tiff_images.read_voxels,
    write=tiff_images.write_image,
    write_spacing=tiff_images.write_spacing,
)

FORMATS: dict[str, ImageFormat] = {
    ".nii.gz": _ITK,
    ".nii": _ITK,
    ".nrrd": _ITK,
    ".mha": _ITK,
    ".gipl": _ITK,
    ".png": _NATURAL,
    ".bmp": _NATURAL,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""File ending -> format, for every ending of nnU-Net's reader classes; the longer of two endings comes first."""

_WHOLE_NUMBERS_ONLY = (".png", ".bmp")


def ending_of(path: Path) -> str:
    """The file ending of a path as it is written there; of an unknown format the last suffix."""
    known = next((ending for ending in FORMATS if path.name.lower().endswith(ending)), path.suffix)
    return path.name[len(path.name) - len(known) :]


def format_of(path: Path) -> ImageFormat:
    """The format of a file by its name; what nnU-Net does not know is left to SimpleITK."""
    return FORMATS.get(ending_of(path).lower(), _ITK)


def ending_for_fractions(file_ending: str) -> str:
    """The ending for maps with fractions beside a dataset's masks: its own, or ``.tif`` where that cannot hold them."""
    return ".tif" if file_ending.lower() in _WHOLE_NUMBERS_ONLY else file_ending

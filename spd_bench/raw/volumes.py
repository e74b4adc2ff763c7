"""Reading and writing volumes of one channel, in every format of nnU-Net (and whatever else SimpleITK knows).

A label, a mask or a single channel; :mod:`spd_bench.raw.channels` reads the channels of a case together.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.formats import ending_of, format_of
from spd_bench.raw.images.header import ImageHeader
from spd_bench.storage import atomic_path

_CHANNEL_NUMBER = len("_0000")
_MOST_VOXELS = 2**31
"""More than any scanner gives (512 x 512 x 8192): a file of a few bytes can claim any size."""


def read_volume(path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
    """Read a volume of one channel.

    Returns:
        The voxels with shape (z, y, x), in the file's own type, and their geometry; a 2D image is one slice.

    Raises:
        InputError: the file is missing, unreadable, or holds several channels.
    """
    header, voxels = read_image(path, _spacing_file(path))
    if header.channels != 1:
        raise InputError(
            f"expected one 3D volume or a grey image, got {header.channels} channels",
            file=path,
            remedy="save one channel; a label holds its values 0, 1, 2, ... as grey levels",
        )
    return voxels[0], header.geometry


def read_geometry(path: Path) -> VolumeGeometry:
    """The grid of an image from its header alone, whatever its number of channels.

    Raises:
        InputError: the file is missing or unreadable, or its header makes no grid.
    """
    return read_header(path, _spacing_file(path)).geometry


def write_volume(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write voxels of shape (z, y, x) with their geometry, atomically; the ending chooses the format.

    A stack's spacing file takes the whole name: ``a_0000.tif`` is taken for case ``a_0000``
    (:func:`spd_bench.raw.channels.write_channel` writes the first channel of case ``a``).

    Raises:
        ValueError: the voxels do not fit the geometry, or the format cannot hold one of them.
    """
    write_image(path, spacing_file_of_case(path), voxels, geometry)


def read_header(path: Path, spacing_file: Path) -> ImageHeader:
    """Channels and geometry of a file; InputError as :func:`read_geometry` says."""
    with _told_in_one_line(path):
        return format_of(path).read_header(path, spacing_file)


def read_image(path: Path, spacing_file: Path) -> tuple[ImageHeader, NDArray[Any]]:
    """Header and voxels (C, z, y, x) of a file; InputError where it is missing, unreadable or claims to be enormous."""
    header = read_header(path, spacing_file)
    voxels = header.channels * math.prod(header.geometry.shape)
    if voxels > _MOST_VOXELS:
        raise InputError(
            f"its header claims {voxels} voxels, more than {_MOST_VOXELS}",
            file=path,
            remedy="replace the file, or cut the volume into parts",
        )
    with _told_in_one_line(path):
        return header, format_of(path).read_voxels(path, header)


def write_image(path: Path, spacing_file: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write voxels (z, y, x) and, where the format has one, the spacing file; ValueError as :func:`write_volume`."""
    if voxels.shape != geometry.shape:
        msg = f"voxels have shape {voxels.shape} but the geometry says {geometry.shape}"
        raise ValueError(msg)
    image_format = format_of(path)
    with atomic_path(path) as temporary:
        image_format.write(temporary, voxels, geometry)
        # A stack that is there has its spacing beside it.
        if image_format.write_spacing is not None:
            image_format.write_spacing(spacing_file, geometry)


def spacing_file_of_case(path: Path) -> Path:
    """Where the spacing of ``<case>.tif`` would be, nnU-Net's rule for labels and predictions."""
    return path.with_name(path.name.removesuffix(ending_of(path)) + ".json")


def spacing_file_of_channel(path: Path) -> Path:
    """Where the spacing of ``<case>_0000.tif`` would be, nnU-Net's rule for images."""
    return path.with_name(path.name.removesuffix(ending_of(path))[:-_CHANNEL_NUMBER] + ".json")


def _spacing_file(path: Path) -> Path:
    own = spacing_file_of_case(path)
    numbered = re.search(r"._\d{4}$", path.name.removesuffix(ending_of(path)))
    return spacing_file_of_channel(path) if numbered and not own.is_file() else own


@contextmanager
def _told_in_one_line(path: Path) -> Iterator[None]:
    """Turn what the libraries raise on missing and broken files into an InputError."""
    if not path.is_file():
        raise InputError("image file not found", file=path, remedy="check the path")
    try:
        yield
    except InputError:
        raise
    except (
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        SyntaxError,
        struct.error,
        zlib.error,
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        nib.spatialimages.HeaderTypeError,
        nib.wrapstruct.WrapStructError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].removeprefix("sitk::ERROR: ")
        raise InputError(
            f"image cannot be read ({reason})",
            file=path,
            remedy="repair or replace the file; it may be truncated or its header wrong",
        ) from error

"""TIFF: stacks with the spacing in a JSON file beside them, and 2D images, grey or in colours.

As nnU-Net's Tiff3DIO reads stacks and its NaturalImage2DIO reads ``.tif`` images, by the same library. The spacing
file is ``<case>.json`` with ``{"spacing": [z, y, x]}``; without one the spacing is 1 mm along all axes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.header import ImageHeader
from spd_bench.raw.images.planes import is_plane, plane_geometry
from spd_bench.storage import read_json, write_json

_COLOURS = (3, 4)
_NO_SPACING = (1.0, 1.0, 1.0)


def read_header(path: Path, spacing_file: Path) -> ImageHeader:
    """Channels and geometry of a file; a spacing file beside it makes a stack of whatever looks like colours."""
    with _open(path) as tiff:
        shape, axes = tiff.series[0].shape, tiff.series[0].axes
    if len(shape) == 3 and ("S" not in axes or spacing_file.is_file()):
        spacing = _read_spacing(spacing_file) if spacing_file.is_file() else _NO_SPACING
        return ImageHeader(channels=1, geometry=VolumeGeometry(shape=shape, spacing=spacing))
    if path.suffix.lower() == ".tiff" and len(shape) == 2:
        raise InputError(
            "a 2D image ends in .tiff", file=path, remedy="rename it to .tif; nnU-Net takes .tiff for a stack"
        )
    if len(shape) == 2:
        return ImageHeader(channels=1, geometry=plane_geometry(shape))
    sizes = dict(zip(axes, shape, strict=True))
    if len(shape) == 3 and sizes["S"] in _COLOURS and path.suffix.lower() == ".tif":
        return ImageHeader(channels=sizes["S"], geometry=plane_geometry((sizes["Y"], sizes["X"])))
    raise InputError(
        f"expected a 2D image or a stack of grey slices, got an array of shape {tuple(shape)} with axes {axes}",
        file=path,
        remedy="save one grey stack a channel",
    )


def read_voxels(path: Path, header: ImageHeader) -> NDArray[Any]:
    """The voxels (C, z, y, x) in the file's own type."""
    with _open(path) as tiff:
        voxels, axes = tiff.series[0].asarray(), tiff.series[0].axes
    if header.channels > 1:
        voxels = np.moveaxis(voxels, axes.index("S"), 0)
    voxels = voxels.reshape(header.channels, *header.geometry.shape)
    if voxels.dtype == np.bool_:
        voxels = voxels.astype(np.uint8)
    return np.ascontiguousarray(voxels)


def write_image(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write voxels (z, y, x) as a stack, or as a 2D image where the geometry is that of one.

    Raises:
        ValueError: a position or direction that would be lost, or a 2D image that does not end in ``.tif``.
    """
    plane = is_plane(geometry)
    if plane and path.suffix.lower() != ".tif":
        msg = f"a 2D image must end in .tif, got {path.name}"
        raise ValueError(msg)
    spacing = plane_geometry(geometry.shape[1:]).spacing if plane else geometry.spacing
    lost = geometry.difference_to(VolumeGeometry(shape=geometry.shape, spacing=spacing))
    if lost is not None:
        msg = f"a TIFF file holds no position and direction, a 2D one no spacing; this one differs in {lost}"
        raise ValueError(msg)
    # Without the photometric tag a stack of three or four slices would be stored as colours.
    tifffile.imwrite(path, voxels[0] if plane else voxels, photometric="minisblack", compression="zlib")


def write_spacing(spacing_file: Path, geometry: VolumeGeometry) -> None:
    """Write a stack's spacing file; a 2D image has none."""
    if not is_plane(geometry):
        write_json(spacing_file, {"spacing": list(geometry.spacing)})


def _read_spacing(file: Path) -> tuple[float, float, float]:
    content = read_json(file)
    spacing = content.get("spacing") if isinstance(content, dict) else None
    if not isinstance(spacing, list) or len(spacing) != 3 or not all(_is_length(size) for size in spacing):
        raise InputError(
            f"the spacing of a stack is {spacing!r}",
            file=file,
            remedy='write {"spacing": [z, y, x]} with three positive sizes in mm',
        )
    return float(spacing[0]), float(spacing[1]), float(spacing[2])


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value)) and value > 0


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@contextmanager
def _open(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file; tifffile only logs that pages are cut off and then reads fewer, which here is an error."""
    logger, messages = tifffile.logger(), _Messages()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(messages)
    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    finally:
        logger.removeHandler(messages)
        logger.propagate = propagate
    if messages.found:
        raise tifffile.TiffFileError(messages.found[0])

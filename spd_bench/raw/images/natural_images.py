"""PNG and BMP: 2D images of one channel, or of three (RGB) or four (RGBA), without spacing.

As nnU-Net's NaturalImage2DIO reads them, by the same library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.header import ImageHeader
from spd_bench.raw.images.planes import plane_geometry

_COLOURS = (3, 4)
_LARGEST = {".png": 2**16 - 1, ".bmp": 2**8 - 1}


def read_header(path: Path, spacing_file: Path) -> ImageHeader:
    """Channels and geometry from the header alone; these formats have no spacing, so 1 mm a pixel."""
    shape = iio.improps(path, plugin="pillow").shape
    if len(shape) == 3 and shape[2] in _COLOURS:
        return ImageHeader(channels=shape[2], geometry=plane_geometry(shape[:2]))
    if len(shape) != 2:
        raise InputError(
            f"expected a grey, RGB or RGBA image, got an array of shape {tuple(shape)}",
            file=path,
            remedy="save it as a grey image without alpha, one file a channel",
        )
    return ImageHeader(channels=1, geometry=plane_geometry(shape))


def read_voxels(path: Path, header: ImageHeader) -> NDArray[Any]:
    """The pixels as (C, 1, y, x); black-and-white images become 0 and 1."""
    pixels = iio.imread(path, plugin="pillow")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    _, rows, columns = header.geometry.shape
    return np.ascontiguousarray(np.moveaxis(pixels.reshape(rows, columns, header.channels), 2, 0)[:, None])


def write_image(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write one slice (1, y, x) of whole numbers as a grey image.

    Raises:
        ValueError: more than one slice, a spacing or position that would be lost, or values out of range.
    """
    suffix = path.suffix.lower()
    lost = geometry.difference_to(plane_geometry(geometry.shape[1:]))
    if lost is not None:
        msg = f"a {suffix} file holds one slice without spacing and position; this one differs in {lost}"
        raise ValueError(msg)
    if voxels.dtype.kind not in "ui" or voxels.min() < 0 or voxels.max() > _LARGEST[suffix]:
        msg = (
            f"a {suffix} file holds whole numbers from 0 to {_LARGEST[suffix]}, "
            f"got {voxels.dtype} from {voxels.min()} to {voxels.max()}"
        )
        raise ValueError(msg)
    dtype = voxels.dtype if voxels.dtype == np.uint16 and suffix == ".png" else np.min_scalar_type(int(voxels.max()))
    iio.imwrite(path, voxels[0].astype(dtype), plugin="pillow")

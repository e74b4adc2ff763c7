"""What is checked of a NIfTI file's header before SimpleITK is asked, and of its size before nibabel is.

ITK takes a header without NIfTI's magic for that of an Analyze file, and does not come back from a matrix that holds
infinity, or sizes whose products do. nibabel takes the memory that the header claims before it looks how much there is.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import nibabel as nib
import numpy as np

from spd_bench.errors import InputError

_BYTES = 348
_GZIP = b"\x1f\x8b"
_FARTHEST = 1e9
_QUATERNION = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_MATRIX = ("srow_x", "srow_y", "srow_z")
_PIXDIM_USED = 5
_MOST_DEFLATED = 1032
"""How many bytes one byte of a gzip archive can hold, by the definition of deflate."""


def check_nifti_header(path: Path) -> None:
    """Refuse a header that is not NIfTI-1's or whose grid is not finite.

    Raises:
        InputError: a field that makes the grid is not finite, or farther away than a thousand kilometres.
        nibabel.spatialimages.HeaderDataError: nibabel calls the header broken.
        nibabel.wrapstruct.WrapStructError: it is too short.
    """
    header = _header(path)
    # What no code announces is not read: some writers leave it as it was in memory.
    grid = (_QUATERNION if header["qform_code"] else ()) + (_MATRIX if header["sform_code"] else ())
    for field in ("vox_offset", "pixdim", *grid):
        values = np.atleast_1d(header[field])[:_PIXDIM_USED]
        if not (np.abs(values) <= _FARTHEST).all():
            raise InputError(f"{field} of its header is {values.tolist()}", file=path, remedy="correct the header")
    header.check_fix()


def check_nifti_size(path: Path) -> None:
    """Refuse a file that is too small for the voxels that its header claims.

    Raises:
        InputError: it is.
    """
    header = _header(path)
    voxels = math.prod(map(int, header.get_data_shape())) * header.get_data_dtype().itemsize
    claimed = int(header["vox_offset"]) + voxels
    size = path.stat().st_size
    if claimed > size * (_MOST_DEFLATED if _is_packed(path) else 1):
        raise InputError(
            f"image cannot be read (its header claims {claimed} bytes, which {size} bytes cannot hold)",
            file=path,
            remedy="repair or replace the file; it is truncated or its header wrong",
        )


def _header(path: Path) -> nib.Nifti1Header:
    with gzip.open(path) if _is_packed(path) else path.open("rb") as stream:
        return nib.Nifti1Header(stream.read(_BYTES), check=False)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_GZIP)) == _GZIP

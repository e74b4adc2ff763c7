"""Masks that MATLAB saved: bare arrays, which do not say how they lie in the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.source_volumes import SourceVolume


def read_mat_mask(path: Path, *, key: str = "Mask") -> SourceVolume:
    """Read a three-dimensional array from a MATLAB file up to version 7.

    Returns:
        The array, MATLAB's (row, column, slice) turned to (slice, row, column), on a grid that stands for nothing.

    Raises:
        InputError: the file is missing, damaged or of version 7.3; there is no array of three dimensions under
            ``key``, nor only one in the file.
    """
    variables = _load(path)
    volumes = {name: value for name, value in variables.items() if _is_volume(value)}
    if key in volumes:
        return _unplaced(volumes[key], file=path)
    if len(volumes) != 1:
        found = ", ".join(f"{name} {getattr(value, 'shape', '')}".strip() for name, value in variables.items())
        raise InputError(
            f"no three-dimensional array {key!r} (there is: {found or 'nothing'})",
            file=path,
            remedy=f"save the mask as {key} (rows, columns, slices)",
        )
    ((name, values),) = volumes.items()
    return _unplaced(values, file=path, repairs=(f"mask read from variable {name!r}: there is none called {key!r}",))


def _is_volume(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 3 and value.size > 0 and value.dtype.kind in "biuf"


def _unplaced(values: NDArray[Any], *, file: Path, repairs: tuple[str, ...] = ()) -> SourceVolume:
    voxels = np.moveaxis(values, 2, 0)
    slices, rows, columns = voxels.shape
    return SourceVolume(
        voxels=voxels,
        geometry=VolumeGeometry(shape=(slices, rows, columns), spacing=(1.0, 1.0, 1.0)),
        repairs=repairs,
        oriented=False,
        file=file,
    )


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError("mask file not found", file=path, remedy="check the path")
    try:
        return {name: value for name, value in loadmat(str(path)).items() if not name.startswith("__")}
    except NotImplementedError as error:
        raise InputError(
            "MATLAB file of version 7.3",
            file=path,
            remedy="save it again in MATLAB with save(..., '-v7'), or in Python with scipy.io.savemat",
        ) from error
    # scipy's reader raises whatever the bytes of a damaged file happen to run into.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"MATLAB file cannot be read ({reason})", file=path, remedy="replace the file; it may be truncated"
        ) from error

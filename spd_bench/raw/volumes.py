"""Reading and writing volumes (NIfTI, NRRD, MetaImage and whatever else SimpleITK knows)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.storage import atomic_path


def read_volume(path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
    """Read a volume.

    Returns:
        The voxels with shape (z, y, x), in the file's own type, and their geometry.

    Raises:
        InputError: the file is missing, unreadable or not a single three-dimensional volume.
    """
    geometry = read_geometry(path)
    try:
        if path.name.endswith((".nii", ".nii.gz")):
            return _nifti_voxels(path, geometry), geometry
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path))), geometry
    except (RuntimeError, OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise _unreadable(path, error) from error


def read_geometry(path: Path) -> VolumeGeometry:
    """Read only the header of a volume; raises InputError as :func:`read_volume` does."""
    if not path.is_file():
        raise InputError("image file not found", file=path, remedy="check the path")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise _not_a_volume(path, reader.GetDimension(), reader.GetNumberOfComponents())
    x, y, z = reader.GetSize()
    sx, sy, sz = reader.GetSpacing()
    try:
        return VolumeGeometry(
            shape=(z, y, x), spacing=(sz, sy, sx), origin=reader.GetOrigin(), direction=reader.GetDirection()
        )
    except ValueError as error:
        raise _unreadable(path, error) from error


def write_volume(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write voxels of shape (z, y, x) with their geometry, atomically; the suffix chooses the format."""
    if voxels.shape != geometry.shape:
        msg = f"voxels have shape {voxels.shape} but the geometry says {geometry.shape}"
        raise ValueError(msg)
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    geometry.apply_to(image)
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


def _nifti_voxels(path: Path, geometry: VolumeGeometry) -> NDArray[Any]:
    # ITK's NIfTI reader fills a truncated file up with zeros and turns NaN and infinity into zeros, silently.
    voxels = np.asarray(nib.Nifti1Image.from_filename(path, mmap=False).dataobj)
    native = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native.T).reshape(geometry.shape)


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[-1].removeprefix("sitk::ERROR: ")
    return InputError(
        f"image cannot be read ({reason})",
        file=path,
        remedy="repair or replace the file; it may be truncated or its header wrong",
    )


def _not_a_volume(path: Path, dimension: int, components: int) -> InputError:
    return InputError(
        f"expected one 3D volume, got {dimension} dimensions with {components} component(s) a voxel",
        file=path,
        remedy="split it into one 3D file a channel",
    )

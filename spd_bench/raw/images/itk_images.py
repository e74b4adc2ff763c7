"""NIfTI, NRRD, MetaImage, GIPL and whatever else SimpleITK knows.

As nnU-Net's SimpleITKIO reads them: voxels in stored order, a 2D image as one slice, a fourth axis as channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.header import ImageHeader
from spd_bench.raw.images.meta_header import check_meta_header
from spd_bench.raw.images.nifti_header import check_nifti_header, check_nifti_size
from spd_bench.raw.images.nrrd_header import check_nrrd_header
from spd_bench.raw.images.planes import is_plane, plane_geometry

_NIFTI = (".nii", ".nii.gz")
_CHECKS = {
    _NIFTI: check_nifti_header,
    (".nrrd", ".nhdr"): check_nrrd_header,
    (".mha", ".mhd"): check_meta_header,
}


def read_header(path: Path, spacing_file: Path) -> ImageHeader:
    """Channels and geometry from the header alone; ``spacing_file`` is none of these formats' business."""
    _check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    dimension, components = reader.GetDimension(), reader.GetNumberOfComponents()
    if dimension not in (2, 3, 4) or components != 1:
        raise InputError(
            f"expected one 3D volume, got {dimension} dimensions with {components} component(s) a voxel",
            file=path,
            remedy="split it into one 3D file a channel",
        )
    size, spacing, origin = reader.GetSize(), reader.GetSpacing(), reader.GetOrigin()
    matrix = np.reshape(reader.GetDirection(), (dimension, dimension))
    if dimension == 2:
        plane = plane_geometry(size[::-1], spacing=spacing[::-1], origin=origin, direction=tuple(matrix.ravel()))
        return ImageHeader(channels=1, geometry=plane)
    geometry = VolumeGeometry(
        shape=size[2::-1], spacing=spacing[2::-1], origin=origin[:3], direction=tuple(matrix[:3, :3].ravel())
    )
    return ImageHeader(channels=size[3] if dimension == 4 else 1, geometry=geometry)


def read_voxels(path: Path, header: ImageHeader) -> NDArray[Any]:
    """The voxels (C, z, y, x) in the file's own type."""
    shape = (header.channels, *header.geometry.shape)
    if path.name.lower().endswith(_NIFTI):
        return _nifti_voxels(path).reshape(shape)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).reshape(shape)


def write_image(path: Path, voxels: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write voxels (z, y, x), compressed; what was read from a 2D file becomes one again."""
    if is_plane(geometry):
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels[0]))
        image.SetSpacing(geometry.spacing[:0:-1])
        image.SetOrigin(geometry.origin[:2])
        image.SetDirection(np.reshape(geometry.direction, (3, 3))[:2, :2].ravel().tolist())
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
        geometry.apply_to(image)
    sitk.WriteImage(image, str(path), useCompression=True)


def _check_header(path: Path) -> None:
    name = path.name.lower()
    for endings, check in _CHECKS.items():
        if name.endswith(endings):
            check(path)


def _nifti_voxels(path: Path) -> NDArray[Any]:
    check_nifti_size(path)
    # ITK's NIfTI reader fills a truncated file up with zeros and turns NaN and infinity into zeros, silently.
    voxels = np.asarray(nib.Nifti1Image.from_filename(path, mmap=False).dataobj)
    return np.ascontiguousarray(voxels.astype(voxels.dtype.newbyteorder("="), copy=False).T)

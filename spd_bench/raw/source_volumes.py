"""Volumes of a release: read with a header that may lie, and brought onto one grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume

_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])
_SPACING_TOLERANCE = 1e-3
_AFFINE_TOLERANCE_MM = 0.1


@dataclass(frozen=True, kw_only=True)
class SourceVolume:
    """A volume of a release.

    Attributes:
        voxels: (z, y, x) in the file's own type.
        geometry: its grid, repaired where the header contradicts itself.
        repairs: what was repaired and why, one sentence each.
    """

    voxels: NDArray[Any]
    geometry: VolumeGeometry
    repairs: tuple[str, ...] = ()


def read_source_volume(path: Path) -> SourceVolume:
    """Read a volume; where a NIfTI affine and ``pixdim`` disagree on the voxel size, ``pixdim`` is right.

    The files of EMIDEC and ACDC have an affine of 1 mm and the true size in ``pixdim`` alone
    (nnU-Net's issue 2741); whatever trusts the affine then measures wrong distances.

    Raises:
        InputError: as :func:`spd_bench.raw.volumes.read_volume`.
    """
    voxels, geometry = read_volume(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        return SourceVolume(voxels=voxels, geometry=geometry)
    repaired, repairs = _repaired_geometry(path, geometry)
    return SourceVolume(voxels=voxels, geometry=repaired, repairs=repairs)


def on_grid_of(label: SourceVolume, image: SourceVolume, *, file: Path) -> SourceVolume:
    """The label on its image's grid: headers that differ by rounding are taken for the image's.

    Raises:
        InputError: shape or spacing differ, or the grids lie more than 0.1 mm apart.
    """
    difference = label.geometry.difference_to(image.geometry)
    if difference is None:
        return label
    if label.geometry.shape != image.geometry.shape or _apart(label.geometry, image.geometry) > _AFFINE_TOLERANCE_MM:
        raise InputError(
            f"not on the grid of its image: {difference}",
            file=file,
            remedy="check that both files belong to one case; resample one onto the other",
        )
    note = f"label header differs from the image's by rounding ({difference}): the image's is taken"
    return replace(label, geometry=image.geometry, repairs=(*label.repairs, note))


def to_axial(volume: SourceVolume) -> SourceVolume:
    """The same voxels with axial slices first: axes permuted and flipped to LPS, nothing resampled.

    The axes are taken from the direction cosines, never from the index: KiTS stores its slices along the
    first axis of a NIfTI file, others along the last.
    """
    image = sitk.GetImageFromArray(volume.voxels)
    volume.geometry.apply_to(image)
    code = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(volume.geometry.direction)
    if code == "LPS":
        return volume
    oriented = sitk.DICOMOrient(image, "LPS")
    return SourceVolume(
        voxels=sitk.GetArrayFromImage(oriented),
        geometry=VolumeGeometry.of_image(oriented),
        repairs=(*volume.repairs, f"axes {code} reordered to LPS: axial slices first (nothing resampled)"),
    )


def _repaired_geometry(path: Path, geometry: VolumeGeometry) -> tuple[VolumeGeometry, tuple[str, ...]]:
    header: Any = nib.Nifti1Image.from_filename(path).header
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    zooms = np.asarray(header.get_zooms()[:3], dtype=np.float64)
    columns = np.linalg.norm(affine[:3, :3], axis=0)
    if np.allclose(columns, zooms, rtol=_SPACING_TOLERANCE) or not (columns.all() and zooms.all()):
        return geometry, ()
    direction = _LPS_OF_RAS @ (affine[:3, :3] / columns)
    repaired = VolumeGeometry(
        shape=geometry.shape,
        spacing=(float(zooms[2]), float(zooms[1]), float(zooms[0])),
        origin=tuple(_LPS_OF_RAS @ affine[:3, 3]),
        direction=tuple(direction.ravel()),
    )
    shown = " x ".join(f"{value:g}" for value in columns), " x ".join(f"{value:g}" for value in zooms)
    return repaired, (f"affine says {shown[0]} mm but pixdim {shown[1]} mm: affine rebuilt from pixdim",)


def _apart(first: VolumeGeometry, second: VolumeGeometry) -> float:
    """The largest distance in mm between the same corner voxel of two grids."""
    corners = np.array(np.meshgrid(*((0, size - 1) for size in first.shape), indexing="ij")).reshape(3, -1).T
    difference = first.voxel_to_lps(corners.astype(float)) - second.voxel_to_lps(corners.astype(float))
    return float(np.linalg.norm(difference, axis=1).max())

"""Volumes of a release: read with a header that may lie, and brought onto one grid."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.narrow_types import narrow
from spd_bench.raw.release.nifti_grid import corner_voxels, nifti_grid
from spd_bench.raw.volumes import read_volume

_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_PLACE_TOLERANCE_MM = 0.1
_VOXELS_AT_ONCE = 2**20
REORDERED = "reordered to"
"""Stands in the repair of a volume whose axes were permuted or flipped, and in no other."""

# A stack's slices are thicker than its pixels by more than this; below, the voxel size does not tell the axis.
_THICKER = 1.2


@dataclass(frozen=True, kw_only=True)
class SourceVolume:
    """A volume of a release.

    Attributes:
        voxels: (z, y, x) in the file's own type; doubles of a NIfTI file narrowed, see :func:`narrow`.
        geometry: its grid, repaired where the header contradicts itself.
        repairs: what was repaired and why, one sentence each.
        oriented: whether the file says at all how the volume lies in the patient.
        file: where it was read from, for messages.
    """

    voxels: NDArray[Any]
    geometry: VolumeGeometry
    repairs: tuple[str, ...] = ()
    oriented: bool = True
    file: Path | None = None


def read_source_volume(path: Path) -> SourceVolume:
    """Read a volume; a NIfTI header that contradicts itself is repaired by :func:`nifti_grid`'s rules.

    NIfTI files are read by nibabel alone: ITK refuses axes that are not quite orthogonal, and fills truncated
    files up with zeros.

    Raises:
        InputError: the file is missing, empty, truncated or unreadable, holds anything but one 3D volume of
            numbers, or a header that cannot be repaired.
    """
    if not path.name.casefold().endswith((".nii", ".nii.gz")):
        voxels, geometry = read_volume(path)
        return SourceVolume(voxels=voxels, geometry=geometry, file=path)
    if not path.is_file():
        raise InputError("image file not found", file=path, remedy="check the path")
    voxels, header = _read_nifti(path)
    grid = nifti_grid(header, file=path)
    return SourceVolume(voxels=voxels, geometry=grid.geometry, repairs=grid.repairs, oriented=grid.oriented, file=path)


def check_finite(volume: SourceVolume) -> None:
    """Raise InputError where an image holds NaN or infinity, which nnU-Net refuses for the whole dataset."""
    if not np.issubdtype(volume.voxels.dtype, np.floating):
        return
    bad = volume.voxels.size - int(np.count_nonzero(np.isfinite(volume.voxels)))
    if bad:
        raise InputError(
            f"{bad} voxel(s) are NaN or infinite", file=volume.file, remedy="replace them by a value that makes sense"
        )


def on_grid_of(
    label: SourceVolume,
    image: SourceVolume,
    *,
    file: Path,
    remedy: str = "check that both files belong to one case; resample one onto the other",
) -> SourceVolume:
    """The label on its image's grid, voxel by voxel; nothing is resampled.

    Headers that differ by rounding are taken for the image's; a label whose axes are stored in another order is
    turned; a label that says nothing about orientation follows its image.

    Raises:
        InputError: shape or spacing differ, or the grids lie more than 0.1 mm apart.
    """
    if label.geometry.difference_to(image.geometry) is None:
        return replace(label, geometry=image.geometry)
    if label.oriented and image.oriented:
        turned = _with_axes(label, io_orientation(_ras_affine(image.geometry)), "its image's axes")
    else:
        turned = label
    difference = turned.geometry.difference_to(image.geometry)
    if difference is None:
        return replace(turned, geometry=image.geometry)
    if _same_sizes(turned, image) and not turned.oriented:
        note = "says nothing about orientation: its image's is taken, voxel by voxel"
    elif turned.geometry.shape == image.geometry.shape and _apart(turned, image) <= _PLACE_TOLERANCE_MM:
        note = f"header differs from the image's by rounding ({difference}): the image's is taken"
    else:
        raise InputError(f"not on the grid of its image: {difference}", file=file, remedy=remedy)
    return replace(turned, geometry=image.geometry, oriented=image.oriented, repairs=(*turned.repairs, note))


def to_axial(volume: SourceVolume) -> SourceVolume:
    """The same voxels with axial slices first: axes permuted and flipped to LPS, nothing resampled.

    The axes are taken from the direction cosines, never from the index: KiTS stores its slices along the
    first axis of a NIfTI file, others along the last.

    Raises:
        InputError: the file does not say how the volume lies in the patient.
    """
    if not volume.oriented:
        raise InputError(
            "no orientation in the header, so the axial axis is unknown",
            file=volume.file,
            remedy="set the file's qform or sform, or take the file from the release again",
        )
    return with_axes(volume, "LPS", plane="axial")


def to_stack(volume: SourceVolume) -> SourceVolume:
    """The same voxels with the slices as they were acquired first: the axis along which voxels are thickest.

    Short-axis stacks of the heart are oblique, so the axial axis is not theirs. The file's own order stays where
    no axis is clearly thicker than the others, and the other two axes keep their order and direction.
    """
    thickest = thickest_axis(volume.geometry)
    if thickest in (None, 0):
        return volume
    others = [axis for axis in range(3) if axis != thickest]
    current = io_orientation(_ras_affine(volume.geometry))
    # Orientations count axes (x, y, z), arrays (z, y, x).
    wanted = current[[2 - axis for axis in reversed((thickest, *others))]]
    return _with_axes(volume, wanted, "the thickest axis first: it runs through the slices")


def thickest_axis(geometry: VolumeGeometry) -> int | None:
    """The axis of (z, y, x) along which voxels are thickest, None where they are too near to cubes to tell."""
    thinner, thickest = np.argsort(geometry.spacing)[1:]
    return int(thickest) if geometry.spacing[thickest] >= _THICKER * geometry.spacing[thinner] else None


def with_axes(volume: SourceVolume, code: str, *, plane: str) -> SourceVolume:
    """The same voxels with their axes permuted and flipped, nothing resampled.

    Args:
        volume: a volume that says how it lies in the patient.
        code: the directions of the patient that x, y and z run to, such as "LPS".
        plane: the plane whose slices come first then, for the repair's sentence.
    """
    return _with_axes(volume, axcodes2ornt(code), f"{code}: {plane} slices first")


def _read_nifti(path: Path) -> tuple[NDArray[Any], Any]:
    try:
        # An open file goes on where the last part ended; it would be unpacked from its beginning for every part.
        image: Any = nib.load(path, mmap=False, keep_file_open=True)
        voxels = _voxels(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(
            f"image cannot be read ({reason})",
            file=path,
            remedy="download or unpack it again; it may be truncated, or not what its suffix says",
        ) from error
    # Some writers count a single time point as a fourth axis.
    shape = voxels.shape[:3] if set(voxels.shape[3:]) <= {1} else voxels.shape
    if len(shape) != 3 or not np.issubdtype(voxels.dtype, np.number) or np.iscomplexobj(voxels):
        raise InputError(
            f"expected one 3D volume of numbers, got {voxels.dtype} of shape {voxels.shape}",
            file=path,
            remedy="split it into one 3D file a channel",
        )
    native = voxels.reshape(shape, order="F").astype(voxels.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native.T), image.header


def _voxels(stored: Any) -> NDArray[Any]:
    """The voxels (x, y, z, ...) of a NIfTI file as nibabel gives them; those of one volume narrowed if doubles."""
    if len(stored.shape) < 3 or set(stored.shape[3:]) > {1} or not all(stored.shape):
        return np.asarray(stored)
    one = (0,) * (len(stored.shape) - 3)
    if stored[(slice(1), slice(1), slice(1), *one)].dtype != np.float64:
        return np.asarray(stored)
    depth, height, width = stored.shape[2::-1]
    step = max(1, _VOXELS_AT_ONCE // (height * width))
    parts = (stored[(slice(None), slice(None), slice(z, z + step), *one)].T for z in range(0, depth, step))
    return narrow(parts, (depth, height, width)).T.reshape(stored.shape, order="F")


def _with_axes(volume: SourceVolume, wanted: NDArray[Any], name: str) -> SourceVolume:
    """The volume with its axes permuted and flipped to a nibabel orientation."""
    affine = _ras_affine(volume.geometry)
    current = io_orientation(affine)
    if np.array_equal(current, wanted):
        return volume
    transform = ornt_transform(current, wanted)
    voxels = apply_orientation(volume.voxels.T, transform)
    turned = _LPS_OF_RAS @ affine @ inv_ornt_aff(transform, volume.voxels.T.shape)
    sizes = np.linalg.norm(turned[:3, :3], axis=0)
    x, y, z = voxels.shape
    geometry = VolumeGeometry(
        shape=(z, y, x),
        spacing=(float(sizes[2]), float(sizes[1]), float(sizes[0])),
        origin=(float(turned[0, 3]), float(turned[1, 3]), float(turned[2, 3])),
        direction=tuple((turned[:3, :3] / sizes).ravel().tolist()),
    )
    note = f"axes {''.join(nib.orientations.ornt2axcodes(current))} {REORDERED} {name} (nothing resampled)"
    return replace(volume, voxels=voxels.T, geometry=geometry, repairs=(*volume.repairs, note))


def _ras_affine(geometry: VolumeGeometry) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = geometry.index_to_mm
    affine[:3, 3] = geometry.origin
    return _LPS_OF_RAS @ affine


def _same_sizes(first: SourceVolume, second: SourceVolume) -> bool:
    return first.geometry.shape == second.geometry.shape and np.allclose(
        first.geometry.spacing, second.geometry.spacing, rtol=1e-3
    )


def _apart(first: SourceVolume, second: SourceVolume) -> float:
    """The largest distance in mm between the same corner voxel of two grids of one shape."""
    corners = corner_voxels(first.geometry.shape)
    moved = first.geometry.voxel_to_lps(corners) - second.geometry.voxel_to_lps(corners)
    return float(np.linalg.norm(moved, axis=1).max())

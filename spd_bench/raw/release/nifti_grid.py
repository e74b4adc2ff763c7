"""The grid of a NIfTI header that may contradict itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import polar

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry

_Affine = NDArray[np.float64]

_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])
_SCANNER = 1
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_SIZE_TOLERANCE = 1e-3
_PLACE_TOLERANCE_MM = 0.1
# ITK takes direction cosines that are off by this much, and refuses a little more.
_COSINE_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class NiftiGrid:
    """What a NIfTI header says about the grid, after repair.

    Attributes:
        geometry: the grid.
        oriented: whether the header says at all how the volume lies in the patient.
        repairs: what was not taken as it stands and why, one sentence each.
    """

    geometry: VolumeGeometry
    oriented: bool
    repairs: tuple[str, ...]


def nifti_grid(header: Any, *, file: Path) -> NiftiGrid:
    """Decide on the grid of a three-dimensional NIfTI header.

    A sound header gives what ITK's reader gives (the sform where it is of the scanner or alone, else the qform).
    Where it contradicts itself:

    * sform and qform place the volume differently: as ITK, unless the sform is not a grid with the voxel size
      of ``pixdim``; the qform is then taken.
    * an sform alone whose voxel size is not that of ``pixdim``: whichever of them is not the placeholder of
      1 x 1 x 1 mm is right, ``pixdim`` where none is. EMIDEC and ACDC have an sform of 1 mm and the true size
      in ``pixdim`` alone (nnU-Net's issue 2741).
    * an sform alone that is not orthonormal, which ITK refuses: the nearest rotation, where it moves no voxel
      by more than half a voxel.
    * no orientation: index axes along LPS, origin 0, as ITK does.

    Args:
        header: a nibabel NIfTI header.
        file: the file it was read from, for messages.

    Raises:
        InputError: the header holds no grid, or one that no rotation comes near.
    """
    unit = header.get_xyzt_units()[0]
    mm = _MM_PER_UNIT.get(unit, 1.0)
    shape = tuple(int(size) for size in header.get_data_shape()[:3])
    zooms = np.asarray(header.get_zooms()[:3], dtype=np.float64) * mm
    sform, qform = (_in_mm(form, mm) for form in _forms(header, file))
    repairs = () if mm == 1.0 else (f"header counts in {unit}s: turned into mm",)
    chosen = _chosen(sform, qform, code=int(header["sform_code"]), zooms=zooms, shape=shape)
    if chosen is None:
        note = "header says nothing about orientation (qform and sform code 0): axes taken as stored, origin 0"
        geometry = _geometry(np.eye(3), zooms, np.zeros(3), shape, file)
        return NiftiGrid(geometry=geometry, oriented=False, repairs=(*repairs, note))
    affine, choice = chosen
    spacing, size_repairs = _spacing(affine, zooms, file)
    cosines, cosine_repairs = _rotation(affine, spacing, shape, file)
    return NiftiGrid(
        geometry=_geometry(_LPS_OF_RAS @ cosines, spacing, _LPS_OF_RAS @ affine[:3, 3], shape, file),
        oriented=True,
        repairs=(*repairs, *choice, *size_repairs, *cosine_repairs),
    )


def corner_voxels(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Indices (8, 3) of the corner voxels of a grid, axes in the order of ``shape``."""
    return np.array(list(product(*((0.0, size - 1.0) for size in shape))))


def _forms(header: Any, file: Path) -> tuple[_Affine | None, _Affine | None]:
    try:
        return header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except (ValueError, TypeError) as error:
        raise _no_grid(f"orientation cannot be read ({error})", file) from error


def _in_mm(form: _Affine | None, mm: float) -> _Affine | None:
    return None if form is None else np.diag([mm, mm, mm, 1.0]) @ np.asarray(form, dtype=np.float64)


def _chosen(
    sform: _Affine | None, qform: _Affine | None, *, code: int, zooms: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[_Affine, tuple[str, ...]] | None:
    """The transform that holds, with the reason where the other one contradicts it; None where there is none."""
    if sform is None:
        return None if qform is None else (qform, ())
    if qform is None:
        return sform, ()
    sound = _is_sound(sform, zooms)
    name, affine = ("sform", sform) if code == _SCANNER and sound else ("qform", qform)
    apart = float(np.linalg.norm(_homogeneous_corners(shape) @ (sform - qform).T, axis=1).max())
    if apart <= _PLACE_TOLERANCE_MM:
        return affine, ()
    reason = "as ITK does" if sound else "the sform is no grid of the size in pixdim"
    shown = f"up to {apart:.1f} mm apart" if np.isfinite(apart) else "differently"
    return affine, (f"qform and sform place the volume {shown}: {name} taken, {reason}",)


def _is_sound(affine: _Affine, zooms: NDArray[np.float64]) -> bool:
    cosines = affine[:3, :3] / zooms
    return bool(np.isfinite(affine).all() and np.allclose(cosines.T @ cosines, np.eye(3), atol=_SIZE_TOLERANCE))


def _spacing(affine: _Affine, zooms: NDArray[np.float64], file: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and sizes.all()):
        raise _no_grid("affine holds NaN, infinity or an axis of length 0", file)
    if np.allclose(sizes, zooms, rtol=_SIZE_TOLERANCE):
        return zooms, ()
    said = f"affine says {_shown(sizes)} mm but pixdim {_shown(zooms)} mm"
    if np.array_equal(zooms, np.ones(3)):
        return sizes, (f"{said}: the affine's voxel size taken (1 mm is what pixdim holds when nobody set it)",)
    return zooms, (f"{said}: affine rebuilt with the voxel size of pixdim",)


def _rotation(
    affine: _Affine, spacing: NDArray[np.float64], shape: tuple[int, ...], file: Path
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The direction cosines, or the orthonormal matrix nearest to them."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    nearest = np.asarray(polar(cosines)[0])
    if np.abs(nearest - cosines).max() <= _COSINE_TOLERANCE:
        return nearest, ()
    difference = np.eye(4)
    difference[:3, :3] = (nearest - cosines) * spacing
    moved = float(np.linalg.norm((_homogeneous_corners(shape) @ difference.T)[:, :3], axis=1).max())
    if moved > spacing.min() / 2:
        raise _no_grid(f"axes are not orthogonal: the nearest rotation moves voxels by {moved:.2f} mm", file)
    return nearest, (
        f"axes not quite orthogonal: nearest rotation taken, which moves voxels by {moved:.2g} mm at most",
    )


def _homogeneous_corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Homogeneous indices (8, 4: x y z 1) of the corner voxels."""
    return np.concatenate([corner_voxels(shape), np.ones((8, 1))], axis=1)


def _geometry(
    direction: NDArray[np.float64],
    spacing: NDArray[np.float64],
    origin: NDArray[np.float64],
    shape: tuple[int, ...],
    file: Path,
) -> VolumeGeometry:
    x, y, z = shape
    sx, sy, sz = spacing.tolist()
    ox, oy, oz = (origin + 0.0).tolist()
    try:
        return VolumeGeometry(
            shape=(z, y, x),
            spacing=(sz, sy, sx),
            origin=(ox, oy, oz),
            direction=tuple((direction + 0.0).ravel().tolist()),
        )
    except ValueError as error:
        raise _no_grid(str(error), file) from error


def _shown(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{value:g}" for value in sizes)


def _no_grid(what: str, file: Path) -> InputError:
    return InputError(what, file=file, remedy="correct the header, or export the volume again")

"""A volume that was acquired in a known plane, with its slices first."""

from __future__ import annotations

import numpy as np

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.source_volumes import SourceVolume, thickest_axis, to_stack, with_axes

# The patient's axis (of x, y, z in LPS) across each plane, and the order of axes that puts it last in x, y, z.
_PLANES = {"sagittal": (0, "PIR"), "coronal": (1, "LIP"), "axial": (2, "LPS")}
_PATIENT_AXES = ("left to right", "front to back", "foot to head")


def slices_first(volume: SourceVolume, *, plane: str) -> SourceVolume:
    """The same voxels with the slices of ``plane`` along the first array axis; nothing is resampled.

    The slices lie across the axis along which voxels are clearly thickest and, where voxels are near to cubes,
    across the axis nearest to the normal of the plane. A volume whose slices come first already keeps its
    orientation as it is stored; one that says nothing about orientation goes by its voxels' size alone.

    Args:
        volume: the volume.
        plane: "axial", "coronal" or "sagittal": what its name says.

    Raises:
        InputError: the slices run along another axis of the patient than those of ``plane``.
    """
    if not volume.oriented:
        return to_stack(volume)
    normal, code = _PLANES[plane]
    axis = _slice_axis(volume.geometry, normal)
    along = int(np.argmax(np.abs(np.reshape(volume.geometry.direction, (3, 3))[:, 2 - axis])))
    if along != normal:
        raise InputError(
            f"named {plane}, but its slices ({volume.geometry.spacing[axis]:g} mm thick) run {_PATIENT_AXES[along]}",
            file=volume.file,
            remedy="correct its name, or its header if that lost the orientation",
        )
    if axis == 0:
        return volume
    return with_axes(volume, code, plane=plane)


def _slice_axis(geometry: VolumeGeometry, normal: int) -> int:
    """The axis of (z, y, x) across the slices."""
    thickest = thickest_axis(geometry)
    if thickest is not None:
        return thickest
    return 2 - int(np.argmax(np.abs(np.reshape(geometry.direction, (3, 3))[normal])))

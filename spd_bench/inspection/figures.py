"""The figures of one case, computed from its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.inspection.duplicates import VoxelHashes
from spd_bench.models.prompt_quality import PromptQuality, prompt_quality
from spd_bench.planning.grid import resize_masks
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import is_plane


@dataclass(frozen=True, kw_only=True)
class TargetFigures:
    """The target of one volume.

    Attributes:
        slices: number of slices.
        target_slices: those with target.
        millilitres: volume of the target; None for a 2D image, which has none.
        largest_slice: the first slice with the most target; None where there is no target.
        lost_slices: target slices that are left with less than one pixel, or none, after resizing.
        slice_shape: rows and columns of a slice.
    """

    slices: int
    target_slices: int
    millilitres: float | None
    largest_slice: int | None
    lost_slices: int
    slice_shape: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PointFigures:
    """The points of one volume.

    Attributes:
        quality: points, slices with target, slices with points, and how they meet.
        per_slice: number of points on each slice that has any.
        provenance: what the prompt file says of its origin.
    """

    quality: PromptQuality
    per_slice: tuple[int, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CaseFigures:
    """Everything that is told of one case.

    Attributes:
        hashes: the case's id, patient, fold and voxel hashes.
        geometry: the grid of its image.
        codes: axis codes, see :func:`spd_bench.inspection.orientation.axis_codes`.
        obliquity: angle in degrees to the patient's axes.
        label_values: values that the label map holds.
        target: figures of the target.
        points: figures of the points; None where the case has no prompt file.
        intensities: (minimum, maximum) of each channel.
        contradiction: the voxel sizes (x, y, z) in a NIfTI file's pixdim and in its affine where these differ,
            else None.
    """

    hashes: VoxelHashes
    geometry: VolumeGeometry
    codes: str
    obliquity: float
    label_values: tuple[int, ...]
    target: TargetFigures
    points: PointFigures | None
    intensities: tuple[tuple[float, float], ...]
    contradiction: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def case(self) -> str:
        """The case's id."""
        return self.hashes.case


def target_figures(
    mask: NDArray[np.bool_], geometry: VolumeGeometry, *, slice_axis: int, resolution: int
) -> TargetFigures:
    """Figures of a target.

    Args:
        mask: the target (z, y, x).
        geometry: the mask's grid.
        slice_axis: the axis of (z, y, x) that runs through the slices.
        resolution: side in pixels of the square slices that training resizes to.
    """
    stack = np.moveaxis(mask, slice_axis, 0)
    pixels = np.count_nonzero(stack, axis=(1, 2))
    with_target = np.flatnonzero(pixels)
    rows, columns = stack.shape[1:]
    resized_area = pixels[with_target] * (resolution / rows) * (resolution / columns)
    # One slice at a time: a whole volume at the training resolution would not fit beside the image.
    survives = [resize_masks(stack[index], (resolution, resolution)).any() for index in with_target]
    return TargetFigures(
        slices=len(stack),
        target_slices=len(with_target),
        millilitres=None if is_plane(geometry) else float(pixels.sum() * np.prod(geometry.spacing) / 1000),
        largest_slice=int(pixels.argmax()) if len(with_target) else None,
        lost_slices=int(np.count_nonzero((resized_area < 1) | ~np.array(survives, dtype=bool))),
        slice_shape=(rows, columns),
    )


def point_figures(
    mask: NDArray[np.bool_], voxels: NDArray[np.int64], *, slice_axis: int, provenance: Mapping[str, Any]
) -> PointFigures:
    """Figures of points (N, 3: z y x) beside the target they mean (z, y, x)."""
    stack = np.moveaxis(mask, slice_axis, 0)
    points = on_slices(voxels, slice_axis)
    by_slice = [points[points[:, 0] == index][:, [2, 1]] for index in range(len(stack))]
    return PointFigures(
        quality=prompt_quality(by_slice, stack),
        per_slice=tuple(len(found) for found in by_slice if len(found)),
        provenance=provenance,
    )


def on_slices(voxels: NDArray[np.int64], slice_axis: int) -> NDArray[np.int64]:
    """Voxels (N, 3: z y x) as (slice, row, column); the two axes within a slice keep their order."""
    return voxels[:, [slice_axis, *(axis for axis in range(3) if axis != slice_axis)]]

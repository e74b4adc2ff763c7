"""Between a volume's own grid and square slices of a fixed size, and back.

Pixel centres are what is mapped: column x of a slice W pixels wide lies at (x + 0.5) * R / W - 0.5 of the
resized slice. Images are resampled bilinearly (with antialiasing when they shrink), masks by nearest
neighbour, so that a mask that was enlarged comes back unchanged. Logits go back bilinearly without
antialiasing, as SAM and nnU-Net do it: antialiasing would shave thin targets and corners off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

# Pixels that are worked on at once: they fit into a core's cache, and copies of a whole volume are never made.
_PIXELS_AT_ONCE = 2**18


def resize_images(slices: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize image slices (..., H, W) bilinearly to ``size`` (rows, columns), antialiased where they shrink."""
    return _bilinear(slices, size, antialias=True)


def resize_masks(slices: NDArray[np.integer], size: tuple[int, int]) -> NDArray[np.int16]:
    """Resize label slices (..., H, W) to ``size`` (rows, columns) by nearest neighbour."""
    height, width = slices.shape[-2:]
    rows = nearest_indices(size[0], height)
    columns = nearest_indices(size[1], width)
    return np.ascontiguousarray(slices[..., rows[:, None], columns[None, :]].astype(np.int16))


def nearest_indices(length: int, source_length: int) -> NDArray[np.int64]:
    """For each of ``length`` target pixels the source pixel that holds its centre."""
    centres = (np.arange(length) + 0.5) * source_length / length
    return np.minimum(centres.astype(np.int64), source_length - 1)


def points_on_slices(
    voxels: NDArray[np.integer], *, shape: Sequence[int], transpose: Sequence[int], resolution: int
) -> list[NDArray[np.int64]]:
    """Sort voxel points into slices and map them to the resized slices.

    Args:
        voxels: integer array (N, 3), (z, y, x) on the volume's own grid.
        shape: the volume's own shape (z, y, x).
        transpose: the axis order of the planned arrays (nnU-Net's ``transpose_forward``); its first
            axis runs through the slices.
        resolution: side of the resized slices in pixels.

    Returns:
        For each slice the distinct points (N_i, 2) as integer (x, y) = (column, row), sorted.
    """
    ordered = np.asarray(voxels, dtype=np.int64).reshape(-1, 3)[:, list(transpose)]
    depth, height, width = (shape[axis] for axis in transpose)
    x = resized_index(ordered[:, 2], width, resolution)
    y = resized_index(ordered[:, 1], height, resolution)
    pixels = np.stack([x, y], axis=1)
    return [np.unique(pixels[ordered[:, 0] == index], axis=0).reshape(-1, 2) for index in range(depth)]


def resized_index(index: NDArray[np.integer], length: int, resolution: int) -> NDArray[np.int64]:
    """The pixel of a slice ``resolution`` pixels long that holds the centre of pixel ``index`` of ``length``."""
    return np.minimum(((index + 0.5) * resolution / length).astype(np.int64), resolution - 1)


def voxels_of_points(
    points: Sequence[NDArray[np.integer]], *, shape: Sequence[int], transpose: Sequence[int], resolution: int
) -> NDArray[np.int64]:
    """The reverse of :func:`points_on_slices`: voxels (N, 3: z y x) on the volume's own grid."""
    _, height, width = (shape[axis] for axis in transpose)
    rows = []
    for index, slice_points in enumerate(points):
        for x, y in np.asarray(slice_points, dtype=np.int64).reshape(-1, 2):
            row = min(int((y + 0.5) * height / resolution), height - 1)
            column = min(int((x + 0.5) * width / resolution), width - 1)
            rows.append((index, row, column))
    planned = np.asarray(rows, dtype=np.int64).reshape(-1, 3)
    voxels = np.empty_like(planned)
    voxels[:, list(transpose)] = planned
    return voxels


def masks_on_own_grid(
    logits: NDArray[np.floating], *, shape: Sequence[int], transpose: Sequence[int], threshold: float = 0.0
) -> NDArray[np.uint8]:
    """Bring logits on resized slices back to the volume's own grid as a binary mask.

    Args:
        logits: float array (Z, R, R) in the planned axis order.
        shape: the volume's own shape (z, y, x).
        transpose: nnU-Net's ``transpose_forward``.
        threshold: logits above it are target.

    Returns:
        uint8 mask with ``shape``.
    """
    mask = np.empty(tuple(shape), np.uint8)
    planned = mask.transpose(transpose)
    for part in slice_runs(logits.shape):
        planned[part] = _bilinear(logits[part], planned.shape[1:], antialias=False) > threshold
    return mask


def slice_runs(shape: Sequence[int]) -> list[slice]:
    """Runs of slices (Z, H, W) that are small enough to be copied: one slice, or several of few pixels."""
    depth, height, width = shape
    step = max(1, _PIXELS_AT_ONCE // (height * width))
    return [slice(start, min(start + step, depth)) for start in range(0, depth, step)]


def _bilinear(slices: NDArray[np.floating], size: Sequence[int], *, antialias: bool) -> NDArray[np.float32]:
    stack = slices.reshape(-1, *slices.shape[-2:])
    resized = np.empty((len(stack), *size), np.float32)
    for part in slice_runs(stack.shape):
        # Slices may come as a read-only view, which PyTorch does not know.
        tensor = torch.from_numpy(np.require(stack[part], np.float32, ["C", "W"]))[:, None]
        resized[part] = functional.interpolate(
            tensor, size=tuple(size), mode="bilinear", align_corners=False, antialias=antialias
        )[:, 0].numpy()
    return resized.reshape(*slices.shape[:-2], *size)

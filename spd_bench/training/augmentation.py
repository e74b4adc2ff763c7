"""Random rotation and horizontal flip of slices together with their masks and points.

Randomness (:func:`draw_augmentation`) is apart from its application (:func:`augment_slices`), so that a
window's slices share one transform and every transform can be repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spd_bench.training.settings import TrainingSettings

_DARKEST = -1.0


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Rotation by ``degrees`` about the centre of the slice after an optional mirroring of columns."""

    degrees: float = 0.0
    flip: bool = False

    @property
    def matrix(self) -> NDArray[np.float64]:
        """2x2 matrix from the output's to the input's coordinates, (x, y) about the centre."""
        angle = math.radians(self.degrees)
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return np.diag([-1.0 if self.flip else 1.0, 1.0]) @ rotation


def draw_augmentation(generator: np.random.Generator, settings: TrainingSettings) -> Augmentation:
    """Draw one augmentation."""
    degrees = float(generator.uniform(-settings.rotation_degrees, settings.rotation_degrees))
    return Augmentation(degrees=degrees, flip=bool(generator.random() < settings.flip_probability))


def augment_slices(
    images: Tensor, masks: Tensor, points: list[NDArray[np.int64]], augmentation: Augmentation
) -> tuple[Tensor, Tensor, list[NDArray[np.int64]]]:
    """Apply one augmentation to consecutive slices.

    Args:
        images: (N, C, R, R) in [-1, 1]; what turns in from outside is filled with -1.
        masks: (N, R, R), float, 0 or 1.
        points: for each slice (N_i, 2) integer (x, y); points that turn out of the slice are dropped.
        augmentation: the transform.
    """
    count, _, size, _ = images.shape
    theta = torch.zeros(count, 2, 3)
    theta[:, :, :2] = torch.from_numpy(augmentation.matrix).float()
    grid = functional.affine_grid(theta, [count, 1, size, size], align_corners=False)
    shifted = functional.grid_sample(images - _DARKEST, grid, mode="bilinear", align_corners=False)
    turned = functional.grid_sample(masks[:, None], grid, mode="nearest", align_corners=False)[:, 0]
    moved = [move_points(slice_points, augmentation, size) for slice_points in points]
    return shifted + _DARKEST, turned, moved


def move_points(points: NDArray[np.int64], augmentation: Augmentation, size: int) -> NDArray[np.int64]:
    """Where integer (x, y) points (N, 2) lie after the augmentation of a slice ``size`` pixels wide."""
    centre = (size - 1) / 2
    offsets = (points.reshape(-1, 2) - centre) @ np.linalg.inv(augmentation.matrix).T
    moved = np.rint(offsets + centre).astype(np.int64)
    inside = ((moved >= 0) & (moved < size)).all(axis=1)
    return np.unique(moved[inside], axis=0).reshape(-1, 2)

"""Smooth random fields, blurs and pixel grids, all as products of small matrices, because scenes must be cheap."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""A picture of real numbers, shape (side, side), indexed [y, x]."""


@lru_cache(maxsize=64)
def pixel_grid(side: int) -> tuple[Field, Field]:
    """Coordinates (x, y) of the pixels' indices, shapes (1, side) and (side, 1), read-only."""
    line = np.arange(side, dtype=np.float32)
    line.flags.writeable = False
    return line[None, :], line[:, None]


def smooth_noise(random: np.random.Generator, side: int, scale: float) -> Field:
    """Noise of about unit deviation whose features are ``scale`` pixels wide.

    White noise on a coarse grid, enlarged by Gaussian interpolation.
    """
    knots = int(np.clip(round(side / scale), 2, side))
    matrix = _enlarging_matrix(side, knots)
    knot_values = random.standard_normal((knots + 2, knots + 2), dtype=np.float32)
    return np.asarray(matrix @ knot_values @ matrix.T, dtype=np.float32)


def blurred(field: Field, sigma: float) -> Field:
    """Gaussian blur of deviation ``sigma`` pixels (rounded to tenths), reflecting at the border."""
    matrix = _blurring_matrix(len(field), max(1, round(sigma * 10)))
    return np.asarray(matrix @ field @ matrix.T, dtype=np.float32)


@lru_cache(maxsize=512)
def _enlarging_matrix(side: int, knots: int) -> Field:
    """(side, knots + 2): weights of the coarse grid's points, one of them beyond each end, of unit norm."""
    step = side / knots
    positions = (np.arange(side) + 0.5) / step
    centres = np.arange(-0.5, knots + 1)
    weights = np.exp(-np.square(positions[:, None] - centres[None, :]) / (2 * 0.6**2))
    normalised: Field = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    return normalised


@lru_cache(maxsize=512)
def _blurring_matrix(side: int, tenths: int) -> Field:
    sigma = tenths / 10
    positions = np.arange(side)
    weights = np.zeros((side, side))
    for image in (positions, -1 - positions, 2 * side - 1 - positions):
        weights += np.exp(-np.square(positions[:, None] - image[None, :]) / (2 * sigma**2))
    normalised: Field = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised

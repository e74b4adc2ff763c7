"""Smooth random fields: the irregularity of organs, tissue texture and receive coils."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from spd_bench.phantoms.grid import Grid

# Root of the integral of a cubic B-spline's square: the standard deviation of a field of unit coefficients.
_SPLINE_RMS = np.sqrt(151 / 315)


def smooth_field(rng: np.random.Generator, grid: Grid, *, scale: tuple[float, float, float]) -> NDArray[np.float32]:
    """A random field of about zero mean and unit standard deviation that varies over ``scale`` mm.

    A cubic B-spline with normal coefficients on a coarse lattice. The lattice depends on the field
    of view alone, so the field of one seed is the same at every resolution.

    Args:
        rng: source of the coefficients.
        grid: where the field is wanted.
        scale: lattice spacing in mm along (z, y, x).

    Returns:
        float32 array of the grid's shape.
    """
    weights = [
        _spline_weights(count=count, extent=count * step, scale=length)
        for count, step, length in zip(grid.shape, grid.spacing, scale, strict=True)
    ]
    depth, height, width = (weight.shape[1] for weight in weights)
    field = rng.standard_normal((depth, height, width)).astype(np.float32)
    for weight in weights[::-1]:
        # Each pass interpolates the last axis and brings the next one into its place.
        field = np.moveaxis(field @ weight.T, -1, 0)
    return np.ascontiguousarray(field)


def _spline_weights(*, count: int, extent: float, scale: float) -> NDArray[np.float32]:
    """Weights (count, coefficients) of one axis, scaled so that a field of unit coefficients has unit variance."""
    pieces = max(1, int(np.ceil(round(extent / scale, 6))))
    knots = np.arange(-3.0, pieces + 4.0)
    centres = (np.arange(count) + 0.5) * (pieces / count)
    weights = BSpline.design_matrix(centres, knots, 3).toarray()
    return np.asarray(weights / _SPLINE_RMS, dtype=np.float32)

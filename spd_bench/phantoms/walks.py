"""Courses through the body: confined random walks (bowel) and splines through landmarks (colon)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

_PROPOSALS = 8


@dataclass(frozen=True, kw_only=True)
class WalkSettings:
    """How a random walk moves.

    Attributes:
        centre: middle (x, y, z) in mm of the ellipsoid that holds the walk.
        radii: half axes (x, y, z) in mm of that ellipsoid.
        step: length of a step in mm.
        turn: standard deviation of the change of heading a step (of a unit vector).
        clearance: distance in mm to earlier courses below which a step costs.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    step: float = 5.0
    turn: float = 0.45
    clearance: float = 18.0

    def __post_init__(self) -> None:
        for name in ("step", "turn", "clearance"):
            if getattr(self, name) <= 0:
                msg = f"{name} must be positive, got {getattr(self, name)}"
                raise ValueError(msg)


def random_walk(
    rng: np.random.Generator,
    *,
    start: ArrayLike,
    heading: ArrayLike,
    length: float,
    settings: WalkSettings,
    obstacles: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A winding course that stays in a region and keeps away from others and from itself.

    Each step takes the best of a few random headings, so courses pack side by side like bowel
    loops instead of running through one another.

    Args:
        rng: source of the headings.
        start: first point (x, y, z) in mm.
        heading: first direction (x, y, z).
        length: length of the course in mm.
        settings: region, step and stiffness.
        obstacles: points (M, 3) in mm of the courses that are already there.

    Returns:
        Points (N, 3: x y z) in mm, ``settings.step`` apart, the first at ``start``.
    """
    count = max(2, round(length / settings.step))
    points = np.empty((count + 1, 3))
    points[0] = start
    direction = _unit(np.asarray(heading, dtype=np.float64))
    # The own tail is an obstacle too, but not the part that is necessarily near.
    skipped = int(np.ceil(1.5 * settings.clearance / settings.step))
    for index in range(count):
        proposals = _unit(direction + settings.turn * rng.standard_normal((_PROPOSALS, 3)))
        ends = points[index] + settings.step * proposals
        around = np.concatenate([obstacles, points[: max(index - skipped, 0)]])
        best = int(np.argmin(_cost(ends, around, settings)))
        direction = proposals[best]
        points[index + 1] = ends[best]
    return points


def spline_course(landmarks: ArrayLike, *, step: float) -> NDArray[np.float64]:
    """A smooth course through landmarks (K, 3: x y z, mm), resampled to points about ``step`` mm apart."""
    knots = np.asarray(landmarks, dtype=np.float64)
    spans = np.linalg.norm(np.diff(knots, axis=0), axis=1)
    # Centripetal knots keep the spline from looping between landmarks of unequal spacing.
    parameter = np.concatenate([[0.0], np.cumsum(np.sqrt(spans))])
    curve = CubicSpline(parameter, knots)(np.linspace(0, parameter[-1], 40 * len(knots)))
    return resample_course(curve, step=step)


def resample_course(points: NDArray[np.float64], *, step: float) -> NDArray[np.float64]:
    """The same course with points evenly spaced, about ``step`` mm apart, both ends kept."""
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    stations = np.linspace(0, travelled[-1], max(2, round(travelled[-1] / step) + 1))
    return np.stack([np.interp(stations, travelled, axis) for axis in points.T], axis=1)


def _cost(ends: NDArray[np.float64], around: NDArray[np.float64], settings: WalkSettings) -> NDArray[np.float64]:
    """What speaks against each end point: being too near to another course, being outside the region."""
    level = np.linalg.norm((ends - settings.centre) / np.asarray(settings.radii), axis=1)
    cost = 6.0 * np.maximum(level - 0.9, 0)
    if len(around):
        nearest = np.sqrt(((ends[:, None] - around[None]) ** 2).sum(axis=2).min(axis=1))
        cost += np.maximum(1 - nearest / settings.clearance, 0)
    return np.asarray(cost)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (..., 3) scaled to length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))

"""A reader's whole-bowel trace, and the part of it that is taken for the terminal ileum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.walks import resample_course

_FULL_SIZE_PIXEL = 0.742


@dataclass(frozen=True, kw_only=True)
class TraceSettings:
    """How a trace becomes noisy prompts.

    The readers' traces were drawn for another purpose: one course runs from the terminal ileum on
    through the colon, and the first fifth of its points is taken for the terminal ileum.

    Attributes:
        severity: scales every fault below; 0 is a clean trace of the whole target, 1 the default.
        target_share: range of the target's true share of the trace's points.
        taken_share: share of the points that is taken for the target at severity 1.
        least_taken: least part of the target's own points that is always taken.
        spacing_mm: range of the distance between two points of the trace.
        drift_radii: standard deviation of the in-plane drift along x and y, in radii of the target.
        drift_length_mm: distance along the trace over which the drift persists.
        jitter_pixels: range of the standard deviation of the in-plane jitter, in 0.74 mm pixels.
        slice_drift: standard deviation of the drift across slices, in slices.
        slice_jitter: standard deviation of the jitter across slices, in slices.
    """

    severity: float = 1.0
    target_share: tuple[float, float] = (0.12, 0.32)
    taken_share: float = 0.20
    least_taken: float = 0.3
    spacing_mm: tuple[float, float] = (4.0, 6.5)
    drift_radii: float = 0.65
    drift_length_mm: float = 25.0
    jitter_pixels: tuple[float, float] = (1.0, 3.0)
    slice_drift: float = 0.6
    slice_jitter: float = 0.45

    def __post_init__(self) -> None:
        for name in ("severity", "drift_radii", "slice_drift", "slice_jitter"):
            if not getattr(self, name) >= 0:
                msg = f"{name} must not be negative, got {getattr(self, name)}"
                raise ValueError(msg)
        for name in ("drift_length_mm", "taken_share"):
            if not getattr(self, name) > 0:
                msg = f"{name} must be positive, got {getattr(self, name)}"
                raise ValueError(msg)


def noisy_trace_points(
    rng: np.random.Generator,
    grid: Grid,
    *,
    target: NDArray[np.float64],
    onward: NDArray[np.float64],
    radius: float,
    settings: TraceSettings,
) -> NDArray[np.float64]:
    """The points of a trace that a reader hands over as prompts.

    Args:
        rng: source of the noise; the same draws serve every severity.
        grid: the volume; a point belongs to one of its slices, as in the tracing software.
        target: course of the target (N, 3: x y z, mm), in the direction of tracing.
        onward: course of what the trace runs into (M, 3: x y z, mm).
        radius: mean radius of the target in mm.
        settings: the faults.

    Returns:
        Points (P, 3: x y z) in mm inside the volume, z on the centre of a slice.
    """
    spacing = rng.uniform(*settings.spacing_mm)
    share = rng.uniform(*settings.target_share)
    jitter_mm = rng.uniform(*settings.jitter_pixels) * _FULL_SIZE_PIXEL
    own, beyond = resample_course(target, step=spacing), resample_course(onward, step=spacing)
    course = np.concatenate([own, beyond[1:]])
    drift = _drift(rng, len(course), persistence=float(np.exp(-spacing / settings.drift_length_mm)))
    jitter = rng.standard_normal((len(course), 3))

    # Divided first, so that at severity 0 the part is exactly 1 and not a rounding error more.
    part = max(share + settings.severity * (settings.taken_share - share), settings.least_taken * share) / share
    count = min(int(np.ceil(len(own) * part)), len(course))
    points = course[:count].copy()
    in_plane = settings.drift_radii * radius * drift[:count, :2] + jitter_mm * jitter[:count, :2]
    across = settings.slice_drift * drift[:count, 2] + settings.slice_jitter * jitter[:count, 2]
    points[:, :2] += settings.severity * in_plane
    points[:, 2] = _slice_centres(grid, points[:, 2], settings.severity * across)
    return points[grid.geometry.contains(grid.geometry.lps_to_voxel(points))]


def _drift(rng: np.random.Generator, count: int, *, persistence: float) -> NDArray[np.float64]:
    """Drift (count, 3: x y z) of unit variance: an autoregressive process along the trace."""
    drift = rng.standard_normal((count, 3))
    for index in range(1, count):
        drift[index] = persistence * drift[index - 1] + np.sqrt(1 - persistence**2) * drift[index]
    return drift


def _slice_centres(grid: Grid, z: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in mm of the slices that hold ``z``, moved by ``offset`` slices."""
    depth, step = grid.shape[0], grid.spacing[0]
    middle = (depth - 1) / 2
    return np.asarray((np.rint(z / step + middle + offset) - middle) * step)

"""HD95, average surface distance and normalised surface Dice, from the distances between two surfaces.

Conventions; others differ by 3-6 % on the same masks, so every table names its own:

* HD95 "pooled" (the default; ``medpy.metric.hd95``) is the 95th percentile of both directed sets of distances in one,
  linearly interpolated;
* HD95 "max" (MONAI; surface-distance, up to its weighting of the surface) is the larger of the 95th percentiles of
  the two directed sets;
* ASD is the symmetric one, the mean of both sets in one. medpy calls it ``assd``; what medpy calls ``asd`` is the
  mean of one directed set and is not used;
* NSD at a tolerance (Nikolov et al., arXiv 1809.04430) is the share of surface voxels of both masks that lie within
  the tolerance of the other surface. Surface voxels are counted, as in MONAI; surface-distance weights them by the
  area of a mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spd_bench.evaluation.surface_distances import SurfaceDistances, surface_distances

HD_PERCENTILE = 95
_ROUNDING_MM = 1e-6
"""A spacing read from a file of single precision makes 10 voxels of 0.1 mm a little more than 1 mm."""


class SurfaceScores(NamedTuple):
    """Surface distances of two masks in mm; NaN where one of them is empty."""

    hd95_mm: float
    asd_mm: float


def surface_scores(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: Sequence[float], *, hd95: str = "pooled"
) -> SurfaceScores:
    """HD95 and symmetric average surface distance of two masks.

    Args:
        reference: boolean mask, two- or three-dimensional.
        prediction: boolean mask of the same shape.
        spacing: pixel size in mm along each axis of the arrays.
        hd95: convention of HD95, a key of :data:`HD95_CONVENTIONS`.

    Returns:
        Both distances in mm, NaN where one mask or both are empty.

    Raises:
        ValueError: shapes or the length of ``spacing`` do not fit.
    """
    return scores_of(surface_distances(reference, prediction, spacing), hd95=hd95)


def scores_of(distances: SurfaceDistances | None, *, hd95: str = "pooled") -> SurfaceScores:
    """HD95 and ASD of distances that are known already; NaN where there are none."""
    if distances is None:
        return SurfaceScores(np.nan, np.nan)
    return SurfaceScores(HD95_CONVENTIONS[hd95](distances), float(distances.pooled.mean()))


def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    """Normalised surface Dice of two non-empty masks at a tolerance in mm, in 0..1."""
    return float(np.mean(distances.pooled <= tolerance + _ROUNDING_MM))


def _pooled(distances: SurfaceDistances) -> float:
    return float(np.percentile(distances.pooled, HD_PERCENTILE))


def _larger(distances: SurfaceDistances) -> float:
    return max(float(np.percentile(directed, HD_PERCENTILE)) for directed in distances)


HD95_CONVENTIONS: Mapping[str, Callable[[SurfaceDistances], float]] = {"pooled": _pooled, "max": _larger}

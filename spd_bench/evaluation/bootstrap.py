"""Confidence intervals of means by bootstrap over patients.

Slices of one patient are not independent, so whole patients are drawn with replacement and the mean over all
slices (or volumes) of the drawn patients is taken again: the cluster bootstrap, percentile interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """How confidence intervals are drawn.

    Attributes:
        resamples: number of draws.
        confidence: level of the interval, in (0, 1).
        seed: seed of the draws; the same seed gives the same interval.
    """

    resamples: int = 5000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1:
            msg = f"resamples must be at least 1, got {self.resamples}"
            raise ValueError(msg)
        if not 0 < self.confidence < 1:
            msg = f"confidence must lie between 0 and 1, got {self.confidence}"
            raise ValueError(msg)


DEFAULT_SETTINGS = BootstrapSettings()


def drawn_means(
    sums: NDArray[np.float64], counts: NDArray[np.int64], settings: BootstrapSettings
) -> NDArray[np.float64]:
    """Pooled means of patients drawn with replacement, as many as there are.

    Args:
        sums: float array (patients, columns), as for :func:`bootstrap_intervals`.
        counts: int array (patients, columns).
        settings: draws and seed; the same patients are drawn for every column.

    Returns:
        Float array (resamples, columns), NaN where no drawn patient has a value.
    """
    patients = len(sums)
    rng = np.random.default_rng(settings.seed)
    draws = rng.multinomial(patients, np.full(patients, 1 / patients), size=settings.resamples)
    # Products of floats are a library's, those of integers a loop.
    drawn = draws.astype(np.float64)
    drawn_counts = drawn @ counts
    return np.asarray((drawn @ sums) / np.where(drawn_counts == 0, np.nan, drawn_counts))


def bootstrap_intervals(
    sums: NDArray[np.float64], counts: NDArray[np.int64], settings: BootstrapSettings
) -> NDArray[np.float64]:
    """Confidence intervals of pooled means, patients drawn with replacement.

    Args:
        sums: float array (patients, metrics), the sum of a metric's values of each patient.
        counts: int array (patients, metrics), how many values each sum holds; 0 where a patient has none.
        settings: draws, level and seed.

    Returns:
        Float array (metrics, 2) of lower and upper bounds. NaN where fewer than two patients have a value:
        one patient says nothing about others. Draws in which no patient has a value are left out.
    """
    bounds = np.full((sums.shape[1], 2), np.nan)
    enough = np.count_nonzero(counts, axis=0) >= 2
    if not enough.any():
        return bounds
    means = drawn_means(sums[:, enough], counts[:, enough], settings)
    tail = (1 - settings.confidence) / 2
    bounds[enough] = np.nanquantile(means, [tail, 1 - tail], axis=0).T
    return bounds

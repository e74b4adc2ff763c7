"""Dice of volumes: foreground slices beside the whole, and intervals over patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, bootstrap_intervals


def with_foreground_dice(volumes: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``volumes.csv`` with ``foreground_dice``, the mean over each volume's slices with target (else NaN)."""
    foreground = slices[slices["reference_pixels"] > 0].groupby(["method", "case"])["dice"].mean()
    return volumes.join(foreground.rename("foreground_dice"), on=["method", "case"])


def patient_interval(values: pd.Series[float], patients: pd.Series[str]) -> tuple[float, float]:
    """95 % interval of the mean of values, from a bootstrap over patients.

    Args:
        values: one a volume, NaN left out.
        patients: the patient of each, under the same index.
    """
    grouped = values.groupby(patients)
    sums = np.asarray(grouped.sum(), np.float64)[:, None]
    counts = np.asarray(grouped.count(), np.int64)[:, None]
    low, high = bootstrap_intervals(sums, counts, DEFAULT_SETTINGS)[0]
    return float(low), float(high)

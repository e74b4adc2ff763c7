"""The metrics of ``summary.csv`` and ``significance.csv``, and which values of the frames each one stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

KEYS = ("fold", "case", "slice")
"""The columns that tell the values of one method on one dataset apart."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: its name in ``summary.csv``.
        column: the column of its values.
        of_slices: whether the values are those of slices (``slices.csv``) or of volumes (``volumes.csv``).
        foreground_only: whether only slices with a target in the reference count.
        larger_is_better: False for distances.
    """

    name: str
    column: str
    of_slices: bool = False
    foreground_only: bool = False
    larger_is_better: bool = True

    def values(self, slices: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame | None:
        """The rows that have a value.

        Args:
            slices: rows of ``slices.csv``.
            volumes: rows of ``volumes.csv``.

        Returns:
            Frame with the key columns that the rows have and ``value``; None where an older file lacks the column.
        """
        frame = slices if self.of_slices else volumes
        if self.column not in frame.columns:
            return None
        if self.foreground_only:
            frame = frame[frame["reference_pixels"] > 0]
        keys = [name for name in ("method", *KEYS) if name in frame.columns]
        return frame[keys].assign(value=frame[self.column].astype(float)).dropna(subset="value")


def _registry(metrics: Sequence[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: Mapping[str, Metric] = _registry(
    (
        Metric(name="average_dice", column="dice", of_slices=True),
        Metric(name="volumetric_dice", column="volumetric_dice"),
        Metric(name="foreground_dice", column="dice", of_slices=True, foreground_only=True),
        Metric(name="average_iou", column="iou", of_slices=True),
        Metric(name="hd95_mm", column="hd95_mm", of_slices=True, larger_is_better=False),
        Metric(name="asd_mm", column="asd_mm", of_slices=True, larger_is_better=False),
        Metric(name="volumetric_hd95_mm", column="volumetric_hd95_mm", larger_is_better=False),
        Metric(name="volumetric_asd_mm", column="volumetric_asd_mm", larger_is_better=False),
        Metric(name="nsd_1mm", column="nsd_1mm"),
        Metric(name="nsd_2mm", column="nsd_2mm"),
        Metric(name="lesion_recall", column="lesion_recall"),
        Metric(name="lesion_precision", column="lesion_precision"),
        Metric(name="lesion_f1", column="lesion_f1"),
    )
)


def unit_values(metric: Metric, unit: str, slices: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame | None:
    """The values of one dataset with a column per method, for comparing methods in pairs.

    Args:
        metric: which one.
        unit: "slice" or "volume"; the value of a volume is the mean over its slices for a metric of slices.
        slices: rows of ``slices.csv`` of one dataset.
        volumes: rows of ``volumes.csv`` of one dataset.

    Returns:
        Frame indexed by fold, case and, for slices, slice; NaN where a method has no value and another one has. None
        where an older file lacks the metric's column.
    """
    values = metric.values(slices, volumes)
    if values is None:
        return None
    keys = ["fold", "case", *(["slice"] if unit == "slice" else [])]
    return values.groupby(["method", *keys])["value"].mean().unstack("method")

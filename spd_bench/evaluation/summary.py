"""From the rows of slices and volumes to ``summary.csv``, and the facts a Dice must be read with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings, bootstrap_intervals
from spd_bench.evaluation.frames import SUMMARY_COLUMNS

METRICS = ("average_dice", "volumetric_dice", "foreground_dice", "average_iou", "hd95_mm", "asd_mm")


def summarise(
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    *,
    patients: Mapping[str, str] | None = None,
    settings: BootstrapSettings = DEFAULT_SETTINGS,
) -> pd.DataFrame:
    """Summarise every metric of every dataset and method, folds pooled.

    Args:
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        patients: case to patient; a case not named is its own patient. Case names are looked up in every dataset
            alike, so datasets that share case names are summarised one by one.
        settings: of the confidence intervals.

    Returns:
        Frame with the columns of ``summary.csv``: ``mean`` over ``n`` slices (``average_*``, ``foreground_dice``,
        ``hd95_mm``, ``asd_mm``) or volumes (``volumetric_dice``), NaN left out; ``std`` of the same values with
        n - 1; ``ci_low`` and ``ci_high`` from the bootstrap over patients. Dice and IoU in 0..1, distances in mm.
    """
    rows: list[dict[str, Any]] = []
    for (dataset, method), group in slices.groupby(["dataset", "method"], sort=False):
        chosen = (volumes["dataset"] == dataset) & (volumes["method"] == method)
        values = _metric_values(group, volumes[chosen])
        values["patient"] = values["case"].map(lambda case: (patients or {}).get(case, case))
        rows.extend({"dataset": dataset, "method": method, **row} for row in _summary_rows(values, settings))
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def describe_runs(
    slices: pd.DataFrame, volumes: pd.DataFrame, *, missing: Mapping[tuple[str, str], int] | None = None
) -> pd.DataFrame:
    """What each average Dice stands on, one row per dataset and method.

    Args:
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        missing: number of predictions that were missing, by (dataset, method).

    Returns:
        Frame indexed by (dataset, method) with ``foreground_share`` (f, share of slices whose reference is not empty),
        ``specificity`` (share of the other slices that were left empty; NaN where there are none),
        ``foreground_dice`` (NaN where there is no slice with foreground), ``volumes``, ``slices`` and
        ``missing_predictions`` (NA where ``missing`` does not say).
        Average Dice = (1 - f) * specificity + f * foreground Dice.
    """
    foreground = slices["reference_pixels"] > 0
    facts = pd.DataFrame(
        {
            "dataset": slices["dataset"],
            "method": slices["method"],
            "foreground_share": foreground.astype(float),
            "specificity": (slices["prediction_pixels"] == 0).astype(float).where(~foreground),
            "foreground_dice": slices["dice"].where(foreground),
        }
    )
    by_run = facts.groupby(["dataset", "method"], sort=False)
    described = by_run.mean()
    described["volumes"] = volumes.groupby(["dataset", "method"]).size().reindex(described.index, fill_value=0)
    described["slices"] = by_run.size()
    counted = [(missing or {}).get(run, pd.NA) for run in described.index]
    described["missing_predictions"] = pd.array(counted, dtype="Int64")
    return described


def _metric_values(slices: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """The values that each metric's mean stands on, long: metric, case, value."""
    foreground = slices[slices["reference_pixels"] > 0]
    sources = {
        "average_dice": (slices, "dice"),
        "volumetric_dice": (volumes, "volumetric_dice"),
        "foreground_dice": (foreground, "dice"),
        "average_iou": (slices, "iou"),
        "hd95_mm": (slices, "hd95_mm"),
        "asd_mm": (slices, "asd_mm"),
    }
    parts = [
        pd.DataFrame({"metric": metric, "case": frame["case"], "value": frame[column]})
        for metric, (frame, column) in sources.items()
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="value")


def _summary_rows(values: pd.DataFrame, settings: BootstrapSettings) -> list[dict[str, Any]]:
    metrics = list(METRICS)
    overall = values.groupby("metric")["value"].agg(["mean", "std", "count"]).reindex(metrics)
    by_patient = values.groupby(["patient", "metric"])["value"]
    sums = by_patient.sum().unstack().reindex(columns=metrics).fillna(0).to_numpy(dtype=np.float64)
    counts = by_patient.count().unstack().reindex(columns=metrics).fillna(0).to_numpy(dtype=np.int64)
    bounds = bootstrap_intervals(sums, counts, settings)
    return [
        {
            "metric": metric,
            "mean": overall["mean"][metric],
            "std": overall["std"][metric],
            "ci_low": low,
            "ci_high": high,
            "n": int(count),
        }
        for metric, (low, high), count in zip(metrics, bounds, overall["count"].fillna(0), strict=True)
    ]

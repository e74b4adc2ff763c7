"""From the rows of slices and volumes to ``summary.csv``, and the facts a Dice must be read with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings, bootstrap_intervals
from spd_bench.evaluation.frames import SUMMARY_COLUMNS, require_one_row_each
from spd_bench.evaluation.metrics import METRICS
from spd_bench.evaluation.patients import patient_of


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
        ``hd95_mm``, ``asd_mm``) or volumes (all others), NaN left out; ``std`` of the same values with n - 1;
        ``ci_low`` and ``ci_high`` from the bootstrap over patients. Distances in mm, all else in 0..1. A metric whose
        column the frames lack has no row.

    Raises:
        InputError: a slice or volume has two rows, as two methods of one name have.
    """
    for frame in (slices, volumes):
        require_one_row_each(frame)
    rows: list[dict[str, Any]] = []
    for (dataset, method), group in slices.groupby(["dataset", "method"], sort=False):
        chosen = (volumes["dataset"] == dataset) & (volumes["method"] == method)
        parts = {name: metric.values(group, volumes[chosen]) for name, metric in METRICS.items()}
        present = {name: part[["case", "value"]] for name, part in parts.items() if part is not None}
        values = pd.concat(present, names=["metric"]).reset_index("metric")
        values["patient"] = patient_of(values["case"], patients)
        found = _summary_rows(values, list(present), settings)
        rows.extend({"dataset": dataset, "method": method, **row} for row in found)
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


def _summary_rows(values: pd.DataFrame, metrics: list[str], settings: BootstrapSettings) -> list[dict[str, Any]]:
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

"""Mean Dice with intervals from the scores of cases, for figures whose horizontal axis is a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spd_bench.evaluation.bootstrap import BootstrapSettings, bootstrap_intervals
from spd_bench.evaluation.figures.checks import check_one_each, counted
from spd_bench.evaluation.patients import patient_of

_WEIGHTS = {"average_dice": "slices", "foreground_dice": "foreground_slices"}
_REPEATS = ("fold", "seed")
_SUM, _WEIGHT, _PATIENT = "_sum", "_weight", "_patient"


def weight_column(scores: pd.DataFrame, column: str) -> str | None:
    """The column that says on how many slices a case's value stands, where the frame has it."""
    weight = _WEIGHTS.get(column)
    return weight if weight in scores.columns else None


def mean_dice(
    scores: pd.DataFrame,
    *,
    by: Sequence[str],
    column: str,
    patients: Mapping[str, str] | None,
    settings: BootstrapSettings,
) -> pd.DataFrame:
    """Means over cases with intervals from a bootstrap over patients.

    The values of a case are averaged over ``seed`` and ``fold`` first, where the frame has these columns, so that a
    case counts once. Dice of slices is pooled over slices as in ``summary.csv`` where the frame says how many slices a
    case has (``slices`` for ``average_dice``, ``foreground_slices`` for ``foreground_dice``), else each case counts
    alike.

    Args:
        scores: rows of cases with the columns ``by``, ``case`` and ``column``; Dice in 0..1, NaN left out.
        by: what tells the points of the figure apart.
        column: the values.
        patients: case to patient; a case not named is its own patient.
        settings: draws, level and seed; the same patients are drawn for every point.

    Returns:
        Frame indexed by ``by`` in sorted order: ``mean``, ``ci_low`` and ``ci_high`` in 0..1 (NaN below two patients),
        and the numbers of ``cases`` and ``patients`` that have a value. Points without any value have no row.

    Raises:
        InputError: two rows are about one case.
    """
    repeats = [name for name in _REPEATS if name in scores.columns]
    check_one_each(scores, [*by, "case", *repeats], what="the scores")
    weight = weight_column(scores, column)
    # Names that no column of a frame has: "value" is one that ``by`` may name.
    columns = {_SUM: scores[column].astype(float), _WEIGHT: scores[weight] if weight else 1}
    chosen = scores[[*by, "case"]].assign(**columns).dropna(subset=_SUM)
    of_cases = chosen.groupby([*by, "case"]).mean().reset_index()
    of_cases[_SUM] *= of_cases[_WEIGHT]
    of_cases[_PATIENT] = patient_of(of_cases["case"], patients)
    by_patient = of_cases.groupby([_PATIENT, *by])[[_SUM, _WEIGHT]].sum().unstack(list(by)).fillna(0)
    sums, counts = by_patient[_SUM], by_patient[_WEIGHT]
    bounds = bootstrap_intervals(sums.to_numpy(np.float64), counts.to_numpy(np.float64).astype(np.int64), settings)
    points = of_cases.groupby(list(by))
    frame = pd.DataFrame({"cases": points.size(), "patients": points[_PATIENT].nunique()})
    totals = points[[_SUM, _WEIGHT]].sum()
    frame["mean"] = totals[_SUM] / totals[_WEIGHT]
    intervals = pd.DataFrame(bounds, index=sums.columns, columns=["ci_low", "ci_high"])
    return frame.join(intervals.reindex(frame.index))[["mean", "ci_low", "ci_high", "cases", "patients"]]


def about_means(
    scores: pd.DataFrame, columns: Sequence[str], means: pd.DataFrame, settings: BootstrapSettings
) -> list[str]:
    """What a reader of the means has to know, for the caption.

    Args:
        scores: what :func:`mean_dice` was given.
        columns: the values that were averaged.
        means: what it gave for all of them.
        settings: of the intervals.
    """
    fewest, most = means["cases"].min(), means["cases"].max()
    cases = counted(most, "case") if fewest == most else f"{fewest} to {most} cases, not the same ones for every point"
    level = f"{100 * settings.confidence:g} %"
    return [
        f"Means over {cases}, {level} intervals from a bootstrap over patients.",
        "Seeds are averaged per case first." if "seed" in scores.columns else "",
        "No interval where there are not two patients." if means["ci_low"].isna().any() else "",
        _about_pooling(scores, columns),
    ]


def _about_pooling(scores: pd.DataFrame, columns: Sequence[str]) -> str:
    of_slices = [name for name in columns if name in _WEIGHTS]
    if not of_slices:
        return ""
    if all(weight_column(scores, name) for name in of_slices):
        return "Dice of slices is pooled over slices, as in the tables."
    return "Each case counts alike, so Dice of slices can differ from the tables, which pool slices."

"""Every two methods of a dataset compared in pairs: the rows of ``significance.csv``.

Units: "volume" compares a value a volume (for metrics of slices the mean over the volume's slices), "slice" one a
slice, as the paper does. Slices of one volume are not independent, so the p-values of slices are too small; they are
there to be set beside the paper's. The interval of the mean difference is drawn over patients for both units.

Columns: ``dataset``; ``metric``; ``unit``; ``method_a``, ``method_b``; ``n``, the number of pairs in which both methods
have a value; ``difference``, the mean of a - b (Dice and other shares in 0..1, distances in mm), with ``ci_low`` and
``ci_high``; ``p``, Wilcoxon's signed-rank test, two-sided; ``p_holm``, corrected by Holm for all pairs of methods of
that dataset, metric and unit; ``effect_size``, the matched-pairs rank-biserial correlation, positive where a has the
larger values; ``median_difference``; ``patients``, the number of patients behind the pairs; ``note``, what a reader
of the row has to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from spd_bench.evaluation.better import better_method
from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings, bootstrap_intervals
from spd_bench.evaluation.frames import SIGNIFICANCE_COLUMNS, require_one_row_each
from spd_bench.evaluation.holm import holm
from spd_bench.evaluation.metrics import METRICS, unit_values
from spd_bench.evaluation.patients import patient_of
from spd_bench.evaluation.signed_rank import signed_rank_test


def paired_comparisons(
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    *,
    patients: Mapping[str, str] | None = None,
    settings: BootstrapSettings = DEFAULT_SETTINGS,
) -> pd.DataFrame:
    """Compare every two methods of every dataset by every metric.

    Values are paired by fold, case and slice; where several folds score the same case, its differences are averaged,
    so that a case counts once.

    Args:
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        patients: case to patient; a case not named is its own patient. Case names are looked up in every dataset
            alike, so datasets that share case names are compared one by one.
        settings: of the confidence intervals.

    Returns:
        Frame with the columns of ``significance.csv``, a row for each unordered pair of methods; empty where no
        dataset has two methods.

    Raises:
        InputError: a slice or volume has two rows, as two methods of one name have.
    """
    for frame in (slices, volumes):
        require_one_row_each(frame)
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(volumes["dataset"]):
        of_dataset = [frame[frame["dataset"] == dataset] for frame in (slices, volumes)]
        methods = list(dict.fromkeys(of_dataset[1]["method"]))
        for name, unit, values in _families(*of_dataset):
            found = _compare_all(values.reindex(columns=methods), patients, settings)
            rows.extend({"dataset": dataset, "metric": name, "unit": unit, **row} for row in found)
    return pd.DataFrame(rows, columns=list(SIGNIFICANCE_COLUMNS))


def significance_map(significance: pd.DataFrame, *, dataset: str, metric: str, unit: str = "volume") -> pd.DataFrame:
    """Corrected p-values of one dataset and metric as a square, the data of challengeR's significance map.

    Returns:
        Frame of methods x methods: ``p_holm`` where the row's method is the better one, NaN elsewhere.
    """
    chosen = (significance["dataset"] == dataset) & (significance["metric"] == metric) & (significance["unit"] == unit)
    rows = significance[chosen]
    methods = list(dict.fromkeys([*rows["method_a"], *rows["method_b"]]))
    square = pd.DataFrame(np.nan, index=methods, columns=methods)
    for row in rows.to_dict("records"):
        winner = better_method(row)
        if winner is not None:
            loser = row["method_b"] if winner == row["method_a"] else row["method_a"]
            square.loc[winner, loser] = row["p_holm"]
    return square


def _families(slices: pd.DataFrame, volumes: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Metric, unit and values of each family of comparisons; the values with a column per method."""
    for name, metric in METRICS.items():
        for unit in ("volume", "slice") if metric.of_slices else ("volume",):
            values = unit_values(metric, unit, slices, volumes)
            if values is not None:
                yield name, unit, values


def _compare_all(
    values: pd.DataFrame, patients: Mapping[str, str] | None, settings: BootstrapSettings
) -> list[dict[str, Any]]:
    """The rows of one family, whose p-values are corrected together."""
    pairs = list(combinations(values.columns, 2))
    if not pairs:
        return []
    differences = pd.DataFrame({pair: values[pair[0]] - values[pair[1]] for pair in pairs})
    differences = differences.groupby([level for level in values.index.names if level != "fold"]).mean()
    patient = patient_of(differences.index.get_level_values("case").to_series(index=differences.index), patients)
    by_patient = differences.groupby(patient)
    sums, counts = by_patient.sum().to_numpy(np.float64), by_patient.count().to_numpy(np.int64)
    bounds = bootstrap_intervals(sums, counts, settings)
    rows = [
        _row(pair, differences[pair], people=int(np.count_nonzero(counts[:, number])), bounds=bounds[number])
        for number, pair in enumerate(pairs)
    ]
    corrected = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)]


def _row(pair: tuple[str, str], differences: pd.Series[float], *, people: int, bounds: Any) -> dict[str, Any]:
    present = differences.dropna()
    test = signed_rank_test(np.asarray(present, dtype=np.float64))
    left_out = len(differences) - len(present)
    notes = [
        test.note,
        f"{left_out} of {len(differences)} left out: not both methods have a value there" if left_out else "",
        "pairs of one patient are not independent" if people < len(present) else "",
    ]
    return {
        "method_a": pair[0],
        "method_b": pair[1],
        "n": len(present),
        "difference": present.mean(),
        "ci_low": bounds[0],
        "ci_high": bounds[1],
        "p": test.p,
        "effect_size": test.effect_size,
        "median_difference": present.median(),
        "patients": people,
        "note": "; ".join(note for note in notes if note),
    }

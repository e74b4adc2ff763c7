"""Tables in the layout of the paper's Table 1: datasets as rows, methods as columns, SPD's lead as the last column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spd_bench.evaluation.rules import DEFAULT_RULES, ScoringRules
from spd_bench.evaluation.stars import EXPLANATIONS, stars
from spd_bench.evaluation.statement import Statement, state_runs
from spd_bench.evaluation.summary import describe_runs
from spd_bench.evaluation.table_formats import FORMATS, PrintedTable, Row, print_row
from spd_bench.storage import write_text

PaperNumbers = Mapping[str, Mapping[str, float]]
OURS, PAPER = "ours", "paper"
TITLES = {
    "average_dice": "Average Dice in percent: mean over all slice images, empty ones included",
    "volumetric_dice": "Volumetric Dice in percent: mean over volumes",
}


@dataclass(frozen=True, kw_only=True)
class DiceTable:
    """One metric of every dataset and method, and what the numbers stand on.

    Attributes:
        metric: ``average_dice`` or ``volumetric_dice``.
        cells: Dice in percent; index (dataset, source) with source "ours" or "paper", a column per method, NaN where
            a method has no number.
        lead: the lead of ``leader`` over the best other method in points, indexed as ``cells``; NaN where undefined.
        leader: the method whose lead it is.
        statement: what the table stands on.
        marks: (dataset, method) -> marks of significance behind our number.
        spreads: (dataset, method) -> half the width of the 95 % interval of our number, in points.
    """

    metric: str
    cells: pd.DataFrame
    lead: pd.Series[float]
    leader: str
    statement: Statement
    marks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    spreads: Mapping[tuple[str, str], float] = field(default_factory=dict)


def build_table(
    metric: str,
    *,
    summary: pd.DataFrame,
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    records: Sequence[Mapping[str, Any]] = (),
    paper: PaperNumbers | None = None,
    leader: str = "spd",
    notes: Sequence[str] = (),
    significance: pd.DataFrame | None = None,
    rules: ScoringRules = DEFAULT_RULES,
) -> DiceTable:
    """Build the table of one metric from frames and run records alone.

    Args:
        metric: ``average_dice`` or ``volumetric_dice``.
        summary: rows of ``summary.csv``.
        slices: rows of ``slices.csv``.
        volumes: rows of ``volumes.csv``.
        records: run records (``runs/*.json``); :mod:`spd_bench.evaluation.statement` says which keys are read.
        paper: dataset -> method -> the paper's number in percent, under the names that the frames use. Methods that
            only the paper has get a column too, so that its lead can be followed.
        leader: the method whose lead over the best other is shown; it gets the last column.
        notes: sentences to add to the statement (errata, "measured on phantoms").
        significance: rows of ``significance.csv``, for the marks of :mod:`spd_bench.evaluation.stars`.
        rules: that the scores were made by.

    Raises:
        ValueError: there is no table of that metric.
    """
    if metric not in TITLES:
        msg = f"no table of {metric!r}, only of {sorted(TITLES)}"
        raise ValueError(msg)
    of_metric = summary[summary["metric"] == metric]
    cells = _cells(of_metric, paper or {}, leader)
    marks = {} if significance is None or significance.empty else _marks(significance, metric)
    notes = [*notes, *([] if significance is None or significance.empty else EXPLANATIONS.values())]
    statement = state_runs(describe_runs(slices, volumes, missing=_missing(records)), records, notes, rules)
    return DiceTable(
        metric=metric,
        cells=cells,
        lead=_lead_over_others(cells, leader),
        leader=leader,
        statement=statement,
        marks=marks,
        spreads=_spreads(of_metric),
    )


def print_table(table: DiceTable, titles: Mapping[str, str] | None = None) -> PrintedTable:
    """Turn numbers into cells of text: two decimals, the best of each row marked, "-" where there is none.

    Args:
        table: the numbers.
        titles: method -> column heading; a method without one is shown under its own name.
    """
    names = [str(method) for method in table.cells.columns]
    shown = [(titles or {}).get(name, name) for name in names]
    leader = (titles or {}).get(table.leader, table.leader)
    return PrintedTable(
        name=table.metric,
        title=TITLES[table.metric],
        header=("dataset", "source", *shown, f"{leader} - best other"),
        rows=tuple(
            _print_row(table, labels, values, lead)
            for labels, values, lead in zip(
                table.cells.index.to_list(), table.cells.to_numpy().tolist(), table.lead.tolist(), strict=True
            )
        ),
        statement=table.statement,
    )


def write_tables(folder: Path, tables: Sequence[DiceTable], titles: Mapping[str, str] | None = None) -> list[Path]:
    """Write ``table_<metric>.csv``, ``.md`` and ``.tex`` of every table, each atomically; returns their paths."""
    written = []
    for table in tables:
        printed = print_table(table, titles)
        for suffix, render in FORMATS.items():
            path = folder / f"table_{table.metric}.{suffix}"
            write_text(path, render(printed))
            written.append(path)
    return written


def _cells(summary: pd.DataFrame, paper: PaperNumbers, leader: str) -> pd.DataFrame:
    datasets = list(dict.fromkeys(summary["dataset"]))
    of_paper = {dataset: paper[dataset] for dataset in datasets if paper.get(dataset)}
    named = [*summary["method"], *(method for numbers in of_paper.values() for method in numbers)]
    methods = [method for method in dict.fromkeys(named) if method != leader] + [leader] * (leader in named)
    keys = zip(summary["dataset"], summary["method"], strict=True)
    percent = dict(zip(keys, 100 * summary["mean"].to_numpy(dtype=float), strict=True))
    rows: dict[tuple[str, str], list[float]] = {}
    for dataset in datasets:
        rows[dataset, OURS] = [percent.get((dataset, method), np.nan) for method in methods]
        if dataset in of_paper:
            rows[dataset, PAPER] = [of_paper[dataset].get(method, np.nan) for method in methods]
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "source"]) if rows else None
    return pd.DataFrame(list(rows.values()), index=index, columns=methods, dtype=float)


def _marks(significance: pd.DataFrame, metric: str) -> dict[tuple[str, str], str]:
    earned = stars(significance)
    return {(dataset, method): mark for (dataset, of, method), mark in earned.items() if of == metric}


def _spreads(summary: pd.DataFrame) -> dict[tuple[str, str], float]:
    keys = zip(summary["dataset"], summary["method"], strict=True)
    half_widths = 100 * (summary["ci_high"] - summary["ci_low"]) / 2
    return dict(zip(keys, half_widths.astype(float).tolist(), strict=True))


def _print_row(table: DiceTable, labels: tuple[str, str], values: Sequence[float], lead: float) -> Row:
    dataset, source = labels
    # Marks and intervals are known of our numbers alone.
    keys = [(dataset, str(name)) for name in table.cells.columns] if source == OURS else []
    marks = [table.marks.get(key, "") for key in keys]
    return print_row(labels, values, lead, marks, spreads=[table.spreads.get(key, np.nan) for key in keys])


def _lead_over_others(cells: pd.DataFrame, leader: str) -> pd.Series[float]:
    if leader not in cells.columns:
        return pd.Series(np.nan, index=cells.index)
    # Printed numbers are compared, so that a reader who subtracts two columns gets the third.
    printed = cells.round(2)
    return printed[leader] - printed.drop(columns=leader).max(axis=1)


def _missing(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for record in records:
        if "missing_predictions" in record:
            run = (str(record["dataset"]), str(record["method"]))
            counted[run] = counted.get(run, 0) + len(record["missing_predictions"])
    return counted

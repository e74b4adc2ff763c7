"""What a conversion tells: a table with one row a case, and a summary in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from spd_bench.raw.release.conversion import Conversion
from spd_bench.raw.release.records import RECORDS, Record
from spd_bench.storage import atomic_path

TABLE = "cases.csv"
_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


def case_table(records: Mapping[str, Record]) -> pd.DataFrame:
    """One row a case: patient, grid, target, points and repairs."""
    rows = []
    for case, record in sorted(records.items()):
        found = record["statistics"]
        z, y, x = found["shape"]
        spacing_z, spacing_y, spacing_x = found["spacing_mm"]
        rows.append(
            {
                "case": case,
                "patient": record["patient"],
                "slices": found["slices"],
                "rows": y,
                "columns": x,
                "spacing_z_mm": spacing_z,
                "spacing_y_mm": spacing_y,
                "spacing_x_mm": spacing_x,
                "target_slices": found["target_slices"],
                "target_voxels": found["target_voxels"],
                "target_share": found["target_voxels"] / (z * y * x),
                "target_ml": found["target_ml"],
                "points": found["points"],
                "points_inside": found["points_inside"],
                "repairs": "; ".join(record["repairs"]),
            }
        )
    return pd.DataFrame(rows)


def write_case_table(conversion: Conversion) -> Path:
    """Write :func:`case_table` beside the records; returns the file."""
    path = conversion.folder / RECORDS / TABLE
    with atomic_path(path) as temporary:
        case_table(conversion.records).to_csv(temporary, index=False)
    return path


def report_lines(conversion: Conversion) -> list[str]:
    """The summary: cases, slices, target share, spacing range, points, and what was repaired how often."""
    if not conversion.records:
        return ["no case converted"]
    table = case_table(conversion.records)
    voxels = (table["slices"] * table["rows"] * table["columns"]).sum()
    lines = [
        f"cases: {len(table)} of {table['patient'].nunique()} patients ({len(conversion.skipped)} were there already)"
        + (f", {len(conversion.faults)} failed" if conversion.faults else ""),
        f"slices: {table['slices'].sum()} ({_range(table['slices'])} a case),"
        f" {table['target_slices'].sum() / table['slices'].sum():.1%} of them with target",
        f"target: {table['target_voxels'].sum() / voxels:.3%} of the voxels, {_range(table['target_ml'])} ml a case,"
        f" {np.count_nonzero(table['target_voxels'] == 0)} case(s) without",
        f"in-plane size: {_range(table['columns'])} columns, {_range(table['rows'])} rows",
        f"spacing in mm: in plane {_range(pd.concat([table['spacing_y_mm'], table['spacing_x_mm']]))},"
        f" between slices {_range(table['spacing_z_mm'])}",
        _points_line(table),
    ]
    return lines + _repair_lines(conversion.records)


def _points_line(table: pd.DataFrame) -> str:
    prompted = table.dropna(subset=["points"])
    if prompted.empty:
        return "points: none in the release; planning simulates them"
    points = int(prompted["points"].sum())
    inside = prompted["points_inside"].sum() / points if points else 0.0
    without = len(table) - len(prompted)
    rest = f"; {without} case(s) have none" if without else ""
    return f"points: {points} ({_range(prompted['points'])} a case), {inside:.1%} of them inside the target{rest}"


def _repair_lines(records: Mapping[str, Record]) -> list[str]:
    """One line a kind of repair: sentences that differ in their numbers alone are of one kind."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for case, record in sorted(records.items()):
        for repair in record["repairs"]:
            kinds.setdefault(_NUMBER.sub("#", repair), []).append((case, repair))
    if not kinds:
        return ["repaired: nothing"]
    most_first = sorted(kinds.values(), key=len, reverse=True)
    return ["repaired (each case's own line is in the table):", *map(_repair_line, most_first)]


def _repair_line(occurrences: list[tuple[str, str]]) -> str:
    case, first = occurrences[0]
    cases = len({case for case, _ in occurrences})
    alike = len({repair for _, repair in occurrences}) == 1
    return f"  {cases} case(s): {first}" if alike else f"  {cases} case(s), {case} for one: {first}"


def _range(values: pd.Series) -> str:
    low, middle, high = values.min(), values.median(), values.max()
    return f"{low:g}" if low == high else f"{low:.4g} to {high:.4g} (median {middle:.4g})"

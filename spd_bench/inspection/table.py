"""``<dataset>.csv``: the figures of an inspection, one row a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from spd_bench.inspection.figures import CaseFigures
from spd_bench.inspection.survey import Survey
from spd_bench.inspection.view import DatasetView
from spd_bench.storage import atomic_path

COLUMNS = (
    "case",
    "patient",
    "fold",
    "size_z",
    "size_y",
    "size_x",
    "spacing_z_mm",
    "spacing_y_mm",
    "spacing_x_mm",
    "axis_codes",
    "oblique_degrees",
    "label_values",
    "slices",
    "target_slices",
    "target_ml",
    "largest_target_slice",
    "points",
    "points_inside",
    "target_slices_without_point",
    "empty_slices_with_point",
    "prompts_simulated",
    "intensity_min",
    "intensity_max",
    "fault",
)


def case_table(view: DatasetView, found: Survey) -> pd.DataFrame:
    """One row a case in the dataset's order; a broken case has its fault and empty cells."""
    figures = {case.case: case for case in found.cases}
    rows = [
        _row(figures[case.case])
        if case.case in figures
        else {"case": case.case, "patient": view.patients[case.case], "fault": found.faults[case.case]}
        for case in view.dataset.cases
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = [name for name in COLUMNS if name in _COUNTS]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


_COUNTS = frozenset(
    {
        "fold",
        "size_z",
        "size_y",
        "size_x",
        "slices",
        "target_slices",
        "largest_target_slice",
        "points",
        "points_inside",
        "target_slices_without_point",
        "empty_slices_with_point",
    }
)


def _row(case: CaseFigures) -> dict[str, Any]:
    axes = zip("zyx", case.geometry.shape, case.geometry.spacing, strict=True)
    grid: dict[str, Any] = {}
    for axis, size, spacing in axes:
        grid |= {f"size_{axis}": size, f"spacing_{axis}_mm": spacing}
    low, high = case.intensities[0]
    return {
        "case": case.case,
        "patient": case.hashes.patient,
        "fold": case.hashes.fold,
        **grid,
        "axis_codes": case.codes,
        "oblique_degrees": round(case.obliquity, 2),
        "label_values": " ".join(map(str, case.label_values)),
        "slices": case.target.slices,
        "target_slices": case.target.target_slices,
        "target_ml": None if case.target.millilitres is None else round(case.target.millilitres, 4),
        "largest_target_slice": case.target.largest_slice,
        **_point_cells(case),
        "intensity_min": low,
        "intensity_max": high,
    }


def _point_cells(case: CaseFigures) -> dict[str, Any]:
    if case.points is None:
        return {}
    quality = case.points.quality
    return {
        "points": quality.points,
        "points_inside": quality.points_inside,
        "target_slices_without_point": quality.target_slices - quality.target_slices_with_point,
        "empty_slices_with_point": quality.empty_slices_with_point,
        "prompts_simulated": bool(case.points.provenance.get("simulated", False)),
    }

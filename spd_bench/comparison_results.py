"""What a comparison leaves behind: frames, tables, figures, report and run records of its finished cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spd_bench.cells import CELL_RECORD, Cell, Grid
from spd_bench.comparison_tables import FACTS, ComparisonFacts, write_facts, write_tables_and_figures
from spd_bench.evaluation.frames import read_frame
from spd_bench.methods.registry import METHODS
from spd_bench.report import ReportSettings, write_report
from spd_bench.report.settings import DEFAULT_SETTINGS
from spd_bench.severities import run_severities
from spd_bench.storage import read_json


def write_results(
    cells: Sequence[Cell], grid: Grid, *, report: ReportSettings = DEFAULT_SETTINGS
) -> tuple[pd.DataFrame, list[dict[str, Any]], list[Path]]:
    """Write the frames, tables, figures, report and run records of finished cells into ``grid.output``.

    Args:
        cells: finished cells, in the table's order.
        grid: where and how they were run.
        report: how much the report shows, and with what.

    Returns:
        The rows of ``summary.csv``, the cells' run records, and the files that were written: frames, tables, figures
        and the report.

    Raises:
        InputError: cells of one dataset stand on different plans, splits or prompts.
    """
    slices, volumes = (
        pd.concat([read_frame(grid.folder(cell) / name) for cell in cells], ignore_index=True)
        for name in ("slices.csv", "volumes.csv")
    )
    records = [read_json(grid.folder(cell) / CELL_RECORD) for cell in cells]
    facts = _facts(cells, grid)
    severities = None if grid.severities is None else run_severities(cells, grid, grid.severities)
    written = write_tables_and_figures(
        grid.output, slices=slices, volumes=volumes, severities=severities, records=records, facts=facts
    )
    write_facts(grid.output, facts=facts, records=records)
    page = write_report(cells, grid, written.tables, records, settings=report)
    return written.summary, records, [*written.files, grid.output / FACTS, page]


def _facts(cells: Sequence[Cell], grid: Grid) -> ComparisonFacts:
    methods = {cell.method.name: cell.method for cell in cells}
    plans = {cell.plan.dataset: cell.plan for cell in cells}
    return ComparisonFacts(
        patients={name: dict(plan.patients) for name, plan in plans.items()},
        descriptions={name: str(plan.dataset_json.get("description", "")) for name, plan in plans.items()},
        titles={name: method.title for name, method in {**METHODS, **methods}.items()},
        notes={name: method.note for name, method in methods.items() if method.note},
        skipped=dict(grid.skipped),
    )

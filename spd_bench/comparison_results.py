"""What a comparison leaves behind: frames, tables and run records of its finished cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spd_bench.cells import Cell, Grid
from spd_bench.comparison_figures import write_figures
from spd_bench.datasets import DATASETS
from spd_bench.evaluation import summarise, write_frame
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.provenance import check_same_ground
from spd_bench.evaluation.significance import paired_comparisons
from spd_bench.evaluation.tables import DiceTable, build_table, print_table, write_tables
from spd_bench.methods.registry import METHODS
from spd_bench.report import write_report
from spd_bench.storage import read_json, write_json

CELL_RECORD = "cell.json"
"""A cell's run record with what scoring added; it is written last, so that a cell that has it is whole."""
_TABLE_METRICS = ("average_dice", "volumetric_dice")
_PAPER_NOTE = 'Rows "paper" hold the printed numbers of arXiv 2604.23314, on its own data, splits, weights and budget.'


def write_results(cells: Sequence[Cell], grid: Grid) -> tuple[pd.DataFrame, list[dict[str, Any]], list[Path]]:
    """Write the frames, tables, figures, report and run records of finished cells into ``grid.output``.

    Returns:
        The rows of ``summary.csv``, the cells' run records, and the files that were written: frames, tables, figures
        and the report.

    Raises:
        InputError: cells of one dataset stand on different plans, splits or prompts.
    """
    slices = pd.concat([read_frame(grid.folder(cell) / "slices.csv") for cell in cells], ignore_index=True)
    volumes = pd.concat([read_frame(grid.folder(cell) / "volumes.csv") for cell in cells], ignore_index=True)
    plans = {cell.plan.dataset: cell.plan for cell in cells}
    # Case names are looked up in every dataset alike, so datasets are worked on one by one.
    summary, significance = (
        pd.concat(
            [
                work(slices[slices["dataset"] == name], volumes[volumes["dataset"] == name], patients=plan.patients)
                for name, plan in plans.items()
            ],
            ignore_index=True,
        )
        for work in (summarise, paired_comparisons)
    )
    frames = {"slices.csv": slices, "volumes.csv": volumes, "summary.csv": summary, "significance.csv": significance}
    for name, frame in frames.items():
        write_frame(grid.output / name, frame)
    records = [read_json(grid.folder(cell) / CELL_RECORD) for cell in cells]
    check_same_ground(records)
    for cell, record in zip(cells, records, strict=True):
        write_json(grid.output / "runs" / f"{cell.name}.json", record)
    titles = {method.name: method.title for method in METHODS.values()}
    titles |= {cell.method.name: cell.method.title for cell in cells}
    tables = _tables(cells, grid, frames=frames, records=records)
    written = write_tables(grid.output, tables, titles)
    written += write_figures(
        grid.output / "figures",
        frames,
        patients={name: plan.patients for name, plan in plans.items()},
        titles=titles,
    )
    written.append(write_report(cells, grid, [print_table(table, titles) for table in tables], records))
    return summary, records, [*(grid.output / name for name in frames), *written]


def _tables(
    cells: Sequence[Cell],
    grid: Grid,
    *,
    frames: dict[str, pd.DataFrame],
    records: list[dict[str, Any]],
) -> list[DiceTable]:
    names = {cell.plan.dataset for cell in cells}
    known = [info for info in DATASETS.values() if info.folder in names]
    paper = {
        "volumetric_dice": {info.folder: info.paper_volumetric_dice for info in known},
        "average_dice": {info.folder: info.paper_average["average_dice"].methods for info in known},
    }
    descriptions = {cell.plan.dataset: str(cell.plan.dataset_json.get("description", "")) for cell in cells}
    notes = [f"{name}: {text}" for name, text in sorted(descriptions.items()) if text]
    notes += [_PAPER_NOTE] * bool(known)
    methods = {cell.method.name: cell.method for cell in cells}
    notes += [f"{method.title}: {method.note}" for method in methods.values() if method.note]
    notes += [f"Not run: {method}: {reason}" for method, reason in grid.skipped.items()]
    notes += [info.erratum for info in known if info.erratum]
    return [
        build_table(
            metric,
            summary=frames["summary.csv"],
            slices=frames["slices.csv"],
            volumes=frames["volumes.csv"],
            significance=frames["significance.csv"],
            records=records,
            paper=paper[metric],
            notes=notes,
        )
        for metric in _TABLE_METRICS
    ]

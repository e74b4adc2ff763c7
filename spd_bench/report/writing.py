"""Writing the report of a finished comparison."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.evaluation.table_formats import PrintedTable
from spd_bench.report.cases import read_case
from spd_bench.report.coders import Coders
from spd_bench.report.consensus import predict_consensus
from spd_bench.report.fates import Fate
from spd_bench.report.faults import reason
from spd_bench.report.figures import read_figures
from spd_bench.report.page import CaseEntry, PageContents, layers_of, render_page
from spd_bench.report.prompt_sets import set_title
from spd_bench.report.reduction import fit_case
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase, choose_cases, distilling_method, leading_method
from spd_bench.report.settings import DEFAULT_SETTINGS, ReportSettings
from spd_bench.storage import write_text

logger = logging.getLogger(__name__)

REPORT_NAME = "report.html"
_FIGURES = "figures"
# Figures may take a third of the page, so that there is room for cases.
_FIGURES_SHARE = 3
# A case's tags and its line in the list, or the sentence that it is left out.
_BYTES_AROUND_A_CASE = 1000


def write_report(
    cells: Sequence[Cell],
    grid: Grid,
    tables: Sequence[PrintedTable],
    records: Sequence[Mapping[str, Any]],
    *,
    settings: ReportSettings = DEFAULT_SETTINGS,
) -> Path:
    """Write ``report.html`` into ``grid.output``: tables, a viewer of cases, figures and run records in one file.

    Saliency and consensus points of the shown cases are predicted first where the cells do not hold them yet.
    A case that cannot be shown is left out, and the report names it.

    Args:
        cells: finished cells, in the table's order.
        grid: where images, predictions and scores lie.
        tables: the comparison's tables.
        records: the cells' run records.
        settings: how much is shown.

    Returns:
        The report's path.

    Raises:
        InputError: there is no cell, a cell's scores are missing or unreadable, or the report cannot be written.
    """
    if not cells:
        raise InputError("no finished cell to report on", file=grid.output, remedy="run the comparison first")
    figures, left_out = read_figures(grid.output / _FIGURES, room=settings.bytes // _FIGURES_SHARE)
    chosen = choose_cases(cells, grid, count=settings.cases)
    distilling = distilling_method(cells)
    unknown = {} if distilling is None else predict_consensus(chosen, grid, method=distilling)
    titles = {cell.method.name: cell.method.title for cell in cells}
    leader = leading_method(cells)
    contents: dict[str, Any] = {
        "title": ", ".join(dict.fromkeys(cell.plan.dataset for cell in cells)),
        "tables": tables,
        "records": records,
        "figures": figures,
        "leader": titles[leader],
        "viewer": settings.viewer,
    }
    # Everything but the cases is rendered once to know what room they have.
    bare = [_bare_case(grid)] if chosen else []
    layers = layers_of(titles, leader=leader, cases=bare)
    around = render_page(PageContents(**contents, left_out=left_out, layers=layers, cases=bare))
    room = (settings.bytes - len(around.encode())) // max(1, len(chosen)) - _BYTES_AROUND_A_CASE
    entries, faults = _collect(
        chosen, grid, distilling=distilling, unknown=unknown, room=room, coders=settings.viewer.coders
    )
    layers = layers_of(titles, leader=leader, cases=entries)
    page = render_page(PageContents(**contents, left_out=[*left_out, *faults], layers=layers, cases=entries))
    write_text(grid.output / REPORT_NAME, page)
    return grid.output / REPORT_NAME


def _collect(
    chosen: Sequence[ChosenCase],
    grid: Grid,
    *,
    distilling: str | None,
    unknown: Mapping[tuple[str, str], str],
    room: int,
    coders: Coders,
) -> tuple[list[CaseEntry], list[str]]:
    """The cases for the page, of at most ``room`` bytes each, and a sentence for each one that is not shown whole."""
    scores = CellScores(grid)
    entries, left_out = [], []
    for one in tqdm(chosen, "report", unit="case"):
        name = f"case {one.case} of {one.leader.plan.dataset}"
        try:
            view = read_case(one, grid, scores=scores, distilling=distilling)
            values = fit_case(view, room=room, coders=coders)
        except Exception as error:  # one case must not take the report with it
            logger.warning("%s is left out of the report: %s", name, error)
            left_out.append(f"{name}: {reason(error, grid)}")
            continue
        if values is None:
            left_out.append(f"{name}: too large for this page")
        else:
            entries.append(CaseEntry(_title(one, values), values))
            key = (one.leader.plan.dataset, one.case)
            left_out += [f"{name}: {unknown[key]}"] if key in unknown else []
            if len(values["prompt_sets"]) < len(view.prompt_sets):
                left_out.append(f"{name}: simulated points and what was made of them are too large for this page")
    return entries, left_out


def _bare_case(grid: Grid) -> CaseEntry:
    """A case of nothing but points of every fate and severity: no case makes the viewer around it larger."""
    severities = () if grid.severities is None else grid.severities.severities
    points = [[[0, 0, str(fate)] for fate in Fate]]
    sets = [{"title": set_title(one), "severity": one, "points": points} for one in (None, *severities)]
    return CaseEntry("", {"saliency": [""], "prompt_sets": sets})


def _title(one: ChosenCase, values: Mapping[str, Any]) -> str:
    dice = values["prompt_sets"][0]["methods"][one.leader.method.name]["volumetric_dice"]
    score = "no score" if dice is None else f"{dice:.1f} %, {one.place}"
    return f"{one.case}: {one.leader.method.title} {score} ({one.leader.plan.dataset}, fold {one.leader.fold})"

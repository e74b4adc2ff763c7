"""The grid of datasets x methods x folds: what is missing is run, what is done is kept."""

from __future__ import annotations

import logging
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from spd_bench.cell_files import PREDICTIONS, are_whole, list_files
from spd_bench.cells import CELL_RECORD, Cell, Grid
from spd_bench.comparison_checks import check_titles
from spd_bench.comparison_results import write_results
from spd_bench.errors import InputError, UnwritableError
from spd_bench.evaluation import evaluate_folders, write_frame
from spd_bench.evaluation.rules import DEFAULT_RULES
from spd_bench.executors.attempt import error_log, one_line
from spd_bench.executors.executor import CellWork, Executor
from spd_bench.executors.inline import InlineExecutor
from spd_bench.locks import locked
from spd_bench.methods.fitting import ensure_fitted, expected_settings, fitted_record
from spd_bench.prediction.folder import CaseFiles, find_cases, predict_cases
from spd_bench.raw.dataset import IMAGES, prompt_path, read_raw_dataset
from spd_bench.report.settings import DEFAULT_SETTINGS, ReportSettings
from spd_bench.severities import are_predicted, predict_severities
from spd_bench.storage import read_json, write_json, write_text
from spd_bench.training.records import RunRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        summary: rows of ``summary.csv``.
        records: the run records of the cells.
        files: the tables and frames that were written.
        failures: for each cell that failed its name and the reason.
        skipped: rows that were left out, and why.
    """

    summary: pd.DataFrame
    records: list[dict[str, Any]]
    files: list[Path]
    failures: dict[str, str]
    skipped: Mapping[str, str]


def check_cells(cells: Sequence[Cell], grid: Grid) -> None:
    """Refuse, before anything is run, what could not be run or told apart.

    Raises:
        InputError: two cells have one name or two methods one title, a fold does not exist, or an option does not fit.
    """
    check_titles({cell.method.name: cell.method.title for cell in cells})
    named: set[str] = set()
    for cell in cells:
        if cell.name in named:
            raise InputError(f"two cells are named {cell.name}", remedy="give two methods two names")
        named.add(cell.name)
        cell.plan.split(cell.fold)
        expected_settings(grid.run(cell), grid.budget)


def compare(
    cells: Sequence[Cell],
    grid: Grid,
    *,
    report: ReportSettings = DEFAULT_SETTINGS,
    executor: Executor | None = None,
) -> Comparison:
    """Run what is missing of the grid, then write frames, tables and run records into ``grid.output``.

    A cell that fails does not stop the others; its reason is returned and its traceback kept beside it.

    Args:
        cells: the cells, in the table's order.
        grid: where and how they are run.
        report: how much the report shows, and with what.
        executor: where the cells run; None: one after another in this process.

    Raises:
        InputError: not a single cell could be run.
    """
    work = CellWork(run=run_cell, is_finished=is_finished)
    reasons = (executor or InlineExecutor()).run(cells, grid, work)
    failures = {cell.name: reasons[cell.name] for cell in cells if cell.name in reasons}
    done = [cell for cell in cells if cell.name not in failures]
    if not done:
        raise InputError(
            f"no cell could be run; first: {failures[cells[0].name]}",
            file=error_log(cells[0], grid),
            remedy="see the logs",
        )
    with locked(grid.output):
        summary, records, files = write_results(done, grid, report=report)
    return Comparison(summary=summary, records=records, files=files, failures=failures, skipped=grid.skipped)


def run_cell(cell: Cell, grid: Grid) -> None:
    """Train, predict and score one cell, unless that is done already; where another process does, wait for it."""
    folder = grid.folder(cell)
    with locked(folder):
        _run_cell(cell, grid, folder)
        if grid.severities is not None:
            predict_severities(cell, grid, grid.severities)


def is_finished(cell: Cell, grid: Grid) -> bool:
    """Whether :func:`run_cell` has nothing to do; what cannot be told is not finished, and running it says why."""
    try:
        record = fitted_record(grid.run(cell), grid.budget)
        return (
            record is not None
            and _is_scored(grid.folder(cell), record)
            and not error_log(cell, grid).exists()
            and (grid.severities is None or are_predicted(cell, grid, grid.severities))
        )
    except (InputError, KeyError, OSError):
        return False


def _run_cell(cell: Cell, grid: Grid, folder: Path) -> None:
    record = ensure_fitted(grid.run(cell), grid.budget)
    if _is_scored(folder, record):
        return
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    missing = predict_test_cases(cell, grid, output=folder / PREDICTIONS)
    seconds = {**record.seconds, "prediction": round(time.monotonic() - started, 1)}
    scores = evaluate_folders(
        reference=cell.plan.reference_folder,
        prediction=folder / PREDICTIONS,
        dataset=cell.plan.dataset,
        method=cell.method.name,
        fold=cell.fold,
        cases=cell.plan.split(cell.fold)["test"],
        slice_axis=cell.plan.slice_axis,
    )
    write_frame(folder / "slices.csv", scores.slices)
    write_frame(folder / "volumes.csv", scores.volumes)
    added = {"seconds": seconds, "missing_predictions": missing, "scoring": DEFAULT_RULES.record()}
    list_files(folder)
    write_json(folder / CELL_RECORD, {**asdict(record), **added})


def predict_test_cases(cell: Cell, grid: Grid, *, output: Path) -> list[str]:
    """Predict the fold's test cases from images and prompts alone; returns the cases that failed.

    A case that fails, for whatever reason, is scored as an empty mask and counted, as the table says.
    """
    found = _raw_files(cell, grid)
    predictor = cell.method.predictor(grid.run(cell))
    output.mkdir(parents=True, exist_ok=True)
    missing = []
    for case in tqdm(cell.plan.split(cell.fold)["test"], f"{cell.method.name}: predicting", unit="case"):
        try:
            if case not in found:
                raise InputError(f"no image of case {case}", file=grid.raw / cell.plan.dataset, remedy="add it")
            predict_cases([found[case]], predictor, output=output, file_ending=cell.plan.file_ending)
        except UnwritableError:
            # A mask that found no space on the disk says nothing of the method.
            raise
        except Exception as error:  # one case must not take the others with it
            logger.warning("%s failed on %s and counts as empty: %s", cell.method.name, case, one_line(error))
            write_text(output.parent / "errors" / f"{case}.log", traceback.format_exc())
            missing.append(case)
    return missing


def _raw_files(cell: Cell, grid: Grid) -> dict[str, CaseFiles]:
    """Images of the raw cases, and prompts for a row that uses them. Labels are not even looked for."""
    plan, folder = cell.plan, grid.raw / cell.plan.dataset
    if "dataset" in plan.dataset_json:  # nnU-Net's list of images that lie anywhere
        images = {case.case: case.images for case in read_raw_dataset(folder).cases}
    else:
        channels = len(plan.dataset_json["channel_names"])
        cases = find_cases(folder / IMAGES, None, channels=channels, file_ending=plan.file_ending)
        images = {files.case: files.images for files in cases}
    return {
        case: CaseFiles(
            case=case, images=files, prompts=prompt_path(folder, case) if cell.method.uses_prompts else None
        )
        for case, files in images.items()
    }


def _is_scored(folder: Path, record: RunRecord) -> bool:
    """Whether a cell is whole and stands on this very run; a torn one is not."""
    try:
        marker = read_json(folder / CELL_RECORD)
    except InputError:
        return False
    return isinstance(marker, dict) and _same_run(marker, record) and are_whole(folder)


def _same_run(marker: dict[str, Any], record: RunRecord) -> bool:
    """Whether a scored cell stands on this very run."""
    run, seconds = asdict(record), marker.get("seconds")
    return all(marker.get(key) == run[key] for key in run if key != "seconds") and (
        isinstance(seconds, dict) and seconds.get("training") == run["seconds"].get("training")
    )

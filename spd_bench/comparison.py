"""The grid of datasets x methods x folds: what is missing is run, what is done is kept."""

from __future__ import annotations

import logging
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.evaluation import evaluate_folders, summarise, write_frame
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.tables import build_table, write_tables
from spd_bench.methods.fitting import expected_settings, fit
from spd_bench.methods.method import Method, MethodOptions
from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles, predict_cases
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.storage import read_json, write_json, write_text
from spd_bench.training.records import RunRecord, read_record
from spd_bench.training.settings import Budget

logger = logging.getLogger(__name__)
_TABLE_METRICS = ("average_dice", "volumetric_dice")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one fold of one dataset."""

    plan: Plan
    method: Method
    fold: int

    @property
    def name(self) -> str:
        """Name in messages and files."""
        return f"{self.plan.dataset}_{self.method.name}_fold{self.fold}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where and how the cells are run.

    Attributes:
        raw: nnU-Net's raw folder: images and prompts of the test cases are read from it.
        results: nnU-Net's results folder.
        output: folder of the comparison.
        budget: what every trained row is granted.
        options: the user's options for a method of that name.
        device: where to train and predict.
    """

    raw: Path
    results: Path
    output: Path
    budget: Budget
    options: Callable[[str], MethodOptions]
    device: torch.device

    def folder(self, cell: Cell) -> Path:
        """Predictions and scores of a cell."""
        return self.output / "cells" / cell.plan.dataset / cell.method.name / f"fold_{cell.fold}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        summary: rows of ``summary.csv``.
        files: the tables and frames that were written.
        failures: for each cell that failed its name and the reason.
    """

    summary: pd.DataFrame
    files: list[Path]
    failures: dict[str, str]


def compare(cells: Sequence[Cell], grid: Grid) -> Comparison:
    """Run what is missing of the grid, then write frames, tables and run records into ``grid.output``.

    A cell that fails does not stop the others; its reason is returned and its traceback kept beside it.
    """
    failures: dict[str, str] = {}
    done = []
    for cell in cells:
        try:
            run_cell(cell, grid)
            done.append(cell)
        except Exception as error:  # a cell must not take the others with it
            failures[cell.name] = " ".join(str(error).split())
            write_text(grid.folder(cell) / "error.log", traceback.format_exc())
    if not done:
        raise InputError(f"no cell could be run; first: {next(iter(failures.values()))}", remedy="see the logs")
    summary, files = write_results(done, grid)
    return Comparison(summary=summary, files=files, failures=failures)


def run_cell(cell: Cell, grid: Grid) -> None:
    """Train, predict and score one cell, unless that is done already."""
    folder = grid.folder(cell)
    record = _trained(cell, grid)
    marker = folder / "cell.json"
    if marker.is_file() and _same_run(read_json(marker), record):
        return
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    missing = predict_test_cases(cell, grid, output=folder / "predictions")
    seconds = {**record.seconds, "prediction": round(time.monotonic() - started, 1)}
    scores = evaluate_folders(
        reference=cell.plan.reference_folder,
        prediction=folder / "predictions",
        dataset=cell.plan.dataset,
        method=cell.method.name,
        fold=cell.fold,
        cases=cell.plan.split(cell.fold)["test"],
        slice_axis=cell.plan.slice_axis,
    )
    write_frame(folder / "slices.csv", scores.slices)
    write_frame(folder / "volumes.csv", scores.volumes)
    write_json(marker, {**asdict(record), "seconds": seconds, "missing_predictions": missing})


def predict_test_cases(cell: Cell, grid: Grid, *, output: Path) -> list[str]:
    """Predict the fold's test cases from images and prompts alone; returns the cases that failed.

    A case that fails is scored as an empty mask and counted, as the table says.
    """
    raw = {case.case: case for case in read_raw_dataset(grid.raw / cell.plan.dataset).cases}
    predictor = cell.method.predictor(
        cell.method.run_folder(grid.results, cell.plan, cell.fold), cell.plan, grid.device
    )
    output.mkdir(parents=True, exist_ok=True)
    missing = []
    for case in tqdm(cell.plan.split(cell.fold)["test"], f"{cell.method.name}: predicting", unit="case"):
        # The label's path goes no further than this line.
        files = CaseFiles(case=case, images=raw[case].images, prompts=raw[case].prompts)
        try:
            predict_cases([files], predictor, output=output, file_ending=cell.plan.file_ending)
        except (InputError, RuntimeError) as error:
            logger.warning("%s failed on %s and counts as empty: %s", cell.method.name, case, error)
            missing.append(case)
    return missing


def write_results(cells: Sequence[Cell], grid: Grid) -> tuple[pd.DataFrame, list[Path]]:
    """Write the frames, tables and run records of finished cells."""
    slices = pd.concat([read_frame(grid.folder(cell) / "slices.csv") for cell in cells], ignore_index=True)
    volumes = pd.concat([read_frame(grid.folder(cell) / "volumes.csv") for cell in cells], ignore_index=True)
    plans = {cell.plan.dataset: cell.plan for cell in cells}
    summary = pd.concat(
        [
            summarise(slices[slices["dataset"] == name], volumes[volumes["dataset"] == name], patients=plan.patients)
            for name, plan in plans.items()
        ],
        ignore_index=True,
    )
    frames = {"slices.csv": slices, "volumes.csv": volumes, "summary.csv": summary}
    for name, frame in frames.items():
        write_frame(grid.output / name, frame)
    records = [read_json(grid.folder(cell) / "cell.json") for cell in cells]
    for cell, record in zip(cells, records, strict=True):
        write_json(grid.output / "runs" / f"{cell.name}.json", record)
    files = _write_tables(cells, grid.output, summary=summary, slices=slices, volumes=volumes, records=records)
    return summary, [*(grid.output / name for name in frames), *files]


def _write_tables(
    cells: Sequence[Cell],
    output: Path,
    *,
    summary: pd.DataFrame,
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    records: list[dict[str, Any]],
) -> list[Path]:
    names = {cell.plan.dataset for cell in cells}
    known = [info for info in DATASETS.values() if info.folder in names]
    paper = {
        "volumetric_dice": {info.folder: info.paper_volumetric_dice for info in known},
        "average_dice": {info.folder: info.paper_average["average_dice"].methods for info in known},
    }
    descriptions = {cell.plan.dataset: str(cell.plan.dataset_json.get("description", "")) for cell in cells}
    notes = [f"{name}: {text}" for name, text in sorted(descriptions.items()) if text]
    notes += [info.erratum for info in known if info.erratum]
    tables = [
        build_table(
            metric,
            summary=summary,
            slices=slices,
            volumes=volumes,
            records=records,
            paper=paper[metric],
            notes=notes,
        )
        for metric in _TABLE_METRICS
    ]
    return write_tables(output, tables, {cell.method.name: cell.method.title for cell in cells})


def _trained(cell: Cell, grid: Grid) -> RunRecord:
    """The record of the cell's run, trained now unless an equal run is complete."""
    options = grid.options(cell.method.name)
    record = read_record(cell.method.run_folder(grid.results, cell.plan, cell.fold))
    wanted = expected_settings(cell.method, plan=cell.plan, fold=cell.fold, budget=grid.budget, options=options)
    if record is not None and record.settings == wanted and record.hashes == cell.method.hashes(cell.plan):
        return record
    return fit(
        cell.method,
        plan=cell.plan,
        fold=cell.fold,
        budget=grid.budget,
        options=options,
        results=grid.results,
        device=grid.device,
    )


def _same_run(marker: dict[str, Any], record: RunRecord) -> bool:
    """Whether a scored cell stands on this very run."""
    run = asdict(record)
    return all(marker.get(key) == run[key] for key in run if key != "seconds") and (
        marker["seconds"].get("training") == run["seconds"].get("training")
    )

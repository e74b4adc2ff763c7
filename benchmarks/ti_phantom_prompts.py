"""Trained networks on points that they were not trained with: other severities, and SPD's other thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.ti_phantom_runs import TiPhantomRuns
from spd_bench.cells import Cell, Grid
from spd_bench.evaluation import evaluate_folders
from spd_bench.evaluation.volume_dice import with_foreground_dice
from spd_bench.methods.registry import get_method, get_methods
from spd_bench.methods.spd import SPDPredictor
from spd_bench.phantoms import PhantomSet
from spd_bench.phantoms.registry import PHANTOMS
from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles, predict_cases
from spd_bench.prediction.volume import VolumePredictor
from spd_bench.prompts.points import SUFFIX, write_prompts
from spd_bench.raw.dataset import RawCase, read_raw_dataset

SEVERITIES = (0.0, 1.0, 2.0, 3.0)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def scores_at_severities(runs: TiPhantomRuns, grid: Grid, rows: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Volume scores of the promptable rows on the test cases with points of each severity.

    Args:
        runs: the phantoms; their points are kept beside the runs.
        grid: where the rows were trained.
        rows: names of rows; those that take no points are passed over.
    """
    plan = runs.plan
    cases = _test_cases(plan, grid)
    for severity in SEVERITIES:
        prompts = runs.work / "prompts" / f"severity_{severity}"
        _write_points(cases, prompts, phantoms=replace(runs.phantoms, severity=severity))
        files = [
            CaseFiles(case=case.case, images=case.images, prompts=prompts / f"{case.case}{SUFFIX}") for case in cases
        ]
        for name in (method.name for method in get_methods(rows) if method.uses_prompts):
            predictor = _predictor(plan, grid, name)
            predictions = grid.output / "severities" / f"{name}_{severity}"
            yield _scores(plan, files, predictor, predictions, method=name).assign(severity=severity)


def scores_at_thresholds(plan: Plan, grid: Grid) -> Iterator[pd.DataFrame]:
    """Volume scores of the trained SPD with its points distilled at other thresholds."""
    cases = _test_cases(plan, grid)
    files = [CaseFiles(case=case.case, images=case.images, prompts=case.prompts) for case in cases]
    predictor = _predictor(plan, grid, "spd")
    if not isinstance(predictor, SPDPredictor):
        msg = "the row spd does not distil points"
        raise TypeError(msg)
    for threshold in THRESHOLDS:
        predictor.set_threshold(threshold)
        folder = grid.output / "thresholds" / str(threshold)
        yield _scores(plan, files, predictor, folder, method="spd").assign(tau=threshold)


def _test_cases(plan: Plan, grid: Grid) -> list[RawCase]:
    wanted = set(plan.split(0)["test"])
    return [case for case in read_raw_dataset(grid.raw / plan.dataset).cases if case.case in wanted]


def _write_points(cases: list[RawCase], folder: Path, *, phantoms: PhantomSet) -> None:
    """The phantoms' own points at another severity: the same walks, disturbed in the same directions."""
    wanted = {case.case for case in cases}
    for request in map(phantoms.request, range(phantoms.count)):
        path = folder / f"{request.case}{SUFFIX}"
        if request.case in wanted and not path.is_file():
            write_prompts(path, PHANTOMS[request.task](request).prompts)


def _predictor(plan: Plan, grid: Grid, name: str) -> VolumePredictor:
    method = get_method(name)
    return method.predictor(grid.run(Cell(plan=plan, method=method, fold=0)))


def _scores(
    plan: Plan, files: list[CaseFiles], predictor: VolumePredictor, folder: Path, *, method: str
) -> pd.DataFrame:
    predict_cases(files, predictor, output=folder, file_ending=plan.file_ending)
    found = evaluate_folders(
        reference=plan.reference_folder,
        prediction=folder,
        dataset=plan.dataset,
        method=method,
        cases=[case.case for case in files],
        slice_axis=plan.slice_axis,
    )
    return with_foreground_dice(found.volumes, found.slices)

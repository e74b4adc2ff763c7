"""How much noisy prompts cost: the trained rows of a comparison on points of other severities.

Points are simulated from the references of the test cases by one dial (:mod:`spd_bench.prompts.simulation`), alike for
every row; no row is trained on them. What readers really left stays what the tables stand on.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from spd_bench.cell_files import hashes_of
from spd_bench.cells import CELL_RECORD, Cell, Grid
from spd_bench.errors import InputError, UnwritableError
from spd_bench.evaluation import evaluate_folders
from spd_bench.evaluation.frames import SEVERITY_COLUMNS
from spd_bench.evaluation.masks import read_reference_mask
from spd_bench.evaluation.volume_dice import with_foreground_dice
from spd_bench.locks import locked
from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles, predict_cases
from spd_bench.prediction.raw_case import raw_case_files
from spd_bench.prediction.volume import ExtraOutputs, VolumePredictor
from spd_bench.prompts.points import SUFFIX, write_prompts
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts
from spd_bench.severity_settings import SeveritySettings
from spd_bench.storage import read_json, sha256_of_file, sha256_of_json, write_json

logger = logging.getLogger(__name__)

_MARKER = "severity.json"
_FORMAT = 2
"""What a folder of predictions holds: 2 came with the points that were decoded from."""


def severity_folder(cell: Cell, grid: Grid, severity: float) -> Path:
    """Predictions of a cell from points of a severity."""
    return grid.folder(cell) / "severities" / f"{severity:g}"


def simulated_prompts(plan: Plan, grid: Grid, case: str, severity: float) -> Path:
    """The file of a case's simulated points."""
    return grid.output / "prompts" / plan.dataset / f"severity_{severity:g}" / f"{case}{SUFFIX}"


def decoded_prompts(cell: Cell, grid: Grid, case: str, severity: float) -> Path:
    """The file of the points that a cell decoded a case from, there where the row changes the points it is given."""
    return severity_folder(cell, grid, severity) / "prompts" / f"{case}{SUFFIX}"


def are_predicted(cell: Cell, grid: Grid, settings: SeveritySettings) -> bool:
    """Whether :func:`predict_severities` has nothing to do, as far as one can tell without simulating points."""
    if not cell.method.uses_prompts:
        return True
    known = {"format": _FORMAT, "run": _run_of(cell, grid)}
    return all(_is_marked(severity_folder(cell, grid, severity), known) for severity in settings.severities)


def is_predicted(cell: Cell, grid: Grid, severity: float) -> bool:
    """Whether a cell's test cases have been predicted from points of a severity."""
    return (severity_folder(cell, grid, severity) / _MARKER).is_file()


def run_severities(cells: Sequence[Cell], grid: Grid, settings: SeveritySettings) -> pd.DataFrame:
    """Predict and score the promptable cells at every severity; what is done already is kept.

    Args:
        cells: finished cells; those of rows without prompts are passed over.
        grid: where they lie.
        settings: which severities.

    Returns:
        A row a cell, test case and severity, with ``SEVERITY_COLUMNS``.
    """
    frames = []
    for cell in (cell for cell in cells if cell.method.uses_prompts):
        predict_severities(cell, grid, settings)
        for severity in settings.severities:
            frames.append(_scores(cell, severity_folder(cell, grid, severity)).assign(severity=severity))
    empty = pd.DataFrame(columns=list(SEVERITY_COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(SEVERITY_COLUMNS)] if frames else empty


def predict_severities(cell: Cell, grid: Grid, settings: SeveritySettings) -> None:
    """Predict a finished cell at every severity; what is done already is kept, a row without prompts passed over."""
    predictor: VolumePredictor | None = None
    for severity in settings.severities if cell.method.uses_prompts else ():
        # Jobs of several rows write the same files.
        with locked(grid.output / "prompts" / cell.plan.dataset):
            prompts = _write_prompts(cell, grid, severity, seed=settings.seed)
            marker = {"format": _FORMAT, "run": _run_of(cell, grid), "prompts": _hash_of(prompts)}
        folder = severity_folder(cell, grid, severity)
        if not _is_marked(folder, marker):
            predictor = predictor or cell.method.predictor(grid.run(cell))
            _predict(cell, grid, prompts, predictor, folder=folder, severity=severity)
            write_json(folder / _MARKER, {**marker, "files": _files(folder)})


def _is_marked(folder: Path, marker: Mapping[str, Any]) -> bool:
    """Whether predictions are marked so and are still what was written; torn ones are not."""
    try:
        found = read_json(folder / _MARKER)
        return (
            isinstance(found, dict)
            and all(found.get(name) == value for name, value in marker.items())
            and bool(found.get("files") == _files(folder))
        )
    except (InputError, OSError):
        return False


def _files(folder: Path) -> dict[str, str]:
    return hashes_of(folder, (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _MARKER))


def _write_prompts(cell: Cell, grid: Grid, severity: float, *, seed: int) -> dict[str, Path]:
    """Simulate the points of the cell's test cases; case to file."""
    plan, files = cell.plan, {}
    for case in plan.split(cell.fold)["test"]:
        mask, geometry = read_reference_mask(plan.reference_folder / f"{case}{plan.file_ending}")
        noise = NoiseSettings(severity=severity)
        points = simulate_prompts(mask, geometry, settings=noise, seed=seed, case=case, slice_axis=plan.slice_axis)
        files[case] = simulated_prompts(plan, grid, case, severity)
        write_prompts(files[case], points)
    return files


def _predict(
    cell: Cell, grid: Grid, prompts: dict[str, Path], predictor: VolumePredictor, *, folder: Path, severity: float
) -> None:
    """Predict the cases; one that fails is left out and counts as empty, as in the comparison itself."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ending, extra = cell.plan.file_ending, ExtraOutputs(prompts=True)
    for case, points in tqdm(prompts.items(), f"{cell.method.name}: severity {severity:g}", unit="case"):
        files = CaseFiles(case=case, images=raw_case_files(cell.plan, grid.raw, case).images, prompts=points)
        try:
            predict_cases([files], predictor, output=folder, file_ending=ending, extra=extra)
        except UnwritableError:
            raise
        except Exception as error:  # one case must not take the others with it
            logger.warning("%s failed on %s and counts as empty: %s", cell.method.name, case, error)


def _scores(cell: Cell, folder: Path) -> pd.DataFrame:
    found = evaluate_folders(
        reference=cell.plan.reference_folder,
        prediction=folder,
        dataset=cell.plan.dataset,
        method=cell.method.name,
        fold=cell.fold,
        cases=cell.plan.split(cell.fold)["test"],
        slice_axis=cell.plan.slice_axis,
    )
    return with_foreground_dice(found.volumes, found.slices)


def _run_of(cell: Cell, grid: Grid) -> Any:
    """The run that the cell stands on: when it was trained, with what."""
    record = read_json(grid.folder(cell) / CELL_RECORD)
    return {name: record.get(name) for name in ("settings", "hashes", "seconds")}


def _hash_of(prompts: dict[str, Path]) -> str:
    return sha256_of_json({case: sha256_of_file(path) for case, path in prompts.items()})

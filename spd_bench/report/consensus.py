"""Saliency maps and consensus points of the shown cases: predicted once, kept beside the cell's predictions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from spd_bench.cells import Cell, Grid
from spd_bench.prediction.folder import predict_cases
from spd_bench.prediction.raw_case import raw_case_files
from spd_bench.prediction.volume import ExtraOutputs
from spd_bench.prompts.points import SUFFIX
from spd_bench.raw.images.formats import ending_for_fractions
from spd_bench.report.faults import reason
from spd_bench.report.selection import ChosenCase

logger = logging.getLogger(__name__)

_FOLDER = "report"


@dataclass(frozen=True, kw_only=True)
class ConsensusFiles:
    """Where a cell keeps what it made of a case's prompts; either file may be missing.

    Attributes:
        prompts: the points that were decoded from.
        saliency: the saliency volume.
        mask: the mask that came with them. It is written last, so where it is, the others are as far as there are any.
    """

    prompts: Path
    saliency: Path
    mask: Path


def consensus_files(cell: Cell, grid: Grid, case: str) -> ConsensusFiles:
    """The files of one case of a cell."""
    folder, ending = grid.folder(cell) / _FOLDER, cell.plan.file_ending
    return ConsensusFiles(
        prompts=folder / "prompts" / f"{case}{SUFFIX}",
        saliency=folder / "saliency" / f"{case}{ending_for_fractions(ending)}",
        mask=folder / f"{case}{ending}",
    )


def predict_consensus(chosen: Sequence[ChosenCase], grid: Grid, *, method: str) -> dict[tuple[str, str], str]:
    """Predict saliency and consensus points of the chosen cases where they are not there yet.

    A case that fails is shown without them.

    Args:
        chosen: the cases that the report shows.
        grid: where the cells lie.
        method: name of the row that distils prompts.

    Returns:
        A sentence for each case that failed, by dataset and case.
    """
    missing: dict[Path, tuple[Cell, list[str]]] = {}
    for one in chosen:
        for cell in one.cells:
            if cell.method.name == method and not consensus_files(cell, grid, one.case).mask.is_file():
                missing.setdefault(grid.folder(cell), (cell, []))[1].append(one.case)
    faults: dict[tuple[str, str], str] = {}
    for cell, cases in missing.values():
        told = f"shown without saliency and consensus points of {cell.method.title}"
        errors = _predict(cell, grid, cases)
        faults |= {(cell.plan.dataset, case): f"{told}: {reason(error, grid)}" for case, error in errors.items()}
    return faults


def _predict(cell: Cell, grid: Grid, cases: Sequence[str]) -> dict[str, Exception]:
    """Predict these cases of one cell; returns what went wrong."""
    try:
        predictor = cell.method.predictor(grid.run(cell))
    except Exception as error:  # weights may be gone while the predictions are still there to be shown
        logger.warning("no consensus of %s: %s", cell.name, error)
        return dict.fromkeys(cases, error)
    extra, output = ExtraOutputs(saliency=True, prompts=True), grid.folder(cell) / _FOLDER
    errors: dict[str, Exception] = {}
    for case in tqdm(cases, f"{cell.method.name}: consensus for the report", unit="case"):
        try:
            files = raw_case_files(cell.plan, grid.raw, case)
            predict_cases([files], predictor, output=output, file_ending=cell.plan.file_ending, extra=extra)
        except Exception as error:  # one case must not take the others with it
            logger.warning("no consensus of %s on %s: %s", cell.name, case, error)
            errors[case] = error
    return errors

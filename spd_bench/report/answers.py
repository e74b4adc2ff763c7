"""What a method answered on a case: its mask, turned for the reader, and its Dice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.masks import read_predicted_mask
from spd_bench.evaluation.overlap import dice_score
from spd_bench.report.scores import CellScores
from spd_bench.report.turning import Turn
from spd_bench.severities import severity_folder


@dataclass(frozen=True, kw_only=True)
class MethodView:
    """A method's answer on a case.

    Attributes:
        name: the method.
        mask: bool (Z, rows, columns), empty where there is no prediction.
        missing: whether there is no prediction.
        slice_dice: Dice (Z) of the slices on their own grid, NaN where there is none.
        volumetric_dice: Dice of the volume, NaN where there is none.
    """

    name: str
    mask: NDArray[np.bool_]
    missing: bool
    slice_dice: NDArray[np.float64]
    volumetric_dice: float


def own_answer(cell: Cell, grid: Grid, case: str, *, turn: Turn, scores: CellScores) -> MethodView:
    """The answer that the comparison's tables stand on, with the Dice that it was given there.

    Raises:
        InputError: the prediction is unreadable or lies on another grid, or the cell's scores are missing.
    """
    path = grid.folder(cell) / "predictions" / f"{case}{cell.plan.file_ending}"
    return MethodView(
        name=cell.method.name,
        mask=turn.mask(_read(path, turn)),
        missing=not path.is_file(),
        slice_dice=scores.slices(cell, case, depth=turn.depth),
        volumetric_dice=scores.volume(cell, case),
    )


def answer_at_severity(
    cell: Cell, grid: Grid, case: str, *, severity: float, turn: Turn, reference: NDArray[np.bool_]
) -> MethodView:
    """The answer on simulated points. Its Dice is counted here: ``severities.csv`` holds none of single slices.

    Args:
        cell: a cell that was predicted at that severity.
        grid: where the predictions lie.
        case: case id.
        severity: of the points' noise.
        turn: of the case.
        reference: bool (z, y, x), the target on the case's own grid.

    Raises:
        InputError: the prediction is unreadable or lies on another grid.
    """
    path = severity_folder(cell, grid, severity) / f"{case}{cell.plan.file_ending}"
    mask = _read(path, turn)
    target, answer = (np.moveaxis(volume, turn.axis, 0) for volume in (reference, mask))
    counts = {
        "reference": np.count_nonzero(target, axis=(1, 2)),
        "prediction": np.count_nonzero(answer, axis=(1, 2)),
        "overlap": np.count_nonzero(target & answer, axis=(1, 2)),
    }
    return MethodView(
        name=cell.method.name,
        mask=turn.mask(mask),
        missing=not path.is_file(),
        slice_dice=dice_score(**counts),
        volumetric_dice=float(dice_score(**{name: count.sum() for name, count in counts.items()})),
    )


def _read(path: Path, turn: Turn) -> NDArray[np.bool_]:
    """A prediction (z, y, x); one that is not there counts as empty, as in the tables."""
    return read_predicted_mask(path, turn.geometry) if path.is_file() else np.zeros(turn.geometry.shape, bool)

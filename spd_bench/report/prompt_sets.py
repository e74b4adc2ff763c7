"""The points that a case was answered on, and the answers: the comparison's own, or simulated ones of a severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.cells import Cell, Grid
from spd_bench.planning.plan import Plan
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.dataset import prompt_path
from spd_bench.report.answers import MethodView, answer_at_severity, own_answer
from spd_bench.report.consensus import consensus_files
from spd_bench.report.fates import Fate, point_fates
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase
from spd_bench.report.turning import Turn
from spd_bench.severities import decoded_prompts, is_predicted, simulated_prompts

# The words of the robustness curves.
_WORDS = {0.0: "clean", 1.0: "default", 2.0: "drifting"}


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """Points of a case, and what was answered on them.

    Attributes:
        severity: of the noise of simulated points; None for the points that the comparison itself was run on.
        points: (N, 3: slice, row, column) on the turned grid before it was reduced.
        fates: what became of each point.
        methods: the answers in the table's order: all of them on the comparison's own points, those of rows with
            prompts on others.
    """

    severity: float | None
    points: NDArray[np.int64]
    fates: Sequence[Fate]
    methods: tuple[MethodView, ...]

    @property
    def title(self) -> str:
        """What the reader chooses the set by."""
        return set_title(self.severity)


def set_title(severity: float | None) -> str:
    """The title of the set of points of a severity; None: of the comparison's own."""
    if severity is None:
        return "the comparison's own"
    word = f" ({_WORDS[severity]})" if severity in _WORDS else ""
    return f"simulated, severity {severity:g}{word}"


def own_prompts(chosen: ChosenCase, grid: Grid, *, turn: Turn, scores: CellScores, distiller: Cell | None) -> PromptSet:
    """The points that the comparison was run on.

    Args:
        chosen: the case.
        grid: where prompts, predictions and scores lie.
        turn: of the case.
        scores: the scores of the cells.
        distiller: the cell whose consensus tells the points' fates, where it is there; None for none.

    Raises:
        InputError: a file is unreadable or does not fit the case, or scores are missing.
    """
    plan, case = chosen.leader.plan, chosen.case
    consensus = None if distiller is None else consensus_files(distiller, grid, case).prompts
    points, fates = _points(prompt_path(grid.raw / plan.dataset, case), consensus, plan=plan, turn=turn)
    methods = tuple(own_answer(cell, grid, case, turn=turn, scores=scores) for cell in chosen.cells)
    return PromptSet(severity=None, points=points, fates=fates, methods=methods)


def simulated_sets(
    chosen: ChosenCase, grid: Grid, *, turn: Turn, reference: NDArray[np.bool_], distiller: Cell | None
) -> tuple[PromptSet, ...]:
    """The simulated points that every row with prompts was predicted on, by severity.

    Args:
        chosen: the case.
        grid: where points and predictions lie, and which severities were run.
        turn: of the case.
        reference: bool (z, y, x), the target on the case's own grid.
        distiller: as for :func:`own_prompts`.

    Raises:
        InputError: a file is unreadable or does not fit the case.
    """
    plan, case = chosen.leader.plan, chosen.case
    cells = [cell for cell in chosen.cells if cell.method.uses_prompts]
    sets = []
    for severity in () if grid.severities is None else sorted(grid.severities.severities):
        given = simulated_prompts(plan, grid, case, severity)
        if not (cells and given.is_file() and all(is_predicted(cell, grid, severity) for cell in cells)):
            continue
        consensus = None if distiller is None else decoded_prompts(distiller, grid, case, severity)
        points, fates = _points(given, consensus, plan=plan, turn=turn)
        methods = tuple(
            answer_at_severity(cell, grid, case, severity=severity, turn=turn, reference=reference) for cell in cells
        )
        sets.append(PromptSet(severity=severity, points=points, fates=fates, methods=methods))
    return tuple(sets)


def _points(given: Path, consensus: Path | None, *, plan: Plan, turn: Turn) -> tuple[NDArray[np.int64], Sequence[Fate]]:
    """The turned points of two files, either of which may be missing, and their fates."""
    raw = _voxels(given, turn)
    points, fates = point_fates(
        np.zeros((0, 3), np.int64) if raw is None else raw,
        None if consensus is None else _voxels(consensus, turn),
        shape=turn.geometry.shape,
        transpose=plan.transpose,
        resolution=plan.resolution,
    )
    return turn.points(points), fates


def _voxels(path: Path, turn: Turn) -> NDArray[np.int64] | None:
    """The voxels (N, 3: z y x) of a prompt file, None where there is no such file."""
    return read_prompts(path).voxels(turn.geometry, file=path) if path.is_file() else None

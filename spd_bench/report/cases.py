"""One case as the report shows it: image, reference, saliency, points and the masks on them, turned for the reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.evaluation.masks import read_reference_mask
from spd_bench.inspection.sheet_cases import percentile_window
from spd_bench.planning.plan import Plan
from spd_bench.prediction.raw_case import raw_case_files
from spd_bench.raw.channels import read_channels
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume
from spd_bench.report.consensus import consensus_files
from spd_bench.report.prompt_sets import PromptSet, own_prompts, simulated_sets
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase
from spd_bench.report.turning import Turn


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """A case, turned and reduced as :class:`spd_bench.report.turning.Turn` does it.

    Attributes:
        chosen: which case it is, and why.
        image: grey levels (Z, rows, columns).
        reference: the target, bool (Z, rows, columns).
        prompt_sets: points and what was answered on them, the comparison's own first.
        saliency: grey levels (Z, rows, columns), 0 to 1 as 0 to 255; None where there is none.
        grid: rows and columns before the case was reduced.
        pixel: height and width of a pixel of that grid in mm.
        affine: 4x4, from (column, row, slice) of that grid to mm (RAS).
        sides: the patient's sides at the upper and the left edge; empty where the image does not know.
    """

    chosen: ChosenCase
    image: NDArray[np.uint8]
    reference: NDArray[np.bool_]
    prompt_sets: tuple[PromptSet, ...]
    saliency: NDArray[np.uint8] | None
    grid: tuple[int, int]
    pixel: tuple[float, float]
    affine: NDArray[np.float64]
    sides: tuple[str, str]


def read_case(chosen: ChosenCase, grid: Grid, *, scores: CellScores, distilling: str | None) -> CaseView:
    """Read what the report shows of a case.

    Args:
        chosen: the case.
        grid: where images, predictions and scores lie.
        scores: the scores of the cells.
        distilling: the method whose consensus and saliency are shown, where they are there.

    Raises:
        InputError: a file is missing or unreadable, or does not fit the others. A missing prediction is no fault: it
            is shown as an empty mask, as it is scored.
    """
    plan, case = chosen.leader.plan, chosen.case
    reference, geometry = read_reference_mask(plan.reference_folder / f"{case}{plan.file_ending}")
    image = _image(chosen.leader, grid, case, geometry)
    turn = Turn.of(geometry, plan.slice_axis)
    distiller = next((cell for cell in chosen.cells if cell.method.name == distilling), None)
    return CaseView(
        chosen=chosen,
        image=turn.grey(image, percentile_window(image)),
        reference=turn.mask(reference),
        prompt_sets=(
            own_prompts(chosen, grid, turn=turn, scores=scores, distiller=distiller),
            *simulated_sets(chosen, grid, turn=turn, reference=reference, distiller=distiller),
        ),
        saliency=None if distiller is None else _saliency(consensus_files(distiller, grid, case).saliency, turn),
        grid=turn.grid,
        pixel=turn.pixel,
        affine=turn.affine,
        sides=turn.sides,
    )


def _image(cell: Cell, grid: Grid, case: str, geometry: VolumeGeometry) -> NDArray[np.float32]:
    """The channel (z, y, x) that becomes the first one of the slices that networks see."""
    files = raw_case_files(cell.plan, grid.raw, case).images
    channels, found = read_channels(files)
    _check_grid(files[0], found, geometry)
    plan: Plan = cell.plan
    number = plan.slice_settings["channels"][0]
    if number >= len(channels):
        raise InputError(f"{len(channels)} channel(s), the plan shows {number}", file=files[0], remedy="plan anew")
    return channels[number]


def _saliency(path: Path, turn: Turn) -> NDArray[np.uint8] | None:
    if not path.is_file():
        return None
    saliency, found = read_volume(path)
    _check_grid(path, found, turn.geometry)
    return turn.grey(saliency.astype(np.float32), (0.0, 1.0))


def _check_grid(path: Path, found: VolumeGeometry, expected: VolumeGeometry) -> None:
    difference = found.difference_to(expected)
    if difference is not None:
        raise InputError(f"not on the grid of the case's label: {difference}", file=path, remedy="remove the file")

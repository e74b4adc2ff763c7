"""One case as the report shows it: image, reference, masks, points and saliency, turned for the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.evaluation.masks import read_predicted_mask, read_reference_mask
from spd_bench.inspection.sheet_cases import percentile_window
from spd_bench.planning.plan import Plan
from spd_bench.prediction.raw_case import raw_case_files
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.channels import read_channels
from spd_bench.raw.dataset import prompt_path
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume
from spd_bench.report.consensus import consensus_files
from spd_bench.report.fates import Fate, point_fates
from spd_bench.report.scores import CellScores
from spd_bench.report.selection import ChosenCase
from spd_bench.report.turning import Turn


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


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """A case, turned and reduced as :class:`spd_bench.report.turning.Turn` does it.

    Attributes:
        chosen: which case it is, and why.
        image: grey levels (Z, rows, columns).
        reference: the target, bool (Z, rows, columns).
        methods: the answers, in the table's order.
        points: (N, 3: slice, row, column) on the grid before it was reduced.
        fates: what became of each point.
        saliency: grey levels (Z, rows, columns), 0 to 1 as 0 to 255; None where there is none.
        grid: rows and columns before the case was reduced.
        pixel: height and width of a pixel of that grid in mm.
        sides: the patient's sides at the upper and the left edge; empty where the image does not know.
    """

    chosen: ChosenCase
    image: NDArray[np.uint8]
    reference: NDArray[np.bool_]
    methods: tuple[MethodView, ...]
    points: NDArray[np.int64]
    fates: Sequence[Fate]
    saliency: NDArray[np.uint8] | None
    grid: tuple[int, int]
    pixel: tuple[float, float]
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
    consensus = saliency = None
    if distiller is not None:
        files = consensus_files(distiller, grid, case)
        consensus = _voxels(files.prompts, geometry)
        saliency = _saliency(files.saliency, turn)
    given = _voxels(prompt_path(grid.raw / plan.dataset, case), geometry)
    points, fates = point_fates(
        np.zeros((0, 3), np.int64) if given is None else given,
        consensus,
        shape=geometry.shape,
        transpose=plan.transpose,
        resolution=plan.resolution,
    )
    return CaseView(
        chosen=chosen,
        image=turn.grey(image, percentile_window(image)),
        reference=turn.mask(reference),
        methods=tuple(_method(cell, grid, case, turn=turn, scores=scores) for cell in chosen.cells),
        points=turn.points(points),
        fates=fates,
        saliency=saliency,
        grid=turn.grid,
        pixel=turn.pixel,
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


def _voxels(path: Path, geometry: VolumeGeometry) -> NDArray[np.int64] | None:
    """The voxels (N, 3: z y x) of a prompt file, None where there is no such file."""
    return read_prompts(path).voxels(geometry, file=path) if path.is_file() else None


def _saliency(path: Path, turn: Turn) -> NDArray[np.uint8] | None:
    if not path.is_file():
        return None
    saliency, found = read_volume(path)
    _check_grid(path, found, turn.geometry)
    return turn.grey(saliency.astype(np.float32), (0.0, 1.0))


def _method(cell: Cell, grid: Grid, case: str, *, turn: Turn, scores: CellScores) -> MethodView:
    path = grid.folder(cell) / "predictions" / f"{case}{cell.plan.file_ending}"
    missing = not path.is_file()
    mask = np.zeros(turn.geometry.shape, bool) if missing else read_predicted_mask(path, turn.geometry)
    return MethodView(
        name=cell.method.name,
        mask=turn.mask(mask),
        missing=missing,
        slice_dice=scores.slices(cell, case, depth=turn.depth),
        volumetric_dice=scores.volume(cell, case),
    )


def _check_grid(path: Path, found: VolumeGeometry, expected: VolumeGeometry) -> None:
    difference = found.difference_to(expected)
    if difference is not None:
        raise InputError(f"not on the grid of the case's label: {difference}", file=path, remedy="remove the file")

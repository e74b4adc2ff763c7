"""The cases of a contact sheet, read one at a time and turned for the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.inspection.contact_sheet import SheetText
from spd_bench.inspection.figures import CaseFigures, on_slices
from spd_bench.inspection.orientation import Display, axis_codes
from spd_bench.inspection.reading import read_grid, read_image_file, read_labels, read_points
from spd_bench.inspection.summary import planes, target_name
from spd_bench.inspection.tiles import CaseSlices, Tile, case_tiles, evenly
from spd_bench.inspection.view import DatasetView
from spd_bench.raw.dataset import RawCase
from spd_bench.raw.images.planes import is_plane

Progress = Callable[[Iterable[RawCase]], Iterable[RawCase]]
CT_WINDOW = (-160.0, 240.0)
_PERCENTILES = (0.5, 99.5)


def sheet_rows(
    view: DatasetView, cases: Sequence[CaseFigures], *, count: int, progress: Progress = iter
) -> list[list[Tile]]:
    """The tiles of up to ``count`` of the inspected cases, spread evenly over them."""
    inspected = {figures.case for figures in cases}
    chosen = evenly([case for case in view.dataset.cases if case.case in inspected], count)
    return [case_tiles(read_slices(case, view)) for case in progress(chosen)]


def sheet_text(view: DatasetView, cases: Sequence[CaseFigures], shown: int) -> SheetText:
    """Title and subtitle of the sheet."""
    slices = sum(case.target.slices for case in cases)
    share = 100 * sum(case.target.target_slices for case in cases) / slices
    channel = view.dataset.channel_names["0"]
    prompted = any(case.points is not None for case in cases)
    window = (
        f"window {CT_WINDOW[0]:g}..{CT_WINDOW[1]:g} HU"
        if _is_ct(view)
        else "window between the 0.5th and 99.5th percentile of a volume"
    )
    return SheetText(
        title=f"{view.dataset.name}: {shown} of {len(cases)} cases, {share:.0f} % of all slices have target",
        subtitle=f"{channel}, {planes(cases, view.slice_axis)} slices, {window}, target = {target_name(view)}"
        + ("" if prompted else "; no prompts yet, so no points"),
        prompted=prompted,
    )


def read_slices(case: RawCase, view: DatasetView) -> CaseSlices:
    """Read a case's first channel, target and points, turned for the reader."""
    geometry = read_grid(case, len(view.dataset.channel_names))
    axis = view.slice_axis
    display = Display.of(axis_codes(geometry), axis)
    mask = np.isin(read_labels(case, geometry, view.dataset.label_values), view.target_labels)
    image = read_image_file(case.images[0], geometry)[0]
    stack = np.moveaxis(mask, axis, 0)
    found = read_points(case, geometry)
    height, width = (geometry.spacing[other] for other in range(3) if other != axis)
    return CaseSlices(
        case=case.case,
        image=display.stack(np.moveaxis(image, axis, 0)),
        mask=display.stack(stack),
        points=None if found is None else display.points(on_slices(found[1], axis), stack.shape),
        pixel=display.pixel((height, width)),
        window=CT_WINDOW if _is_ct(view) else percentile_window(image),
        # A 2D image does not know how it lies in the patient.
        top="" if is_plane(geometry) else display.top,
        left="" if is_plane(geometry) else display.left,
    )


def percentile_window(voxels: NDArray[Any]) -> tuple[float, float]:
    """Intensities to show as black and as white where they have no unit; the range where they coincide."""
    low, high = np.percentile(voxels, _PERCENTILES)
    return (float(low), float(high)) if low < high else (float(voxels.min()), float(voxels.max()))


def _is_ct(view: DatasetView) -> bool:
    return view.dataset.channel_names["0"].casefold() == "ct"

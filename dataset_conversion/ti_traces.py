"""The centreline of a case of the TI release as point prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset_conversion.ti_names import trace_form
from spd_bench.errors import InputError
from spd_bench.prompts.formats import read_points
from spd_bench.prompts.points import PointPrompts, without_outside
from spd_bench.prompts.trace_flips import CLEAR_LEAD, FlipCheck, check_flips, flip_voxels
from spd_bench.prompts.tracings import read_tracings
from spd_bench.raw.geometry import VolumeGeometry

# Tables of voxels state no frame: SNT's columns are x, y, z, the derived lines "slice row column".
_FRAMES = {"csv": "voxel_xyz", "text": "voxel_zyx"}


@dataclass(frozen=True, kw_only=True)
class TracedImage:
    """The image that was traced, on the grid that it is stored on.

    Attributes:
        geometry: its grid.
        target: the segmented target, bool (z, y, x).
    """

    geometry: VolumeGeometry
    target: NDArray[np.bool_]


def read_trace(
    file: Path, *, image: TracedImage, share: float, flip: str = "", meta: Path | None = None
) -> tuple[PointPrompts, tuple[str, ...]]:
    """The points of a trace that belong to the TI, and what was done to them, one sentence each.

    Args:
        file: the trace, in one of the formats of :data:`dataset_conversion.ti_names.TRACE_FORMS`.
        image: what was traced.
        share: part of every path, from its start, that is taken for the TI.
        flip: voxel axis ("x", "y" or "z") along which the trace is flipped unless the segmentation fits it
            better as it is; "" for none.
        meta: file with the voxel size and the size of the image that a table was traced on.

    Raises:
        InputError: the trace is unreadable or empty, was made on an image of another size, lies outside of it
            for the most part, or fits the segmentation clearly better when flipped in another way.
    """
    form = trace_form(file.name)
    if form == "nifti" and share != 1:
        raise InputError(
            f"a mask of points has no order to take the first {share:.0%} of",
            file=file,
            remedy="put the tracer's own file in its place, or give --share 1 where the masks hold the TI alone",
        )
    if meta is not None:
        _check_size(meta, image.geometry)
    prompts = read_points(file, geometry=image.geometry, format_name=form, frame=_FRAMES.get(form), share=share)
    notes = [*prompts.provenance.get("notes", ())]
    if form == "tracings" and share != 1 and sum(len(one.points) > 0 for one in read_tracings(file).tracings) > 1:
        notes.append("trace in several paths: the first share of each taken")
    prompts, flip_notes = _oriented(prompts, image, flip, file)
    prompts, dropped = _inside(prompts, image.geometry, file)
    outside = ("points of the trace outside the image left out",) if dropped else ()
    return prompts, (*notes, *flip_notes, *outside)


def _inside(prompts: PointPrompts, geometry: VolumeGeometry, file: Path) -> tuple[PointPrompts, int]:
    kept, dropped = without_outside(prompts, geometry)
    if 2 * dropped > len(prompts):
        raise InputError(
            f"{dropped} of {len(prompts)} points of the trace lie outside the image",
            file=file,
            remedy="check that trace and image belong together",
        )
    provenance = kept.provenance | ({"outside": dropped} if dropped else {})
    return replace(kept, provenance=provenance), dropped


def _oriented(
    prompts: PointPrompts, image: TracedImage, asked: str, file: Path
) -> tuple[PointPrompts, tuple[str, ...]]:
    """The points flipped as asked for, unless the segmentation says otherwise."""
    voxels = image.geometry.lps_to_voxel(prompts.positions)
    if not image.target.any():
        chosen, notes = asked, ["no TI in the segmentation: nothing to check the trace against"]
    else:
        chosen, notes = _chosen_flip(check_flips(voxels, image.target), asked, file)
    if not chosen:
        return prompts, tuple(notes)
    flipped = flip_voxels(voxels, flip=chosen, shape=image.geometry.shape)
    positions = image.geometry.voxel_to_lps(flipped)
    prompts = PointPrompts(positions=positions, provenance=prompts.provenance | {"flipped": chosen})
    return prompts, (f"trace flipped along {chosen}, as asked for", *notes)


def _chosen_flip(check: FlipCheck, asked: str, file: Path) -> tuple[str, list[str]]:
    chosen, best = check.best_of(asked, ""), check.best_of()
    missed = check.lead(best, over=chosen)
    if missed >= CLEAR_LEAD:
        raise InputError(
            f"only {check.shares[chosen]:.0%} of the trace's points lie in the segmented TI;"
            f" flipped along {best} it would be {check.shares[best]:.0%}",
            file=file,
            remedy=f"look at both together, then give --flip-trace {best} (traces that fit better as they are stay)",
        )
    notes = [f"trace not flipped along {asked}: it fits the segmentation better as it is"] if chosen != asked else []
    if missed > 0:
        notes.append(f"flipped along {best} the trace would have more points in the segmented TI: look at it")
    elif asked and abs(check.lead(asked, over="")) < CLEAR_LEAD:
        notes.append(f"the trace fits the segmentation about as well flipped along {asked} and not: look at it")
    if check.fits_nowhere:
        notes.append("fewer than 10 % of the trace's points lie in the segmented TI, flipped or not: look at it")
    return chosen, notes


def _check_size(meta: Path, geometry: VolumeGeometry) -> None:
    """The description beside a table: one line ``sx,sy,sz,nx,ny,nz``, perhaps after a line of names."""
    size = geometry.shape[::-1]
    numbers = _last_line(meta)
    traced = tuple(round(number) for number in numbers[3:])
    if traced != size:
        shown = " x ".join(map(str, traced)), " x ".join(map(str, size))
        raise InputError(
            f"traced on an image of {shown[0]} voxels, the given one has {shown[1]} (x, y, z)",
            file=meta,
            remedy="give the image that was traced",
        )


def _last_line(meta: Path) -> list[float]:
    try:
        lines = meta.read_text(encoding="utf-8-sig").split("\n")
        numbers = [float(cell) for cell in [line for line in lines if line.strip()][-1].split(",")]
    except (OSError, UnicodeDecodeError, ValueError, IndexError):
        numbers = []
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise InputError(
            "not a line of six numbers sx,sy,sz,nx,ny,nz",
            file=meta,
            remedy="write voxel size and image size there, or remove the file",
        )
    return numbers

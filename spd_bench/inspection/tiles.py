"""Which slices of a case are worth a look, and which part of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Crop = tuple[int, int, int, int]

ROLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "whole": ("largest target slice", ""),
        "zoomed": ("the same, zoomed", "target spans the slice"),
        "end": ("first or last target slice", "no other slice with target"),
        "missed": ("target slice without a point", "no other target slice\nwithout a point"),
        "stray": ("point outside the target", "no other target slice\nwith a point outside"),
        "overrun": ("point on a slice without target", "no point on a slice\nwithout target"),
    }
)
"""Role of a tile -> the head of its column, and what stands in its place where a case has no (other) such slice."""

# A zoomed tile keeps surroundings: a quarter of the field, 24 pixels. A zoom below 1.3 shows nothing new.
_SMALLEST_SHARE = 0.25
_SMALLEST_PIXELS = 24
_MARGIN = 1.5
_LEAST_ZOOM = 1.3
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class CaseSlices:
    """One case as it is shown: everything turned for the reader already.

    Attributes:
        case: the case's id.
        image: intensities (Z, rows, columns).
        mask: the target, same shape.
        points: (N, 3: slice, row, column); None where the case has no prompts.
        pixel: height and width of a pixel in mm.
        window: intensities shown as black and as white.
        top: the patient's side at the upper edge.
        left: the patient's side at the left edge.
    """

    case: str
    image: NDArray[Any]
    mask: NDArray[np.bool_]
    points: NDArray[np.int64] | None
    pixel: tuple[float, float]
    window: tuple[float, float]
    top: str
    left: str


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One slice of the sheet.

    Attributes:
        role: key of :data:`ROLES`.
        case: the case's id.
        index: number of the slice, from 0.
        depth: number of slices of the case.
        image: intensities (rows, columns) of the whole slice.
        mask: the target on it.
        points: (N, 2: row, column), or None where the case has no prompts.
        inside: which points lie in the target.
        crop: the part that is shown: top, bottom, left, right in pixels, the ends excluded.
        frame: the part that another tile shows larger, or None.
        note: what else is to be said of the slice, or nothing.
        pixel: height and width of a pixel in mm.
        window: intensities shown as black and as white.
        sides: the patient's sides at the upper and at the left edge.
    """

    role: str
    case: str
    index: int
    depth: int
    image: NDArray[Any]
    mask: NDArray[np.bool_]
    points: NDArray[np.int64] | None
    inside: NDArray[np.bool_]
    crop: Crop
    frame: Crop | None
    note: str
    pixel: tuple[float, float]
    window: tuple[float, float]
    sides: tuple[str, str]


def evenly(items: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` of the items, spread evenly from the first to the last."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[index] for index in chosen]


def choose_slices(mask: NDArray[np.bool_], points: NDArray[np.int64] | None) -> dict[str, int]:
    """The slices to show, role -> slice, no slice twice; roles that no (other) slice fills are left out.

    ``whole``: the most target pixels (without target the most points, without those the middle). ``end``: the
    first slice with target, the last where the first is shown already. ``missed``: target but no point, the
    largest such. ``stray``: target and the most points outside it. ``overrun``: no target and the most points.
    Of equal slices the first is taken.

    Args:
        mask: the target (Z, rows, columns).
        points: (N, 3: slice, row, column), or None.
    """
    depth = len(mask)
    pixels = np.count_nonzero(mask, axis=(1, 2))
    points = np.zeros((0, 3), np.int64) if points is None else points
    count = np.bincount(points[:, 0], minlength=depth)
    outside = np.bincount(points[~mask[tuple(points.T)], 0], minlength=depth)
    nothing = np.zeros(depth, np.int64)
    target = np.flatnonzero(pixels)
    if not len(target):
        return {"whole": int(count.argmax()) if len(points) else depth // 2}
    chosen = {"whole": int(pixels.argmax())}
    ends = [int(index) for index in (target[0], target[-1]) if index != chosen["whole"]]
    if ends:
        chosen["end"] = ends[0]
    scores = {
        "missed": np.where(count == 0, pixels, 0) if len(points) else nothing,
        "stray": np.where(pixels > 0, outside, 0),
        "overrun": np.where(pixels == 0, count, 0),
    }
    for role, score in scores.items():
        score[list(chosen.values())] = 0
        if score.any():
            chosen[role] = int(score.argmax())
    return chosen


def case_tiles(slices: CaseSlices) -> list[Tile]:
    """The tiles of a case in the order of :data:`ROLES`."""
    chosen = choose_slices(slices.mask, slices.points)
    whole = (0, slices.mask.shape[1], 0, slices.mask.shape[2])
    crops = {role: zoom_crop(*_on_slice(slices, index), slices.pixel) for role, index in chosen.items()}
    frame = crops["whole"] if _zoom(crops["whole"], whole) >= _LEAST_ZOOM else None
    tiles = [_tile(slices, "whole", chosen["whole"], crop=whole, frame=frame)]
    if frame is not None:
        tiles.append(_tile(slices, "zoomed", chosen["whole"], crop=frame))
    return tiles + [_tile(slices, role, chosen[role], crop=crops[role]) for role in ROLES if role in chosen][1:]


def zoom_crop(mask: NDArray[np.bool_], points: NDArray[np.int64] | None, pixel: tuple[float, float]) -> Crop:
    """The part of a slice around its target and its points: square in mm where the slice allows.

    Args:
        mask: the target (rows, columns).
        points: (N, 2: row, column), or None.
        pixel: height and width of a pixel in mm.

    Returns:
        Top, bottom, left, right in pixels, the ends excluded; the whole slice where it holds neither target
        nor points.
    """
    marked = np.concatenate([np.argwhere(mask), np.zeros((0, 2), np.int64) if points is None else points])
    shape = np.array(mask.shape)
    if not len(marked):
        return 0, int(shape[0]), 0, int(shape[1])
    lower, upper = marked.min(axis=0), marked.max(axis=0) + 1
    around = ((upper - lower) * pixel).max() * _MARGIN
    side = max(around, (shape * pixel).max() * _SMALLEST_SHARE, max(pixel) * _SMALLEST_PIXELS)
    size = np.minimum(np.ceil(side / np.array(pixel)).astype(int), shape)
    start = np.clip(np.rint((lower + upper - size) / 2).astype(int), 0, shape - size)
    (top, left), (bottom, right) = start.tolist(), (start + size).tolist()
    return top, bottom, left, right


def _zoom(crop: Crop, whole: Crop) -> float:
    return min((whole[1] - whole[0]) / (crop[1] - crop[0]), (whole[3] - whole[2]) / (crop[3] - crop[2]))


def _on_slice(slices: CaseSlices, index: int) -> tuple[NDArray[np.bool_], NDArray[np.int64] | None]:
    points = slices.points
    return slices.mask[index], None if points is None else points[points[:, 0] == index][:, 1:]


def _tile(slices: CaseSlices, role: str, index: int, *, crop: Crop, frame: Crop | None = None) -> Tile:
    mask, points = _on_slice(slices, index)
    return Tile(
        role=role,
        case=slices.case,
        index=index,
        depth=len(slices.mask),
        # Copies: a view would keep the whole volume in memory.
        image=slices.image[index].copy(),
        mask=mask.copy(),
        points=points,
        inside=np.zeros(0, bool) if points is None else mask[tuple(points.T)],
        crop=crop,
        frame=frame,
        note=_note(slices.mask, role, index),
        pixel=slices.pixel,
        window=slices.window,
        sides=(slices.top, slices.left),
    )


def _note(mask: NDArray[np.bool_], role: str, index: int) -> str:
    target = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(target):
        return "no target in this case"
    if role != "end":
        return ""
    return "first with target" if index == target[0] else "last with target"

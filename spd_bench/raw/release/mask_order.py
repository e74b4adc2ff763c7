"""Finding how a bare mask of emboli lies on its CT by the Hounsfield units under it.

FUMPE's masks are arrays without geometry, and the converters in use disagree about their order. A wrong order shows
nowhere but in the HU under the mask, so every order that is possible is tried and judged by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spd_bench.errors import InputError
from spd_bench.raw.release.mask_placements import AXES, ORDERS, Placement, possible_placements, slices_with_target

CLOT_HU = (-50.0, 180.0)
"""Clots have 0 to 130 HU; the rest is for noise. Contrast in arteries lies above, lung far below."""

SHELL_PX = 2.0
LEAST_SCORE = 0.3
LEAST_LEAD = 0.2
LEAST_VOXELS = 20


@dataclass(frozen=True, kw_only=True)
class ScoredPlacement:
    """A placement and how much the HU under the mask look like emboli, -1 to 1."""

    placement: Placement
    score: float


def scored_placements(
    mask: NDArray[np.uint8], voxels: NDArray[Any], placements: Sequence[Placement]
) -> list[ScoredPlacement]:
    """Placements with their scores, best first.

    The score is the share of mask voxels that have the HU of clots (:data:`CLOT_HU`), less the share of such voxels
    in a shell of two pixels around the mask, within the slices. Emboli lie in contrast, or fill an artery that lung
    surrounds, so that their shell has other HU; a mask that lands in muscle or in lung scores about zero.

    Args:
        mask: (slice, its own two axes), not empty.
        voxels: HU (z, y, x).
        placements: what to try.
    """
    masked = [(number, *_inside_and_shell(mask[number])) for number in slices_with_target(mask)]
    scored = [ScoredPlacement(placement=one, score=_score(masked, voxels, one)) for one in placements]
    return sorted(scored, key=lambda one: -one.score)


def clear_placement(scored: Sequence[ScoredPlacement], *, mask_voxels: int) -> Placement | None:
    """The best placement where there is no doubt about it, otherwise None.

    No doubt means: a mask of 20 voxels or more, a score of 0.3 or more, and a lead of 0.2 or more over the next best.
    On 33 phantoms of 128 pixels right placements score 0.54 or more and lead by 0.42 or more; of masks that were cut
    down to single clots or slices, those below 5 voxels were misplaced now and then, larger ones never.
    """
    best = scored[0]
    lead = best.score - scored[1].score if len(scored) > 1 else np.inf
    if mask_voxels < LEAST_VOXELS or best.score < LEAST_SCORE or lead < LEAST_LEAD:
        return None
    return best.placement


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the user decides about a mask; None leaves it to the HU.

    Attributes:
        order: one of :data:`spd_bench.raw.release.mask_placements.ORDERS`.
        axes: one of :data:`spd_bench.raw.release.mask_placements.AXES`.
    """

    order: str | None = None
    axes: str | None = None


def place_mask(
    mask: NDArray[np.uint8],
    voxels: NDArray[Any],
    *,
    orders: Mapping[str, NDArray[np.intp]],
    decision: Decision,
    file: Path,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Put a mask on its volume, as the HU say or as the user decided. An empty mask lies anywhere.

    Args:
        mask: (slice, its own two axes), 0 and 1.
        voxels: HU (z, y, x).
        orders: names of :data:`ORDERS` -> positions of the mask's slices; all that are possible.
        decision: the user's.
        file: the mask's file, for errors.

    Returns:
        The mask on the volume's grid (z, y, x), and a sentence about how its place was found.

    Raises:
        InputError: the mask does not fit the volume, a decision that the case does not allow, or no placement is
            clear; the line holds the scores.
    """
    if decision.order is not None and decision.order not in orders:
        raise InputError(
            f"this mask has no order {decision.order!r}", file=file, remedy=f"choose one of {', '.join(orders)}"
        )
    every = _placements(mask, voxels, orders=orders, decision=Decision())
    left = _placements(mask, voxels, orders=orders, decision=decision)
    if not left:
        raise InputError(
            f"mask slices of {_sizes(mask.shape[1:])} on image slices of {_sizes(voxels.shape[1:])} (rows x columns)",
            file=file,
            remedy="check that mask and scan are of one patient",
        )
    if not mask.any():
        return left[0].place(mask), ()
    scored = scored_placements(mask, voxels, every)
    decided = decision.order is not None and decision.axes is not None
    placement = left[0] if decided else _found_by_hu(left, scored, mask, orders=tuple(orders), file=file)
    clear = clear_placement(scored, mask_voxels=_voxels(mask))
    against = clear is not None and clear.footprint(mask) != placement.footprint(mask)
    return placement.place(mask), (_sentence(placement, decision, against=against),)


def _placements(
    mask: NDArray[np.uint8], voxels: NDArray[Any], *, orders: Mapping[str, NDArray[np.intp]], decision: Decision
) -> list[Placement]:
    _, rows, columns = voxels.shape
    return possible_placements(
        mask,
        size=(rows, columns),
        orders=orders if decision.order is None else {decision.order: orders[decision.order]},
        axes=tuple(AXES) if decision.axes is None else (decision.axes,),
    )


def _found_by_hu(
    left: Sequence[Placement],
    scored: Sequence[ScoredPlacement],
    mask: NDArray[np.uint8],
    *,
    orders: Sequence[str],
    file: Path,
) -> Placement:
    """The clear one of the placements that the user's decision leaves; InputError where none is."""
    # A placement may have another name among these than among all, where two orders come to the same.
    named = {one.footprint(mask): one for one in left}
    eligible = [replace(one, placement=named[key]) for one in scored if (key := one.placement.footprint(mask)) in named]
    found = clear_placement(eligible, mask_voxels=_voxels(mask))
    if found is None:
        raise _unclear(eligible, mask_voxels=_voxels(mask), orders=orders, file=file)
    return found


def _sentence(placement: Placement, decision: Decision, *, against: bool) -> str:
    """Where the mask was put, and who says so: of half a decision the other half is the HU's."""
    order, axes = f"mask slices taken {ORDERS[placement.order]}", f"mask axes {AXES[placement.axes]}"
    user = f"by the user's decision{', against the HU under the mask' if against else ''}"
    hu = "found by the HU under the mask"
    if (decision.order is None) == (decision.axes is None):
        return f"{order}, {axes}: {hu if decision.order is None else user}"
    if decision.axes is None:
        return f"{order}: {user}; {axes}: {hu}"
    return f"{axes}: {user}; {order}: {hu}"


def _unclear(scored: Sequence[ScoredPlacement], *, mask_voxels: int, orders: Sequence[str], file: Path) -> InputError:
    scores = ", ".join(f"{one.placement.name} {one.score:.2f}" for one in scored)
    small = f"; {mask_voxels} voxels are too few to tell" if mask_voxels < LEAST_VOXELS else ""
    return InputError(
        f"order of the mask is not clear{small} (HU score {scores}; wanted {LEAST_SCORE:g} or more and a lead of"
        f" {LEAST_LEAD:g})",
        file=file,
        remedy=f"look at it and decide with --order CASE={'|'.join(orders)} --axes CASE={'|'.join(AXES)}",
    )


_Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]


def _inside_and_shell(mask_slice: NDArray[np.uint8]) -> tuple[_Pixels, _Pixels]:
    """Indices of a slice's mask pixels and of those around them."""
    rows, columns = np.nonzero(mask_slice)
    margin = int(np.ceil(SHELL_PX)) + 1
    top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
    # The distance is needed near the mask only, which is much smaller than the slice.
    near = mask_slice[top : rows.max() + margin + 1, left : columns.max() + margin + 1]
    distance = ndimage.distance_transform_edt(near == 0)
    shell_rows, shell_columns = np.nonzero((distance > 0) & (distance <= SHELL_PX))
    return (rows, columns), (shell_rows + top, shell_columns + left)


def _score(masked: Sequence[tuple[int, _Pixels, _Pixels]], voxels: NDArray[Any], placement: Placement) -> float:
    inside, shell = [], []
    for number, inside_pixels, shell_pixels in masked:
        # Turning the image's slice instead of the mask's pixels comes to the same.
        hu = placement.turned(voxels[placement.positions[number]])
        inside.append(hu[inside_pixels])
        shell.append(hu[shell_pixels])
    return _share_of_clot(inside) - _share_of_clot(shell)


def _share_of_clot(values: Sequence[NDArray[Any]]) -> float:
    hu = np.concatenate(values)
    low, high = CLOT_HU
    # A mask that fills its slices has no shell and nothing to tell it from what lies around.
    return float(np.mean((hu >= low) & (hu <= high))) if hu.size else 1.0


def _voxels(mask: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(mask))


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

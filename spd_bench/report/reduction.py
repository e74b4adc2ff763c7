"""A case as JSON values, as fine as the room on the page allows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spd_bench.planning.grid import resize_images
from spd_bench.report.cases import CaseView
from spd_bench.report.encoding import jpeg_text, run_lengths, script_json
from spd_bench.report.prompt_sets import PromptSet
from spd_bench.report.turning import LONGEST_SIDE, reduce_mask, reduced_size


class Rung(NamedTuple):
    """How fine a case is drawn: the longest side of its slices in pixels, and the quality of its JPEG files."""

    side: int
    quality: int


RUNGS = (Rung(LONGEST_SIDE, 80), Rung(LONGEST_SIDE, 60), Rung(192, 60), Rung(128, 50), Rung(96, 40), Rung(64, 35))
"""From fine to coarse. A volume of 40 slices takes the first one, one of 400 slices the fourth."""


def fit_case(view: CaseView, *, room: int) -> dict[str, Any] | None:
    """The finest JSON values of a case that take at most ``room`` bytes; None where even the coarsest take more.

    A case whose simulated points and their answers find no room at all is shown on the comparison's own points alone.
    """
    views = [view]
    if len(view.prompt_sets) > 1:
        views.append(replace(view, prompt_sets=view.prompt_sets[:1]))
    tries = (case_values(one, rung=rung) for one in views for rung in RUNGS)
    return next((values for values in tries if len(script_json(values)) <= room), None)


def case_values(view: CaseView, *, rung: Rung = RUNGS[0]) -> dict[str, Any]:
    """What the page's script is given of a case.

    Returns:
        ``size`` (rows, columns) of images and masks, ``grid`` and ``pixel`` (before the reduction, in mm), one JPEG in
        base64 a slice, masks as run lengths a slice. Each of the ``prompt_sets`` holds points ``[x, y, fate]`` a slice
        on ``grid``, and masks and Dice (in percent) of the methods that answered on them.
    """
    size = reduced_size(view.image.shape[1:], rung.side)
    chosen, plan = view.chosen, view.chosen.leader.plan
    return {
        "case": chosen.case,
        "dataset": plan.dataset,
        "fold": chosen.leader.fold,
        "size": list(size),
        "grid": list(view.grid),
        "pixel": list(view.pixel),
        "sides": list(view.sides),
        "images": _jpegs(view.image, size, rung.quality),
        "saliency": None if view.saliency is None else _saliency(view.saliency, size, rung.quality),
        "reference": _runs(view.reference, size),
        "prompt_sets": [_prompt_set(prompts, size, depth=len(view.image)) for prompts in view.prompt_sets],
    }


def _prompt_set(prompts: PromptSet, size: tuple[int, int], *, depth: int) -> dict[str, Any]:
    return {
        "title": prompts.title,
        "severity": prompts.severity,
        "points": _points(prompts, depth),
        "methods": {
            method.name: {
                "masks": _runs(method.mask, size),
                "missing": method.missing,
                "slice_dice": [_percent(dice) for dice in method.slice_dice.tolist()],
                "volumetric_dice": _percent(method.volumetric_dice),
            }
            for method in prompts.methods
        },
    }


def _saliency(saliency: NDArray[np.uint8], size: tuple[int, int], quality: int) -> list[str]:
    # The map is smooth: half the side shows all of it.
    return _jpegs(saliency, reduced_size(size, max(1, max(size) // 2)), quality)


def _jpegs(stack: NDArray[np.uint8], size: tuple[int, int], quality: int) -> list[str]:
    resized = stack
    if stack.shape[1:] != size:
        # Rounding of the resampling may leave the grey levels by a hair.
        resized = np.clip(np.rint(resize_images(stack.astype(np.float32), size)), 0, 255).astype(np.uint8)
    return [jpeg_text(pixels, quality=quality) for pixels in resized]


def _runs(mask: NDArray[np.bool_], size: tuple[int, int]) -> list[str]:
    return [run_lengths(one) for one in reduce_mask(mask, size)]


def _points(prompts: PromptSet, depth: int) -> list[list[list[Any]]]:
    slices: list[list[list[Any]]] = [[] for _ in range(depth)]
    for (index, row, column), fate in zip(prompts.points.tolist(), prompts.fates, strict=True):
        slices[index].append([column, row, str(fate)])
    return slices


def _percent(dice: float) -> float | None:
    return None if math.isnan(dice) else round(100 * dice, 2)

"""A case as JSON values, as fine as the room on the page allows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from spd_bench.report.cases import CaseView
from spd_bench.report.coders import Coder, Coders
from spd_bench.report.encoding import script_json
from spd_bench.report.prompt_sets import PromptSet


def fit_case(view: CaseView, *, room: int, coders: Coders) -> dict[str, Any] | None:
    """The finest JSON values of a case that take at most ``room`` bytes; None where even the coarsest take more.

    A case whose simulated points and their answers find no room at all is shown on the comparison's own points alone.
    """
    views = [view]
    if len(view.prompt_sets) > 1:
        views.append(replace(view, prompt_sets=view.prompt_sets[:1]))
    tries = (case_values(one, coder=coder) for one in views for coder in coders(one))
    return next((values for values in tries if len(script_json(values)) <= room), None)


def case_values(view: CaseView, *, coder: Coder) -> dict[str, Any]:
    """What the page's script is given of a case.

    Returns:
        ``size`` (rows, columns) of images and masks, ``grid`` and ``pixel`` (before the reduction, in mm), ``target``
        (its pixels a slice), and the volumes as the coder makes them. Each of the ``prompt_sets`` holds points
        ``[x, y, fate]`` a slice on ``grid``, and masks and Dice (in percent) of the methods that answered on them.
    """
    chosen, plan = view.chosen, view.chosen.leader.plan
    return {
        "case": chosen.case,
        "dataset": plan.dataset,
        "fold": chosen.leader.fold,
        "size": list(coder.size),
        "grid": list(view.grid),
        "pixel": list(view.pixel),
        "sides": list(view.sides),
        "target": np.count_nonzero(view.reference, axis=(1, 2)).tolist(),
        "images": coder.image(view.image),
        "saliency": None if view.saliency is None else coder.saliency(view.saliency),
        "reference": coder.mask(view.reference),
        "prompt_sets": [_prompt_set(prompts, coder, depth=len(view.image)) for prompts in view.prompt_sets],
        **coder.facts(),
    }


def _prompt_set(prompts: PromptSet, coder: Coder, *, depth: int) -> dict[str, Any]:
    return {
        "title": prompts.title,
        "severity": prompts.severity,
        "points": _points(prompts, depth),
        "methods": {
            method.name: {
                "masks": coder.mask(method.mask),
                "missing": method.missing,
                "slice_dice": [_percent(dice) for dice in method.slice_dice.tolist()],
                "volumetric_dice": _percent(method.volumetric_dice),
            }
            for method in prompts.methods
        },
    }


def _points(prompts: PromptSet, depth: int) -> list[list[list[Any]]]:
    slices: list[list[list[Any]]] = [[] for _ in range(depth)]
    for (index, row, column), fate in zip(prompts.points.tolist(), prompts.fates, strict=True):
        slices[index].append([column, row, str(fate)])
    return slices


def _percent(dice: float) -> float | None:
    return None if math.isnan(dice) else round(100 * dice, 2)

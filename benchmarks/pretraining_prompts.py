"""Prompts for the pretraining of ``sam_small``: points as people leave them, boxes and rough masks, and clean ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Kind = Literal["points", "box", "mask"]

_MOST_POINTS = 16
_WORST_OUTSIDE = 0.4


@dataclass(frozen=True, kw_only=True)
class PromptPlan:
    """What all images of a step are prompted with, so that they are decoded in one pass.

    Attributes:
        kind: points alone, a box alone, or points with a rough mask.
        points: number of points; 0 with a box.
        outside: probability of a point to lie beside the target.
        jitter: standard deviation of a point's displacement, in parts of the target's half width there.
    """

    kind: Kind
    points: int
    outside: float
    jitter: float


def draw_plan(random: np.random.Generator) -> PromptPlan:
    """A plan at random: mostly points, from one to sixteen, half of the time clean."""
    kind = random.choice(["points", "points", "points", "points", "box", "mask"])
    if kind == "box":
        return PromptPlan(kind="box", points=0, outside=0, jitter=random.uniform(0, 0.3))
    points = int(np.exp(random.uniform(0, np.log(_MOST_POINTS + 0.99))))
    noisy = random.random() < 0.5
    return PromptPlan(
        kind=kind,
        points=points,
        outside=random.uniform(0, _WORST_OUTSIDE) if noisy and points > 1 else 0.0,
        jitter=random.uniform(0, 0.8) if noisy else 0.0,
    )


def clean_plan(kind: Kind, points: int) -> PromptPlan:
    """A plan without noise."""
    return PromptPlan(kind=kind, points=points, outside=0.0, jitter=0.0)


def draw_points(random: np.random.Generator, mask: Mask, plan: PromptPlan) -> NDArray[np.int64]:
    """Points (N, 2: x, y) for a target, with the plan's noise; more than it has pixels repeat."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    rows, columns = np.nonzero(mask)
    # People click into the middle of things rather than at their borders.
    weight = depth[rows, columns]
    chosen = random.choice(len(rows), plan.points, p=weight / weight.sum())
    points = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)
    points += random.normal(0, 1, points.shape) * plan.jitter * weight[chosen][:, None]
    beside = random.random(plan.points) < plan.outside
    points[beside] = _points_beside(random, mask, int(beside.sum()))
    return np.clip(np.rint(points), 0, np.array(mask.shape[::-1]) - 1).astype(np.int64)


def _points_beside(random: np.random.Generator, mask: Mask, count: int) -> NDArray[np.float64]:
    """Points that drifted off the target, nearer ones more often."""
    away = ndimage.distance_transform_edt(~mask)
    rows, columns = np.nonzero(away)
    scale = max(3.0, np.sqrt(mask.sum()))
    weight = np.exp(-away[rows, columns] / scale)
    chosen = random.choice(len(rows), count, p=weight / weight.sum())
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)


def draw_box(random: np.random.Generator, mask: Mask, plan: PromptPlan) -> NDArray[np.float32]:
    """The target's box (x0, y0, x1, y1), its sides displaced by up to ``jitter`` of its size."""
    rows, columns = np.nonzero(mask)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float32)
    size = np.maximum(box[2:] - box[:2] + 1, 4.0)
    box += random.uniform(-1, 1, 4).astype(np.float32) * plan.jitter * np.concatenate([size, size])
    return np.clip(box, 0, mask.shape[0] - 1).astype(np.float32)


def draw_rough_mask(random: np.random.Generator, mask: Mask, side: int) -> NDArray[np.float32]:
    """A mask prompt (side, side) of logits: the target blurred, grown or shrunk, at low resolution."""
    spread = random.uniform(0.5, 3.0)
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), spread)
    step = mask.shape[0] // side
    coarse = blurred.reshape(side, step, side, step).mean(axis=(1, 3))
    level = random.uniform(0.2, 0.8) * max(float(coarse.max()), 1e-3)
    return (np.clip((coarse - level) * 20, -8, 8)).astype(np.float32)

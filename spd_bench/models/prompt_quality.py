"""How good point prompts are, measured against the masks: purity and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spd_bench.models.distillation import stack_points


@dataclass(frozen=True, kw_only=True)
class PromptQuality:
    """Counts over the slices of one or more volumes; add two to pool them.

    Attributes:
        points: number of points.
        points_inside: points that lie on a target pixel of their slice.
        target_slices: slices with at least one target pixel.
        target_slices_with_point: those of them with at least one point, wherever it lies.
        empty_slices: slices without a target pixel.
        empty_slices_with_point: those of them with at least one point.
    """

    points: int
    points_inside: int
    target_slices: int
    target_slices_with_point: int
    empty_slices: int
    empty_slices_with_point: int

    @property
    def purity(self) -> float | None:
        """Share of the points that lie inside the target; None where there is no point."""
        return _share(self.points_inside, self.points)

    @property
    def coverage(self) -> float | None:
        """Share of the target slices with a point; None where there is no target slice."""
        return _share(self.target_slices_with_point, self.target_slices)

    @property
    def prompted_empty_share(self) -> float | None:
        """Share of the empty slices with a point; None where there is no empty slice."""
        return _share(self.empty_slices_with_point, self.empty_slices)

    @property
    def score(self) -> float:
        """Harmonic mean of purity and coverage; 0 where either is 0 or None."""
        purity, coverage = self.purity or 0.0, self.coverage or 0.0
        return 2 * purity * coverage / (purity + coverage) if purity and coverage else 0.0

    def __add__(self, other: PromptQuality) -> PromptQuality:
        return PromptQuality(**{name: count + getattr(other, name) for name, count in vars(self).items()})


NO_PROMPTS = PromptQuality(
    points=0,
    points_inside=0,
    target_slices=0,
    target_slices_with_point=0,
    empty_slices=0,
    empty_slices_with_point=0,
)
"""The quality of no volume at all, where a sum begins."""


def prompt_quality(points: Sequence[ArrayLike], masks: ArrayLike) -> PromptQuality:
    """Count how the points of one volume lie to its masks.

    Args:
        points: Z integer arrays (N, 2) of pixels (x, y).
        masks: the target, shape (Z, H, W); every non-zero pixel belongs to it.

    Raises:
        ValueError: a shape or type is wrong, or a point lies outside its slice.
    """
    target = np.asarray(masks) != 0
    if target.ndim != 3:
        msg = f"masks must have shape (Z, H, W), got {target.shape}"
        raise ValueError(msg)
    slices, xy = stack_points(points, shape=target.shape)
    prompted = np.bincount(slices, minlength=len(target)) > 0
    with_target = target.any(axis=(1, 2))
    return PromptQuality(
        points=len(slices),
        points_inside=int(target[slices, xy[:, 1], xy[:, 0]].sum()),
        target_slices=int(with_target.sum()),
        target_slices_with_point=int((with_target & prompted).sum()),
        empty_slices=int((~with_target).sum()),
        empty_slices_with_point=int((~with_target & prompted).sum()),
    )


def _share(count: int, total: int) -> float | None:
    return count / total if total else None

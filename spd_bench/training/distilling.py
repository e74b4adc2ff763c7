"""Stage II's prompts: the noisy points of every case distilled once, by a threshold that is given or chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from spd_bench.models.distillation import distill_prompts
from spd_bench.models.prompt_quality import NO_PROMPTS, PromptQuality, prompt_quality
from spd_bench.training.windows import Points

CANDIDATE_THRESHOLDS: tuple[float, ...] = (0.5, 0.0, *expit(np.linspace(-6.0, 6.0, 24)).tolist())
"""Thresholds to choose from, evenly spread in the logit; the first of equally good ones wins, so the paper's 0.5."""


@dataclass(frozen=True, kw_only=True)
class SalientCase:
    """A case whose points are to be distilled.

    Attributes:
        saliency: (Z, R, R) saliency map in [0, 1].
        points: the noisy points of each slice, (N, 2) integer (x, y).
        masks: the target, (Z, R, R); every non-zero pixel belongs to it.
    """

    saliency: NDArray[np.float32]
    points: Points
    masks: NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class DistilledPrompts:
    """The points that CPD has confirmed.

    Attributes:
        threshold: the tau that confirmed them.
        points: for each case the points of each slice.
        raw: quality of the noisy points on the validation cases.
        distilled: quality of the confirmed points there.
    """

    threshold: float
    points: dict[str, Points]
    raw: PromptQuality
    distilled: PromptQuality

    def quality_notes(self) -> dict[str, dict[str, float | None]]:
        """Both qualities as plain JSON values."""
        return {"raw": shares_of(self.raw), "distilled": shares_of(self.distilled)}


def shares_of(quality: PromptQuality) -> dict[str, float | None]:
    """A quality as plain JSON values."""
    return {
        "purity": quality.purity,
        "coverage": quality.coverage,
        "empty_slices_with_point": quality.prompted_empty_share,
    }


def distill_cases(
    load: Callable[[str], SalientCase],
    *,
    training: Iterable[str],
    validation: Iterable[str],
    threshold: float | None,
    context: int,
) -> DistilledPrompts:
    """Distil the points of all cases; one case lies in memory at a time.

    A saliency map that has seen few images can be right in its order and far too low or high in its values.
    Without a given threshold the one of ``CANDIDATE_THRESHOLDS`` is taken whose points are best on the validation
    cases, by :attr:`PromptQuality.score`; 0 among them keeps every point.

    Args:
        load: reads one case by its name.
        training: names of the training cases.
        validation: names of the validation cases.
        threshold: tau, or None to choose it.
        context: n of CPD.
    """
    candidates = CANDIDATE_THRESHOLDS if threshold is None else (threshold,)
    raw = NO_PROMPTS
    quality = dict.fromkeys(candidates, NO_PROMPTS)
    validated: dict[float, dict[str, Points]] = {candidate: {} for candidate in candidates}
    for name in validation:
        case = load(name)
        raw += prompt_quality(case.points, case.masks)
        for candidate in candidates:
            points = distill_prompts(case.saliency, case.points, threshold=candidate, context=context)
            validated[candidate][name] = points
            quality[candidate] += prompt_quality(points, case.masks)
    chosen = best_threshold(quality)
    points_by_case = validated[chosen]
    for name in training:
        case = load(name)
        points_by_case[name] = distill_prompts(case.saliency, case.points, threshold=chosen, context=context)
    return DistilledPrompts(threshold=chosen, points=points_by_case, raw=raw, distilled=quality[chosen])


def best_threshold(quality: Mapping[float, PromptQuality]) -> float:
    """The threshold whose points have the highest score, of equal ones the first."""
    return max(quality, key=lambda threshold: quality[threshold].score)

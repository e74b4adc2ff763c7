"""All metrics of one case: a row per slice and a row for the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.evaluation.lesions import lesion_scores
from spd_bench.evaluation.overlap import dice_score, iou_score
from spd_bench.evaluation.rules import DEFAULT_RULES, ScoringRules
from spd_bench.evaluation.surface import SurfaceScores, surface_scores
from spd_bench.evaluation.volume_surface import volume_surface_scores


@dataclass(frozen=True, kw_only=True)
class CaseKey:
    """Which prediction a row is about; its fields are the first columns of every row."""

    dataset: str
    method: str
    fold: int
    case: str


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """The metrics of one case.

    Attributes:
        slices: one row per slice, with the columns of ``slices.csv``.
        volume: one row with the columns of ``volumes.csv``.
    """

    slices: tuple[dict[str, Any], ...]
    volume: dict[str, Any]


def evaluate_case(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    key: CaseKey,
    spacing: Sequence[float],
    slice_axis: int = 0,
    rules: ScoringRules = DEFAULT_RULES,
) -> CaseScores:
    """Score a predicted mask against its reference, slice by slice and as a volume.

    Args:
        reference: boolean mask (z, y, x).
        prediction: boolean mask of the same shape.
        key: which prediction this is.
        spacing: voxel size in mm along (z, y, x), :attr:`VolumeGeometry.spacing`.
        slice_axis: axis along which the slices lie, 0, 1 or 2.
        rules: empty policy and HD95 convention.

    Returns:
        The rows of the case. ``average_dice`` of the volume is the mean Dice of all its slices that have one; empty
        slices are among them under the paper's rule.

    Raises:
        ValueError: shapes differ, or ``slice_axis`` is not an axis of the volume.
    """
    if reference.shape != prediction.shape or reference.ndim != 3 or slice_axis not in range(3):
        msg = f"cannot score shape {prediction.shape} against {reference.shape} along axis {slice_axis}"
        raise ValueError(msg)
    in_plane = tuple(size for axis, size in enumerate(spacing) if axis != slice_axis)
    reference = np.moveaxis(reference.astype(bool, copy=False), slice_axis, 0)
    prediction = np.moveaxis(prediction.astype(bool, copy=False), slice_axis, 0)
    counts = {
        "reference": np.count_nonzero(reference, axis=(1, 2)),
        "prediction": np.count_nonzero(prediction, axis=(1, 2)),
        "overlap": np.count_nonzero(reference & prediction, axis=(1, 2)),
    }
    surfaces = [
        surface_scores(mine, theirs, in_plane, hd95=rules.hd95)
        for mine, theirs in zip(reference, prediction, strict=True)
    ]
    volume = {
        **_volume_row(key, counts, rules),
        **volume_surface_scores(reference, prediction, (spacing[slice_axis], *in_plane), rules=rules),
        **lesion_scores(reference, prediction, rules.empty)._asdict(),
    }
    return CaseScores(slices=_slice_rows(key, counts, surfaces, rules), volume=volume)


def _slice_rows(
    key: CaseKey, counts: dict[str, NDArray[np.intp]], surfaces: Sequence[SurfaceScores], rules: ScoringRules
) -> tuple[dict[str, Any], ...]:
    dice, iou = dice_score(**counts, policy=rules.empty), iou_score(**counts, policy=rules.empty)
    return tuple(
        {
            **asdict(key),
            "slice": index,
            "dice": float(dice[index]),
            "iou": float(iou[index]),
            **surface._asdict(),
            "reference_pixels": int(counts["reference"][index]),
            "prediction_pixels": int(counts["prediction"][index]),
        }
        for index, surface in enumerate(surfaces)
    )


def _volume_row(key: CaseKey, counts: dict[str, NDArray[np.intp]], rules: ScoringRules) -> dict[str, Any]:
    totals = {name: count.sum() for name, count in counts.items()}
    dice = dice_score(**counts, policy=rules.empty)
    scored = dice[~np.isnan(dice)]
    return {
        **asdict(key),
        "volumetric_dice": float(dice_score(**totals, policy=rules.empty)),
        "average_dice": float(scored.mean()) if scored.size else np.nan,
        "slices": len(counts["reference"]),
        "foreground_slices": int(np.count_nonzero(counts["reference"])),
    }

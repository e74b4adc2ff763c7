"""A trained SPD network on one volume: encoded once, then decoded from points distilled in many ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor

from spd_bench.evaluation.overlap import dice_score
from spd_bench.models.distillation import distill_prompts
from spd_bench.models.inference import BATCH, encode_slices, saliency_maps
from spd_bench.models.spd import SPDNetwork
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.training.prompted import EmptyPrompt

Mask = NDArray[np.bool_]
Points = list[NDArray[np.int64]]

LEARNED = "learned"
"""The network's own saliency map."""
ORACLE = "oracle"
"""The target grown by two pixels: what a perfect Stage I would leave to Stage II."""

_GROWN_BY = 2


@dataclass(frozen=True, kw_only=True, order=True)
class AblatedSetting:
    """How points are distilled and what becomes of a slice without one.

    Attributes:
        saliency: whose map confirms the points, ``LEARNED`` or ``ORACLE``.
        context: n, the neighbouring slices on each side.
        threshold: tau; 0 with n = 0 leaves the points as they are.
        empty_prompt: a slice without a point is left empty (``skip``) or decoded without one (``decode``).
    """

    saliency: str = LEARNED
    context: int
    threshold: float
    empty_prompt: EmptyPrompt = "skip"


@dataclass(frozen=True, kw_only=True)
class EncodedCase:
    """What all settings share.

    Attributes:
        embeddings: of all slices (Z, C, h, w).
        saliency: maps by their name, each (Z, R, R).
        points: the noisy points of each slice, (N, 2) integer (x, y).
        target: the reference on its own grid (z, y, x).
        transpose: the axis order of the planned arrays.
    """

    embeddings: Tensor
    saliency: Mapping[str, NDArray[np.float32]]
    points: Points
    target: Mask
    transpose: Sequence[int]


def encode_case(
    network: SPDNetwork,
    slices: NDArray[np.float32],
    points: Points,
    *,
    target: Mask,
    planned_target: Mask,
    transpose: Sequence[int],
) -> EncodedCase:
    """Encode a volume.

    Args:
        network: a trained SPD network.
        slices: (Z, 3, R, R) in [-1, 1].
        points: the noisy points of each slice.
        target: the reference on its own grid.
        planned_target: the reference on the slices (Z, R, R).
        transpose: the axis order of the planned arrays.
    """
    device = next(network.parameters()).device
    parts = list(encode_slices(network, slices, device=device))
    learned = np.concatenate([saliency_maps(network, part).cpu().numpy() for part in parts])
    disc = np.hypot(*np.mgrid[-_GROWN_BY : _GROWN_BY + 1, -_GROWN_BY : _GROWN_BY + 1])[None] <= _GROWN_BY
    oracle = binary_dilation(planned_target, structure=disc).astype(np.float32)
    return EncodedCase(
        embeddings=torch.cat(parts),
        saliency={LEARNED: learned, ORACLE: oracle},
        points=points,
        target=target,
        transpose=transpose,
    )


def score_settings(
    network: SPDNetwork, case: EncodedCase, settings: Iterable[AblatedSetting]
) -> dict[AblatedSetting, dict[str, float]]:
    """Dice of a volume by setting; a slice is decoded once for all settings that leave it the same points."""
    prompts = {
        setting: distill_prompts(
            case.saliency[setting.saliency], case.points, threshold=setting.threshold, context=setting.context
        )
        for setting in settings
    }
    wanted = {
        _key(index, points): (index, points)
        for setting, slices in prompts.items()
        for index, points in enumerate(slices)
        if len(points) or setting.empty_prompt == "decode"
    }
    decoded = _decode(network, case, wanted)
    scores = {}
    for setting, slices in prompts.items():
        mask = np.zeros_like(case.target)
        planned = mask.transpose(case.transpose)
        for index, points in enumerate(slices):
            if len(points) or setting.empty_prompt == "decode":
                planned[index] = decoded[_key(index, points)]
        scores[setting] = dice_of_volume(mask, case)
    return scores


def saliency_alone(case: EncodedCase, *, threshold: float) -> dict[str, float]:
    """Dice of the network's saliency map as a mask, without any prompt."""
    planned = (case.saliency[LEARNED] > threshold).astype(np.float32) - np.float32(0.5)
    return dice_of_volume(masks_on_own_grid(planned, shape=case.target.shape, transpose=case.transpose) > 0, case)


def dice_of_volume(mask: Mask, case: EncodedCase) -> dict[str, float]:
    """Volumetric, Average and foreground-slice Dice in 0..1 by the paper's rules; the last NaN without target."""
    target, mask = (array.transpose(case.transpose) for array in (case.target, mask))
    counts = {
        "reference": np.count_nonzero(target, axis=(1, 2)),
        "prediction": np.count_nonzero(mask, axis=(1, 2)),
        "overlap": np.count_nonzero(target & mask, axis=(1, 2)),
    }
    slices = dice_score(**counts)
    foreground = counts["reference"] > 0
    return {
        "volumetric_dice": float(dice_score(**{name: count.sum() for name, count in counts.items()})),
        "average_dice": float(slices.mean()),
        "foreground_dice": float(slices[foreground].mean()) if foreground.any() else np.nan,
    }


def _key(index: int, points: NDArray[np.int64]) -> tuple[int, bytes]:
    """Equal for the same points in any order: the decoder knows no order."""
    return index, points[np.lexsort(points.T)].tobytes()


@torch.inference_mode()
def _decode(
    network: SPDNetwork, case: EncodedCase, wanted: Mapping[tuple[int, bytes], tuple[int, NDArray[np.int64]]]
) -> dict[tuple[int, bytes], Mask]:
    """Masks of single slices on their own grid."""
    in_plane = tuple(case.target.transpose(case.transpose).shape[1:])
    ordered = sorted(wanted, key=lambda key: len(wanted[key][1]))
    found: dict[tuple[int, bytes], Mask] = {}
    for start in range(0, len(ordered), BATCH):
        keys = ordered[start : start + BATCH]
        rows, points = zip(*(wanted[key] for key in keys), strict=True)
        logits = network.decode(case.embeddings[list(rows)], list(points)).float().cpu().numpy()
        masks = masks_on_own_grid(logits, shape=(len(keys), *in_plane), transpose=(0, 1, 2)) > 0
        found.update(zip(keys, masks, strict=True))
    return found

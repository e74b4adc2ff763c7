"""Tau for prediction: the threshold with which the trained decoder segments the validation cases best.

Stage II begins with the threshold whose points are best by purity and coverage (:mod:`spd_bench.training.distilling`).
What the decoder makes of points is known at its end only: one that has learned to live with wrong points loses more by
a slice without any. So the threshold is chosen again, by volumetric Dice, and the weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.distillation import distill_prompts, slices_with_candidates
from spd_bench.models.inference import BATCH, encode_slices, saliency_of
from spd_bench.models.precision import precision
from spd_bench.models.prompt_quality import NO_PROMPTS, PromptQuality, prompt_quality
from spd_bench.models.spd import SPDNetwork
from spd_bench.training.prompted import EmptyPrompt
from spd_bench.training.windows import Points

_Key = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A case, whole.

    Attributes:
        slices: (Z, 3, R, R) in [-1, 1].
        points: the noisy points of each slice, (N, 2) integer (x, y).
        masks: the target, (Z, R, R); every non-zero pixel belongs to it.
    """

    slices: NDArray[np.float32]
    points: Points
    masks: NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class ThresholdChoice:
    """What was chosen, and how good it is on the validation cases.

    Attributes:
        threshold: tau.
        dice: volumetric Dice on the slices' grid, averaged over the cases.
        quality: the quality of the points that it confirms.
    """

    threshold: float
    dice: float
    quality: PromptQuality


def choose_threshold(
    network: SPDNetwork,
    load: Callable[[str], Volume],
    *,
    cases: Iterable[str],
    candidates: Sequence[float],
    context: int,
    empty_prompt: EmptyPrompt,
    device: torch.device,
) -> ThresholdChoice:
    """Segment the validation cases with every candidate and take the best, of equally good ones the first.

    A slice is encoded once, and decoded once for all thresholds that leave it the same points.

    Args:
        network: the trained network, on the device.
        load: reads one case by its name; one lies in memory at a time.
        cases: names of the validation cases, at least one.
        candidates: thresholds to choose from.
        context: n of CPD.
        empty_prompt: what becomes of a slice without a point.
        device: where the network lies.
    """
    dice: list[NDArray[np.float64]] = []
    quality = [NO_PROMPTS for _ in candidates]
    for name in cases:
        volume = load(name)
        trial = _Trial(network, volume, context=context, empty_prompt=empty_prompt, device=device)
        prompts = [trial.distilled(threshold) for threshold in candidates]
        dice.append(trial.dice(prompts))
        quality = [sum_ + prompt_quality(points, volume.masks) for sum_, points in zip(quality, prompts, strict=True)]
    means = np.mean(dice, axis=0)
    best = int(means.argmax())
    return ThresholdChoice(threshold=candidates[best], dice=float(means[best]), quality=quality[best])


class _Trial:
    """One case, encoded, whose points are distilled and decoded in several ways."""

    def __init__(
        self,
        network: SPDNetwork,
        volume: Volume,
        *,
        context: int,
        empty_prompt: EmptyPrompt,
        device: torch.device,
    ) -> None:
        self._network = network
        self._volume = volume
        self._context = context
        self._device = device
        self._decodes_empty = empty_prompt == "decode"
        # Elsewhere no point can become a prompt.
        asked = slices_with_candidates(volume.points, context=context) | self._decodes_empty
        self._rows = {int(z): row for row, z in enumerate(np.flatnonzero(asked))}
        batches = list(encode_slices(network, volume.slices, device=device, only=asked))
        self._embeddings = torch.cat(batches) if batches else None
        self._saliency = saliency_of(network, batches, of=asked)

    def distilled(self, threshold: float) -> Points:
        """The points that a threshold confirms."""
        return distill_prompts(self._saliency, self._volume.points, threshold=threshold, context=self._context)

    def dice(self, prompts: Sequence[Points]) -> NDArray[np.float64]:
        """Volumetric Dice of the masks decoded from each of several sets of points; two empty volumes score 1."""
        wanted = {key: points[key[0]] for points in prompts for key in self._keys(points)}
        counts = self._counts(wanted)
        reference = int(np.count_nonzero(self._volume.masks))
        found = []
        for points in prompts:
            overlap, predicted = np.sum([(0, 0), *(counts[key] for key in self._keys(points))], axis=0)
            found.append(2 * overlap / (predicted + reference) if predicted + reference else 1.0)
        return np.array(found)

    def _keys(self, points: Points) -> list[_Key]:
        """The slices that are decoded, each with its points."""
        return [(z, points[z].tobytes()) for z in self._rows if len(points[z]) or self._decodes_empty]

    @torch.inference_mode()
    def _counts(self, wanted: dict[_Key, NDArray[np.int64]]) -> dict[_Key, tuple[int, int]]:
        """Pixels of overlap and of the mask for each slice and its points."""
        keys = sorted(wanted, key=lambda key: len(wanted[key]))
        counts: dict[_Key, tuple[int, int]] = {}
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH]
            masks = self._decode([key[0] for key in part], [wanted[key] for key in part])
            targets = self._volume.masks[[key[0] for key in part]] != 0
            for key, mask, target in zip(part, masks.cpu().numpy(), targets, strict=True):
                counts[key] = (int(np.count_nonzero(mask & target)), int(np.count_nonzero(mask)))
        return counts

    def _decode(self, slices: list[int], points: Points) -> Tensor:
        if self._embeddings is None:
            msg = "no slice was encoded"
            raise RuntimeError(msg)
        with precision(self._device):
            logits = self._network.decode(self._embeddings[[self._rows[z] for z in slices]], points)
        return logits > 0

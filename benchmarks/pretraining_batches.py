"""Batches for the pretraining of ``sam_small``: scenes and prompts drawn from (seed, step) alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.pretraining_prompts import PromptPlan, draw_box, draw_plan, draw_points, draw_rough_mask
from benchmarks.pretraining_scenes.scene import TRAINING_FAMILIES, Scene, make_scene

STRIDE_OF_MASK_PROMPTS = 2
"""SAM takes mask prompts at four times the embedding's grid: half the image's side at stride 8."""

_SMALLEST_MEASURED_SHARE = 1 / 400


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Prompts of one kind, one for each image of a batch.

    Attributes:
        masks: the targets (B, R, R), 0 or 1.
        points: (B, N, 2) pixels (x, y), or None.
        boxes: (B, 4) pixels (x0, y0, x1, y1), or None.
        rough: (B, 1, R / 2, R / 2) logits of mask prompts, or None.
    """

    masks: Tensor
    points: Tensor | None = None
    boxes: Tensor | None = None
    rough: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class SceneBatch:
    """Images (B, 3, R, R) in [-1, 1] and some sets of prompts for them."""

    images: Tensor
    prompts: list[Prompts]


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """What a batch is made of.

    Attributes:
        seed: seed of all scenes and prompts.
        batch_size: images in a batch.
        prompts: sets of prompts for each image.
        sides: sides of the images in pixels and the shares of the steps at which they are used, in order.
        steps: number of batches.
    """

    seed: int
    batch_size: int
    prompts: int
    sides: tuple[tuple[int, float], ...]
    steps: int

    def side_at(self, step: int) -> int:
        """Side of the images at a step."""
        done = 0.0
        for side, share in self.sides:
            done += share
            if step < round(done * self.steps):
                return side
        return self.sides[-1][0]


class SceneBatches(Dataset[SceneBatch]):
    """Batch number ``step``; the same in every process and however often it is asked for."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings

    def __len__(self) -> int:
        return self._settings.steps

    def __getitem__(self, step: int) -> SceneBatch:
        settings = self._settings
        random = np.random.default_rng([settings.seed, step, 1])
        side, size = settings.side_at(step), settings.batch_size
        scenes = [make_scene(seed=settings.seed, index=step * size + number, side=side) for number in range(size)]
        plans = [draw_plan(random) for _ in range(settings.prompts)]
        return SceneBatch(images=images_of(scenes), prompts=[_prompts(random, scenes, plan) for plan in plans])


def images_of(scenes: list[Scene]) -> Tensor:
    """Images (B, 3, R, R) in [-1, 1] of scenes."""
    return torch.from_numpy(np.stack([scene.image for scene in scenes]))[:, None].float().expand(-1, 3, -1, -1)


def _prompts(random: np.random.Generator, scenes: list[Scene], plan: PromptPlan) -> Prompts:
    # The scene's own family half of the time; the other objects teach to follow the prompt, not the eye-catcher.
    targets = [
        scene.masks[0] if random.random() < 0.5 else scene.masks[random.integers(len(scene.masks))] for scene in scenes
    ]
    return prompts_for(random, targets, plan)


def prompts_for(random: np.random.Generator, targets: list[np.ndarray], plan: PromptPlan) -> Prompts:
    """One prompt for each target (R, R), all by one plan."""
    masks = torch.from_numpy(np.stack(targets).astype(np.float32))
    if plan.kind == "box":
        boxes = np.stack([draw_box(random, target, plan) for target in targets])
        return Prompts(masks=masks, boxes=torch.from_numpy(boxes))
    points = torch.from_numpy(np.stack([draw_points(random, target, plan) for target in targets])).float()
    if plan.kind == "points":
        return Prompts(masks=masks, points=points)
    side = targets[0].shape[0] // STRIDE_OF_MASK_PROMPTS
    rough = np.stack([draw_rough_mask(random, target, side) for target in targets])[:, None]
    return Prompts(masks=masks, points=points, rough=torch.from_numpy(rough))


def fixed_scenes(seed: int, *, count: int, side: int, families: tuple[str, ...] = TRAINING_FAMILIES) -> list[Scene]:
    """Scenes to measure on, of their own seed, each target large enough for the picture to show its shape."""
    return [
        make_scene(seed=seed, index=index, side=side, families=families, smallest_share=_SMALLEST_MEASURED_SHARE)
        for index in range(count)
    ]

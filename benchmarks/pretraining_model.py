"""One pass of ``sam_small`` over images and prompts, SAM's losses, and how well it follows prompts."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from benchmarks.pretraining_batches import Prompts, images_of, prompts_for
from benchmarks.pretraining_prompts import clean_plan
from benchmarks.pretraining_scenes.scene import Scene
from spd_bench.models.sam_small_encoder import STRIDE

_FOCAL_WEIGHT = 20.0
_SMOOTHING = 1.0


def set_side(sam: Sam, side: int) -> None:
    """Make a ``sam_small`` take images of another size; no weight depends on it."""
    grid = side // STRIDE
    sam.image_encoder.img_size = side
    sam.prompt_encoder.image_embedding_size = (grid, grid)
    sam.prompt_encoder.input_image_size = (side, side)
    sam.prompt_encoder.mask_input_size = (4 * grid, 4 * grid)


def decode_all(sam: Sam, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """All four mask logits (B, 4, R, R) and their predicted IoUs (B, 4); the first is the single-mask output."""
    points = None if prompts.points is None else (prompts.points, torch.ones(prompts.points.shape[:2]).to(embeddings))
    sparse, dense = sam.prompt_encoder(points=points, boxes=prompts.boxes, masks=prompts.rough)
    # The decoder repeats one image for many prompts; here each prompt has its own image.
    masks, ious = sam.mask_decoder.predict_masks(
        image_embeddings=torch.zeros_like(embeddings[:1]),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=embeddings + dense,
    )
    return functional.interpolate(masks, prompts.masks.shape[-2:], mode="bilinear", align_corners=False), ious


def prompt_loss(logits: Tensor, ious: Tensor, prompts: Prompts) -> Tensor:
    """SAM's losses of one set of prompts: 20 focal + dice + the IoU head's squared error.

    The single-mask output is trained on every prompt, as it is the one that this project decodes. The three others
    share an ambiguous prompt: only the best of them is trained.

    Args:
        logits: (B, 4, R, R).
        ious: predicted IoUs (B, 4).
        prompts: what they answer.
    """
    target = prompts.masks[:, None].expand_as(logits)
    focal = _focal(logits, target).mean(dim=(2, 3))
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * target).sum(dim=(2, 3))
    sizes = probabilities.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    dice = 1 - (2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)
    losses = _FOCAL_WEIGHT * focal + dice
    error = (ious - iou(logits > 0, target > 0)).square()
    best = losses[:, 1:].argmin(dim=1, keepdim=True)
    chosen = losses[:, 1:].gather(1, best).mean() + error[:, 1:].mean()
    return losses[:, 0].mean() + error[:, 0].mean() + chosen


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return cross_entropy * (1 - torch.exp(-cross_entropy)).square()


def iou(predicted: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of masks (..., R, R); 1 for two empty ones."""
    union = (predicted | target).sum(dim=(-2, -1))
    return torch.where(union > 0, (predicted & target).sum(dim=(-2, -1)) / union.clamp(min=1), 1.0)


def measure(sam: Sam, scenes: list[Scene], *, device: torch.device, batch_size: int = 16) -> dict[str, float]:
    """Means of :func:`scene_ious`."""
    found = scene_ious(sam, scenes, device=device, batch_size=batch_size)
    return {name: float(np.mean(values)) for name, values in found.items()}


@torch.inference_mode()
def scene_ious(sam: Sam, scenes: list[Scene], *, device: torch.device, batch_size: int = 16) -> dict[str, list[float]]:
    """IoU of the single-mask output on each scene's first target, at 1, 3 and 8 clean points and a box."""
    sam.eval()
    set_side(sam, len(scenes[0].image))
    found: dict[str, list[float]] = {}
    for start in range(0, len(scenes), batch_size):
        part = scenes[start : start + batch_size]
        embeddings = sam.image_encoder(images_of(part).to(device))
        for name, plan in _MEASURED.items():
            random = np.random.default_rng([start, plan.points])
            prompts = to_device(prompts_for(random, [scene.masks[0] for scene in part], plan), device)
            logits = decode_all(sam, embeddings, prompts)[0][:, 0]
            found.setdefault(name, []).extend(iou(logits > 0, prompts.masks > 0).tolist())
    return found


_MEASURED = {
    "points_1": clean_plan("points", 1),
    "points_3": clean_plan("points", 3),
    "points_8": clean_plan("points", 8),
    "box": clean_plan("box", 0),
}


def to_device(prompts: Prompts, device: torch.device) -> Prompts:
    """Prompts on a device."""
    moved = {name: value if value is None else value.to(device) for name, value in vars(prompts).items()}
    return Prompts(**cast(dict[str, Tensor], moved))

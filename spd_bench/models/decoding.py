"""Masks from image embeddings and point prompts, for many images at once, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional


def decode_points(sam: Sam, embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor], *, resolution: int) -> Tensor:
    """Decode one mask for each image from its own positive points.

    Images with equally many points are decoded together. Point sets are never padded to a common length, because
    SAM's padding token changes the mask. All images of a group are in memory at once, so split long volumes.

    Args:
        sam: the model; its prompt encoder and mask decoder are used.
        embeddings: image embeddings, shape (B, C, h, w).
        points: B arrays of shape (N, 2), pixels (x, y) of the model's input image, all taken as positive. They
            are pixel indices: SAM itself moves them to the pixels' centres. N may differ and may be 0.
        resolution: side of the masks returned, in pixels.

    Returns:
        Mask logits, shape (B, resolution, resolution), as from ``SamPredictor`` with ``multimask_output=False``.

    Raises:
        ValueError: a shape is wrong.
    """
    _check_embeddings(sam, embeddings)
    coordinates = _check_points(embeddings, points)
    groups: dict[int, list[int]] = {}
    for index, array in enumerate(coordinates):
        groups.setdefault(len(array), []).append(index)
    masks = [
        _decode(sam, embeddings[members], points=torch.stack([coordinates[index] for index in members]))
        for members in groups.values()
    ]
    order = torch.tensor([index for members in groups.values() for index in members], device=embeddings.device)
    return _enlarge(torch.cat(masks)[torch.argsort(order)], resolution)


def decode_boxes(sam: Sam, embeddings: Tensor, boxes: Tensor, *, resolution: int) -> Tensor:
    """Decode one mask for each image from its own box.

    Args:
        sam: the model; its prompt encoder and mask decoder are used.
        embeddings: image embeddings, shape (B, C, h, w).
        boxes: shape (B, 4), pixels (x0, y0, x1, y1) of the model's input image.
        resolution: side of the masks returned, in pixels.

    Returns:
        Mask logits, shape (B, resolution, resolution).

    Raises:
        ValueError: a shape is wrong.
    """
    _check_embeddings(sam, embeddings)
    if tuple(boxes.shape) != (len(embeddings), 4):
        msg = f"boxes must have shape ({len(embeddings)}, 4), got {tuple(boxes.shape)}"
        raise ValueError(msg)
    return _enlarge(_decode(sam, embeddings, boxes=boxes.to(embeddings.device, torch.float32)), resolution)


def _check_embeddings(sam: Sam, embeddings: Tensor) -> None:
    expected = (sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size)
    if embeddings.ndim != 4 or not len(embeddings) or tuple(embeddings.shape[1:]) != expected:
        msg = f"embeddings must have shape (B >= 1, {', '.join(map(str, expected))}), got {tuple(embeddings.shape)}"
        raise ValueError(msg)


def _check_points(embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> list[Tensor]:
    if len(points) != len(embeddings):
        msg = f"points must have one array for each of {len(embeddings)} images, got {len(points)}"
        raise ValueError(msg)
    coordinates = [torch.as_tensor(array, dtype=torch.float32, device=embeddings.device) for array in points]
    for index, array in enumerate(coordinates):
        if array.ndim != 2 or array.shape[1] != 2:
            msg = f"points must have shape (N, 2), got {tuple(array.shape)} for image {index}"
            raise ValueError(msg)
    return coordinates


def _enlarge(low_resolution: Tensor, resolution: int) -> Tensor:
    """(B, 1, h', w') -> (B, resolution, resolution)."""
    size = (resolution, resolution)
    return functional.interpolate(low_resolution, size=size, mode="bilinear", align_corners=False)[:, 0]


def _decode(sam: Sam, embeddings: Tensor, *, points: Tensor | None = None, boxes: Tensor | None = None) -> Tensor:
    """Low-resolution logits (B, 1, h', w') from points (B, N, 2) or boxes (B, 4)."""
    sparse, dense, positions = _encode_prompts(sam, points, boxes, device=embeddings.device)
    # MaskDecoder repeats "image_embeddings" for each prompt, then adds "dense_prompt_embeddings". It means one
    # image with many prompts. Here every prompt has its own image and the dense embedding is common to all, so the
    # two change places; the sum is the same.
    masks: Tensor = sam.mask_decoder(
        image_embeddings=dense,
        image_pe=positions,
        sparse_prompt_embeddings=sparse.expand(len(embeddings), -1, -1),
        dense_prompt_embeddings=embeddings,
        multimask_output=False,
    )[0]
    return masks


def _encode_prompts(
    sam: Sam, points: Tensor | None, boxes: Tensor | None, *, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Sparse (B or 1, N', C) and dense (1, C, h, w) prompt embeddings, and the image's positions (1, C, h, w)."""
    prompt = None
    if points is not None and points.shape[1]:
        prompt = (points, torch.ones(points.shape[:2], device=device))
    # Half precision would round coordinates by up to a pixel before their sines are taken.
    with torch.autocast(device_type=device.type, enabled=False):
        sparse, dense = sam.prompt_encoder(points=prompt, boxes=boxes, masks=None)
        positions = sam.prompt_encoder.get_dense_pe()
    return sparse, dense[:1], positions

"""SAM 2 on single slices, with gradients: image encoder, prompt encoder and mask decoder, no memory.

The decoding follows facebookresearch/sam2 (``SAM2Base._forward_sam_heads``) but for two things that have no gradient
there. It returns the mask also where the object score says that there is no object, and hands the score back. And
where several masks are decoded (up to one point), the one of the highest predicted IoU is taken in training too, as
in prediction; the original trains the one of the lowest loss.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spd_bench.models.sam2 import normalise_images, resolution_of

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

SAM2_PARTS: dict[str, tuple[str, ...]] = {
    "image_encoder": ("vision_encoder",),
    "prompt_encoder": ("prompt_encoder",),
    "mask_decoder": ("mask_decoder",),
    "memory": (
        "memory_attention",
        "memory_encoder",
        "memory_temporal_positional_encoding",
        "no_memory_embedding",
        "no_memory_positional_encoding",
        "no_object_pointer",
        "occlusion_spatial_embedding_parameter",
        "mask_downsample",
        "object_pointer_proj",
        "temporal_positional_encoding_projection_layer",
    ),
}
"""Parts of SAM 2 that can be trained or frozen, with their modules and parameters."""


@dataclass(frozen=True, kw_only=True)
class FrameOutput:
    """What SAM 2 says of B slices.

    Attributes:
        logits: (B, R, R) mask logits, before the object score is applied.
        predicted_iou: (B,) the decoder's guess of the mask's IoU, in [0, 1].
        object_score: (B,) logit of there being an object; SAM 2 leaves a slice empty where it is not positive.
    """

    logits: Tensor
    predicted_iou: Tensor
    object_score: Tensor


def decode_frame(model: Sam2VideoModel, images: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
    """Mask logits (B, R, R) of slices, each on its own: ``decode_frame_with_scores`` without the scores."""
    return decode_frame_with_scores(model, images, points).logits


def decode_frame_with_scores(
    model: Sam2VideoModel, images: Tensor, points: Sequence[NDArray[Any] | Tensor]
) -> FrameOutput:
    """Segment slices, each on its own, from positive points.

    Args:
        model: from ``build_sam2``, on the device of the images.
        images: (B, 3, R, R) in [-1, 1].
        points: for each image (N, 2) as (x, y), in pixels of the image. N may differ and may be 0, which decodes
            with SAM 2's not-a-point token.

    Raises:
        ValueError: a shape is wrong.
    """
    coordinates = _check(model, images, points)
    features = _encode(model, images)
    groups: dict[int, list[int]] = {}
    for index, array in enumerate(coordinates):
        groups.setdefault(len(array), []).append(index)
    outputs = [
        _decode_group(model, [level[members] for level in features], torch.stack([coordinates[i] for i in members]))
        for members in groups.values()
    ]
    order = torch.argsort(torch.tensor([index for members in groups.values() for index in members]))
    low_resolution, iou, score = (torch.cat(parts)[order.to(images.device)] for parts in zip(*outputs, strict=True))
    size = (resolution_of(model), resolution_of(model))
    logits = functional.interpolate(low_resolution.float(), size=size, mode="bilinear", align_corners=False)
    return FrameOutput(logits=logits[:, 0], predicted_iou=iou[:, 0], object_score=score[:, 0])


def train_only(model: Sam2VideoModel, parts: Collection[str]) -> list[nn.Parameter]:
    """Freeze all of the model but the named parts, and return the parameters that are left to train.

    Args:
        model: from ``build_sam2``.
        parts: names in ``SAM2_PARTS``.

    Raises:
        ValueError: a part is unknown.
    """
    unknown = sorted(set(parts) - set(SAM2_PARTS))
    if unknown:
        msg = f"parts must be among {', '.join(SAM2_PARTS)}, got {', '.join(unknown)}"
        raise ValueError(msg)
    trained = {name for part in parts for name in SAM2_PARTS[part]}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in trained)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _check(model: Sam2VideoModel, images: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> list[Tensor]:
    expected = (3, resolution_of(model), resolution_of(model))
    if images.ndim != 4 or not len(images) or tuple(images.shape[1:]) != expected:
        msg = f"images must have shape (B >= 1, {', '.join(map(str, expected))}), got {tuple(images.shape)}"
        raise ValueError(msg)
    if len(points) != len(images):
        msg = f"points must have one array for each of {len(images)} images, got {len(points)}"
        raise ValueError(msg)
    coordinates = [torch.as_tensor(array, dtype=torch.float32, device=images.device) for array in points]
    for index, array in enumerate(coordinates):
        if array.ndim != 2 or array.shape[1] != 2:
            msg = f"points must have shape (N, 2), got {tuple(array.shape)} for image {index}"
            raise ValueError(msg)
    return coordinates


def _encode(model: Sam2VideoModel, images: Tensor) -> list[Tensor]:
    """Feature maps (B, C, h, w) of strides 4, 8 and 16, the last with SAM 2's sign that there is no memory."""
    output = model.get_image_features(normalise_images(images), return_dict=True)
    levels = [
        level.permute(1, 2, 0).unflatten(2, tuple(size))
        for level, size in zip(output.fpn_hidden_states, model.backbone_feature_sizes, strict=True)
    ]
    return [*levels[:-1], levels[-1] + model.no_memory_embedding.reshape(1, -1, 1, 1)]


def _decode_group(model: Sam2VideoModel, features: list[Tensor], points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Low-resolution logits (B, 1, h, w), IoU (B, 1) and object score (B, 1) from equally many points (B, N, 2)."""
    count, number = points.shape[:2]
    labels = torch.ones((count, number), dtype=torch.int32, device=points.device)
    if not number:
        points, labels = points.new_zeros((count, 1, 2)), -labels.new_ones((count, 1))
    # Half precision would round coordinates by up to a pixel before their sines are taken.
    with torch.autocast(device_type=points.device.type, enabled=False):
        sparse, dense = model.prompt_encoder(
            input_points=points[:, None], input_labels=labels[:, None], input_boxes=None, input_masks=None
        )
        positions = model.get_image_wide_positional_embeddings()
    several = model.config.multimask_min_pt_num <= number <= model.config.multimask_max_pt_num
    masks, iou, _, score = model.mask_decoder(
        image_embeddings=features[-1],
        image_positional_embeddings=positions.expand(count, -1, -1, -1),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several and model.config.multimask_output_in_sam,
        high_resolution_features=features[:-1],
    )
    best = torch.argmax(iou[:, 0], dim=1)
    chosen = torch.arange(count, device=points.device)
    return masks[chosen, 0, best][:, None], iou[chosen, 0, best][:, None], score[:, 0]

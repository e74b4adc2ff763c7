"""SAM as others run it, with the weights of one of our networks: slice by slice, as published or by transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import Tensor
from torch.nn import functional

from spd_bench.models.hugging_face import segment_anything_name
from spd_bench.models.sam import VIT_CONFIGS, build_sam, image_encoder_sizes

if TYPE_CHECKING:
    from transformers import SamModel

Segment = Callable[[NDArray[np.float32], Sequence[NDArray[np.int64]]], NDArray[np.uint8]]
"""Slices (Z, 3, R, R) and the points of each -> masks (Z, R, R)."""


def stock_sam(sam: Sam, *, backbone: str, resolution: int) -> Sam:
    """A SAM all of whose modules are segment_anything's own, with another one's weights."""
    stock = build_sam(backbone, resolution=resolution)
    stock.image_encoder = ImageEncoderViT(**image_encoder_sizes(VIT_CONFIGS[backbone], resolution=resolution))
    stock.load_state_dict(sam.state_dict())
    return stock.eval()


def transformers_sam(sam: Sam, *, backbone: str, resolution: int) -> SamModel:
    """Transformers' SAM of the same sizes, with a SAM's weights."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    config = VIT_CONFIGS[backbone]
    width = config.prompt_embed_dim
    model = SamModel(
        SamConfig(
            vision_config=SamVisionConfig(
                hidden_size=config.embed_dim,
                num_hidden_layers=config.depth,
                num_attention_heads=config.num_heads,
                global_attn_indexes=list(config.global_attn_indexes),
                window_size=config.window_size,
                patch_size=config.patch_size,
                output_channels=width,
                num_pos_feats=width // 2,
                image_size=resolution,
            ),
            prompt_encoder_config=SamPromptEncoderConfig(
                hidden_size=width, image_size=resolution, patch_size=config.patch_size
            ),
            mask_decoder_config=SamMaskDecoderConfig(
                hidden_size=width, mlp_dim=config.decoder_mlp_dim, iou_head_hidden_dim=width
            ),
        )
    )
    weights = sam.state_dict()
    model.load_state_dict({name: weights[segment_anything_name(name)] for name in model.state_dict()})
    return model.eval()


def segment_with_stock(sam: Sam, device: torch.device) -> Segment:
    """What ``SamPredictor`` does with each slice, without its resizing to 1024."""

    def logits(image: Tensor, points: Tensor) -> Tensor:
        sparse, dense = sam.prompt_encoder(
            points=(points[None], torch.ones(1, len(points), device=device)), boxes=None, masks=None
        )
        low_resolution: Tensor = sam.mask_decoder(
            image_embeddings=sam.image_encoder(image[None]),
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )[0]
        return low_resolution

    return partial(_slice_by_slice, logits, device=device)


def segment_with_transformers(model: SamModel, device: torch.device) -> Segment:
    """Transformers' model, one slice a call."""

    def logits(image: Tensor, points: Tensor) -> Tensor:
        answer = model(pixel_values=image[None], input_points=points[None, None], multimask_output=False)
        low_resolution: Tensor = answer.pred_masks[:, 0]
        return low_resolution

    return partial(_slice_by_slice, logits, device=device)


@torch.inference_mode()
def _slice_by_slice(
    logits: Callable[[Tensor, Tensor], Tensor],
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
) -> NDArray[np.uint8]:
    masks = []
    for image, given in zip(slices, points, strict=True):
        pixels = torch.from_numpy(given).to(device, torch.float32)
        low_resolution = logits(torch.from_numpy(image).to(device), pixels)
        large = functional.interpolate(low_resolution, slices.shape[-2:], mode="bilinear", align_corners=False)
        masks.append((large[0, 0] > 0).to(torch.uint8).cpu().numpy())
    return np.stack(masks)

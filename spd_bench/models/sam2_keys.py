"""Names of SAM 2.1's weights: those of facebookresearch/sam2 and those of transformers, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

PROMPT_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
IMAGE_POSITIONS = "shared_image_embedding.positional_embedding"
"""One matrix of SAM 2, which transformers keeps under two names."""

POINT_EMBEDDINGS = tuple(f"sam_prompt_encoder.point_embeddings.{label}.weight" for label in range(4))
"""Four rows of SAM 2 (negative and positive point, two corners of a box), which transformers keeps as one table."""
POINT_TABLE = "prompt_encoder.point_embed.weight"


def _prefixed(official: str, ours: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{official}.{name}": f"{ours}.{renamed}" for name, renamed in names.items()}


def _attentions(*names: str) -> dict[str, str]:
    projections = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "out_proj": "o_proj"}
    return {f"{name}.{part}": f"{name}.{renamed}" for name in names for part, renamed in projections.items()}


def _norms(count: int) -> dict[str, str]:
    return {f"norm{number}": f"layer_norm{number}" for number in range(1, count + 1)}


_TWO_LAYERS = {"mlp.layers.0": "mlp.proj_in", "mlp.layers.1": "mlp.proj_out"}
_THREE_LAYERS = {"layers.0": "proj_in", "layers.1": "layers.0", "layers.2": "proj_out"}
_DOWNSAMPLING = {
    f"mask_downsampler.encoder.{3 * layer + offset}": f"mask_downsampler.layers.{layer}.{part}"
    for layer in range(4)
    for offset, part in enumerate(("conv", "layer_norm"))
}

MODULES: dict[str, str] = {
    "maskmem_tpos_enc": "memory_temporal_positional_encoding",
    "no_mem_embed": "no_memory_embedding",
    "no_mem_pos_enc": "no_memory_positional_encoding",
    "no_obj_ptr": "no_object_pointer",
    "no_obj_embed_spatial": "occlusion_spatial_embedding_parameter",
    "mask_downsample": "mask_downsample",
    "obj_ptr_tpos_proj": "temporal_positional_encoding_projection_layer",
    "image_encoder.neck.convs.*.conv": "vision_encoder.neck.convs.*",
    "memory_attention.norm": "memory_attention.layer_norm",
    **_prefixed("obj_ptr_proj", "object_pointer_proj", _THREE_LAYERS),
    **_prefixed(
        "image_encoder.trunk",
        "vision_encoder.backbone",
        {
            "pos_embed": "pos_embed",
            "pos_embed_window": "pos_embed_window",
            "patch_embed.proj": "patch_embed.projection",
        },
    ),
    **_prefixed(
        "image_encoder.trunk.blocks.*",
        "vision_encoder.backbone.blocks.*",
        {"attn.qkv": "attn.qkv", "attn.proj": "attn.proj", "proj": "proj", **_norms(2), **_TWO_LAYERS},
    ),
    **_prefixed(
        "memory_attention.layers.*",
        "memory_attention.layers.*",
        {
            "linear1": "linear1",
            "linear2": "linear2",
            **_norms(3),
            **_attentions("self_attn", "cross_attn_image"),
        },
    ),
    **_prefixed(
        "memory_encoder",
        "memory_encoder",
        {
            **_DOWNSAMPLING,
            "mask_downsampler.encoder.12": "mask_downsampler.final_conv",
            "pix_feat_proj": "feature_projection",
            "out_proj": "projection",
        },
    ),
    **_prefixed(
        "memory_encoder.fuser.layers.*",
        "memory_encoder.memory_fuser.layers.*",
        {
            "gamma": "scale",
            "dwconv": "depthwise_conv",
            "norm": "layer_norm",
            "pwconv1": "pointwise_conv1",
            "pwconv2": "pointwise_conv2",
        },
    ),
    **_prefixed(
        "sam_prompt_encoder",
        "prompt_encoder",
        {
            "pe_layer.positional_encoding_gaussian_matrix": "shared_embedding.positional_embedding",
            "not_a_point_embed": "not_a_point_embed",
            "no_mask_embed": "no_mask_embed",
            "mask_downscaling.0": "mask_embed.conv1",
            "mask_downscaling.1": "mask_embed.layer_norm1",
            "mask_downscaling.3": "mask_embed.conv2",
            "mask_downscaling.4": "mask_embed.layer_norm2",
            "mask_downscaling.6": "mask_embed.conv3",
        },
    ),
    **_prefixed(
        "sam_mask_decoder",
        "mask_decoder",
        {
            **{name: name for name in ("iou_token", "mask_tokens", "obj_score_token", "conv_s0", "conv_s1")},
            "output_upscaling.0": "upscale_conv1",
            "output_upscaling.1": "upscale_layer_norm",
            "output_upscaling.3": "upscale_conv2",
        },
    ),
    **_prefixed("sam_mask_decoder.iou_prediction_head", "mask_decoder.iou_prediction_head", _THREE_LAYERS),
    **_prefixed("sam_mask_decoder.pred_obj_score_head", "mask_decoder.pred_obj_score_head", _THREE_LAYERS),
    **_prefixed(
        "sam_mask_decoder.output_hypernetworks_mlps.*", "mask_decoder.output_hypernetworks_mlps.*", _THREE_LAYERS
    ),
    **_prefixed(
        "sam_mask_decoder.transformer",
        "mask_decoder.transformer",
        {"norm_final_attn": "layer_norm_final_attn", **_attentions("final_attn_token_to_image")},
    ),
    **_prefixed(
        "sam_mask_decoder.transformer.layers.*",
        "mask_decoder.transformer.layers.*",
        {
            **_norms(4),
            **_TWO_LAYERS,
            **_attentions("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"),
        },
    ),
}
"""Modules and parameters of facebookresearch/sam2 -> those of transformers; ``*`` is a number, equal on both sides."""

_PATTERNS = [
    (re.compile(re.escape(official).replace(r"\*", r"(\d+)") + r"(\.weight|\.bias)?"), ours)
    for official, ours in MODULES.items()
]


def is_official(keys: Iterable[str]) -> bool:
    """Whether the keys are of the kind of facebookresearch/sam2's files."""
    return any(key.startswith(("image_encoder.", "sam_mask_decoder.", "sam_prompt_encoder.")) for key in keys)


def translate_key(key: str) -> str | None:
    """The name in transformers of a weight of facebookresearch/sam2, or None where it has none of its own."""
    for pattern, ours in _PATTERNS:
        match = pattern.fullmatch(key)
        if match is None:
            continue
        *numbers, suffix = match.groups()
        for number in numbers:
            ours = ours.replace("*", number, 1)
        return ours + (suffix or "")
    return None


def translate_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of facebookresearch/sam2 under transformers' names.

    A weight that transformers does not know keeps its name, so that a check of the names tells of it.
    """
    translated = {}
    for key, value in weights.items():
        if key not in POINT_EMBEDDINGS:
            translated[translate_key(key) or key] = value
    rows = [weights[key] for key in POINT_EMBEDDINGS if key in weights]
    if rows:
        translated[POINT_TABLE] = torch.cat(rows)
    if PROMPT_POSITIONS in translated:
        translated[IMAGE_POSITIONS] = translated[PROMPT_POSITIONS]
    return translated

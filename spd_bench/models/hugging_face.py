"""Names of SAM's tensors in transformers' ``SamModel``, and what they are called in segment_anything.

The two packages hold the same tensors under other names (https://github.com/huggingface/transformers,
``models/sam/modeling_sam.py``); nothing is transposed, split or rescaled. The layer norms of the mask decoder's
transformer add 1e-6 to the variance in transformers and 1e-5 in segment_anything, which moves logits by about 1e-5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_IMAGE_POSITIONS = "shared_image_embedding.positional_embedding"

_TABLE: tuple[tuple[str, str], ...] = (
    (re.escape(_IMAGE_POSITIONS), _POSITIONS),
    (r"prompt_encoder\.shared_embedding\.positional_embedding", _POSITIONS),
    (r"vision_encoder\.pos_embed", r"image_encoder.pos_embed"),
    (r"vision_encoder\.patch_embed\.projection\.(\w+)", r"image_encoder.patch_embed.proj.\1"),
    (r"vision_encoder\.layers\.(\d+)\.layer_norm([12])\.(\w+)", r"image_encoder.blocks.\1.norm\2.\3"),
    (r"vision_encoder\.layers\.(\d+)\.((?:attn|mlp)\..+)", r"image_encoder.blocks.\1.\2"),
    (r"vision_encoder\.neck\.conv1\.(\w+)", r"image_encoder.neck.0.\1"),
    (r"vision_encoder\.neck\.layer_norm1\.(\w+)", r"image_encoder.neck.1.\1"),
    (r"vision_encoder\.neck\.conv2\.(\w+)", r"image_encoder.neck.2.\1"),
    (r"vision_encoder\.neck\.layer_norm2\.(\w+)", r"image_encoder.neck.3.\1"),
    (r"prompt_encoder\.point_embed\.(\d+)\.(\w+)", r"prompt_encoder.point_embeddings.\1.\2"),
    (r"prompt_encoder\.(not_a_point_embed|no_mask_embed)\.(\w+)", r"prompt_encoder.\1.\2"),
    (r"prompt_encoder\.mask_embed\.conv1\.(\w+)", r"prompt_encoder.mask_downscaling.0.\1"),
    (r"prompt_encoder\.mask_embed\.layer_norm1\.(\w+)", r"prompt_encoder.mask_downscaling.1.\1"),
    (r"prompt_encoder\.mask_embed\.conv2\.(\w+)", r"prompt_encoder.mask_downscaling.3.\1"),
    (r"prompt_encoder\.mask_embed\.layer_norm2\.(\w+)", r"prompt_encoder.mask_downscaling.4.\1"),
    (r"prompt_encoder\.mask_embed\.conv3\.(\w+)", r"prompt_encoder.mask_downscaling.6.\1"),
    (r"mask_decoder\.(iou_token|mask_tokens)\.(\w+)", r"mask_decoder.\1.\2"),
    (r"mask_decoder\.transformer\.layer_norm_final_attn\.(\w+)", r"mask_decoder.transformer.norm_final_attn.\1"),
    (r"(mask_decoder\.transformer\.layers\.\d+)\.layer_norm(\d)\.(\w+)", r"\1.norm\2.\3"),
    (r"(mask_decoder\.transformer\.(?:layers|final_attn_token_to_image)\..+)", r"\1"),
    (r"mask_decoder\.upscale_conv1\.(\w+)", r"mask_decoder.output_upscaling.0.\1"),
    (r"mask_decoder\.upscale_layer_norm\.(\w+)", r"mask_decoder.output_upscaling.1.\1"),
    (r"mask_decoder\.upscale_conv2\.(\w+)", r"mask_decoder.output_upscaling.3.\1"),
    # Each of the decoder's heads is an MLP of three layers.
    (r"(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))\.proj_in\.(\w+)", r"\1.layers.0.\2"),
    (r"(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))\.layers\.0\.(\w+)", r"\1.layers.1.\2"),
    (r"(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))\.proj_out\.(\w+)", r"\1.layers.2.\2"),
)


def is_sam_model(names: Iterable[str]) -> bool:
    """Whether tensors are named as in transformers' ``SamModel``."""
    return any(name.startswith("vision_encoder.layers.") for name in names)


def segment_anything_name(name: str) -> str:
    """What a tensor of ``SamModel`` is called in segment_anything; a name of no such tensor is returned as it is.

    Example:
        >>> segment_anything_name("vision_encoder.layers.3.layer_norm1.weight")
        'image_encoder.blocks.3.norm1.weight'
    """
    for pattern, replacement in _TABLE:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return name


def to_segment_anything(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ``SamModel`` with segment_anything's names.

    The positional matrix has two names in transformers. A file holds either or both; where both, transformers takes
    the image's, and so does this.
    """
    renamed = {segment_anything_name(name): value for name, value in weights.items()}
    if _IMAGE_POSITIONS in weights:
        renamed[_POSITIONS] = weights[_IMAGE_POSITIONS]
    return renamed

"""SAM 2.1 at any resolution: what the backbones are, and how one is built.

The network is ``transformers.Sam2VideoModel`` (Apache-2.0), a port of SAM 2 (Ravi et al., "SAM 2: Segment Anything
in Images and Videos", 2024, https://github.com/facebookresearch/sam2, Apache-2.0). MedSAM2 (Ma et al., 2025,
https://github.com/bowang-lab/MedSAM2) is ``hiera_tiny`` at 512 with other weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.models.intensity import INTENSITIES

if TYPE_CHECKING:
    from transformers import Sam2VideoConfig, Sam2VideoModel

_EMBEDDING_STRIDE = 16
_COARSEST_STRIDE = 32
_STAGES = 4


@dataclass(frozen=True, kw_only=True)
class Sam2Sizes:
    """The sizes of one SAM 2.1; each stage of its image encoder doubles width and heads and halves the grid.

    Attributes:
        embed_dim: width of the encoder's first stage.
        num_heads: attention heads of the first stage.
        blocks_per_stage: transformer blocks in each of the four stages.
        global_attention_blocks: blocks, counted over all stages, that attend over the whole image.
        background_size: side of the table of absolute positions, which is interpolated to the image's grid.
        window_sizes: side of the attention windows of each stage, in tokens of that stage.
        hidden_size: channels of the image embedding, the prompts, the mask decoder and the memory attention
            (a multiple of 64, the channels of a memory; above it, since the original projects to 64 only then).
        feed_forward_size: hidden width of the mask decoder's and the memory attention's layers.
    """

    embed_dim: int
    num_heads: int
    blocks_per_stage: tuple[int, ...]
    global_attention_blocks: tuple[int, ...]
    background_size: int = 7
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)
    hidden_size: int = 256
    feed_forward_size: int = 2048

    def __post_init__(self) -> None:
        for name in ("embed_dim", "num_heads", "background_size", "feed_forward_size"):
            if getattr(self, name) < 1:
                msg = f"{name} must be positive, got {getattr(self, name)}"
                raise ValueError(msg)
        for name in ("blocks_per_stage", "window_sizes"):
            if len(getattr(self, name)) != _STAGES or min(getattr(self, name)) < 1:
                msg = f"{name} must be {_STAGES} positive numbers, got {getattr(self, name)}"
                raise ValueError(msg)
        if self.embed_dim % self.num_heads:
            msg = f"embed_dim must be a multiple of num_heads={self.num_heads}, got {self.embed_dim}"
            raise ValueError(msg)
        if self.hidden_size < 128 or self.hidden_size % 64:
            msg = f"hidden_size must be a multiple of 64 from 128 on, got {self.hidden_size}"
            raise ValueError(msg)
        pooling = set(accumulate(self.blocks_per_stage[:-1]))
        allowed = set(range(sum(self.blocks_per_stage))) - pooling
        if not allowed.issuperset(self.global_attention_blocks):
            given = self.global_attention_blocks
            msg = f"global_attention_blocks must be blocks that begin no later stage, got {given}"
            raise ValueError(msg)


SAM2_BACKBONES: dict[str, Sam2Sizes] = {
    "hiera_tiny": Sam2Sizes(
        embed_dim=96, num_heads=1, blocks_per_stage=(1, 2, 7, 2), global_attention_blocks=(5, 7, 9)
    ),
    "hiera_small": Sam2Sizes(
        embed_dim=96, num_heads=1, blocks_per_stage=(1, 2, 11, 2), global_attention_blocks=(7, 10, 13)
    ),
    "hiera_base_plus": Sam2Sizes(
        embed_dim=112,
        num_heads=2,
        blocks_per_stage=(2, 3, 16, 3),
        global_attention_blocks=(12, 16, 20),
        background_size=14,
    ),
    "hiera_large": Sam2Sizes(
        embed_dim=144,
        num_heads=2,
        blocks_per_stage=(2, 6, 36, 4),
        global_attention_blocks=(23, 33, 43),
        window_sizes=(8, 4, 16, 8),
    ),
}
"""The four published sizes of SAM 2.1."""


def build_sam2(name: str, *, resolution: int) -> Sam2VideoModel:
    """A SAM 2.1 with random weights for square images of one size.

    Nothing is fetched. The weights come from torch's global generator: seed it first.

    Args:
        name: a name in ``SAM2_BACKBONES``.
        resolution: side of the input images in pixels, a multiple of 32.

    Returns:
        The model, in evaluation mode, with SAM 2.1's video settings (7 memories, 16 object pointers).

    Raises:
        InputError: the backbone is unknown.
        ValueError: the resolution does not fit.
    """
    if name not in SAM2_BACKBONES:
        raise InputError(f"unknown SAM 2 backbone {name!r}", remedy=f"choose one of {', '.join(SAM2_BACKBONES)}")
    return build_sam2_from_sizes(SAM2_BACKBONES[name], resolution=resolution)


def build_sam2_from_sizes(sizes: Sam2Sizes, *, resolution: int) -> Sam2VideoModel:
    """As ``build_sam2``, from sizes instead of a name."""
    window = sizes.window_sizes[0]
    if resolution < 1 or resolution % _COARSEST_STRIDE or resolution // 4 % window:
        msg = f"resolution must be a positive multiple of {_COARSEST_STRIDE} and of {4 * window}, got {resolution}"
        raise ValueError(msg)
    from transformers import Sam2VideoModel  # takes seconds

    model = Sam2VideoModel(_config(sizes, resolution))
    # SAM 2 has one random matrix for the positions of points and of image tokens; the port keeps it twice and
    # would draw two different ones.
    with torch.no_grad():
        shared = model.prompt_encoder.shared_embedding.positional_embedding
        model.shared_image_embedding.positional_embedding.copy_(shared)
    return model.eval()


def resolution_of(model: Sam2VideoModel) -> int:
    """Side, in pixels, of the square images that a model was built for."""
    return cast("int", model.config.image_size)


def normalise_images(images: Tensor) -> Tensor:
    """Images (..., 3, R, R) in [-1, 1], as every method gets them, with ImageNet's mean and standard deviation."""
    mean = images.new_tensor(INTENSITIES["imagenet"].mean)[:, None, None]
    std = images.new_tensor(INTENSITIES["imagenet"].std)[:, None, None]
    return ((images + 1) / 2 - mean) / std


def _config(sizes: Sam2Sizes, resolution: int) -> Sam2VideoConfig:
    """Every size that follows from the resolution is set here; transformers' defaults are those of 1024."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    hidden = sizes.hidden_size
    widths = [sizes.embed_dim * 2**stage for stage in range(_STAGES)]
    backbone = Sam2HieraDetConfig(
        hidden_size=sizes.embed_dim,
        num_attention_heads=sizes.num_heads,
        image_size=[resolution, resolution],
        window_positional_embedding_background_size=[sizes.background_size, sizes.background_size],
        blocks_per_stage=list(sizes.blocks_per_stage),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[sizes.num_heads * 2**stage for stage in range(_STAGES)],
        window_size_per_stage=list(sizes.window_sizes),
        global_attention_blocks=list(sizes.global_attention_blocks),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[resolution // stride] * 2 for stride in (4, 8, _EMBEDDING_STRIDE)],
        fpn_hidden_size=hidden,
    )
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=hidden, image_size=resolution, patch_size=_EMBEDDING_STRIDE
        ),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(hidden_size=hidden, mlp_dim=sizes.feed_forward_size),
        image_size=resolution,
        memory_attention_hidden_size=hidden,
        memory_attention_feed_forward_hidden_size=sizes.feed_forward_size,
        memory_attention_rope_feat_sizes=[resolution // _EMBEDDING_STRIDE] * 2,
        memory_encoder_hidden_size=hidden,
        mask_downsampler_embed_dim=hidden,
        memory_fuser_embed_dim=hidden,
        memory_fuser_intermediate_dim=4 * hidden,
    )

"""SAM at any resolution: what the backbones are, and how one is built.

The modules are those of ``segment_anything`` (Kirillov et al., "Segment Anything", ICCV 2023,
https://github.com/facebookresearch/segment-anything), so the state-dict keys of ``vit_b``, ``vit_l`` and
``vit_h`` are those of the published files. The image encoder computes the same faster (``image_encoder``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from spd_bench.errors import InputError
from spd_bench.models.image_encoder import FusedImageEncoder
from spd_bench.models.sam_small import build_sam_small

PRETRAINED_RESOLUTION = 1024
"""Side, in pixels, of the square images that the published SAM weights were trained on."""


@dataclass(frozen=True, kw_only=True)
class SamConfig:
    """The sizes of one SAM whose image encoder is SAM's own vision transformer.

    Attributes:
        embed_dim: width of the image encoder's tokens.
        depth: number of transformer blocks in the image encoder.
        num_heads: attention heads in each block.
        global_attn_indexes: blocks that attend over the whole image; all others attend within windows.
        window_size: side of a window, in tokens.
        patch_size: side of the square of pixels behind one token.
        prompt_embed_dim: channels of the image embedding, the prompts and the mask decoder (a multiple of 16,
            because the decoder has 8 heads of half width).
        decoder_mlp_dim: hidden width of the mask decoder's transformer.
    """

    embed_dim: int
    depth: int
    num_heads: int
    global_attn_indexes: tuple[int, ...]
    window_size: int = 14
    patch_size: int = 16
    prompt_embed_dim: int = 256
    decoder_mlp_dim: int = 2048

    def __post_init__(self) -> None:
        for name in ("embed_dim", "depth", "num_heads", "window_size", "patch_size", "decoder_mlp_dim"):
            if getattr(self, name) < 1:
                msg = f"{name} must be positive, got {getattr(self, name)}"
                raise ValueError(msg)
        if self.embed_dim % self.num_heads:
            msg = f"embed_dim must be a multiple of num_heads={self.num_heads}, got {self.embed_dim}"
            raise ValueError(msg)
        if self.prompt_embed_dim < 16 or self.prompt_embed_dim % 16:
            msg = f"prompt_embed_dim must be a positive multiple of 16, got {self.prompt_embed_dim}"
            raise ValueError(msg)
        if not all(0 <= index < self.depth for index in self.global_attn_indexes):
            msg = f"global_attn_indexes must lie in 0..{self.depth - 1}, got {self.global_attn_indexes}"
            raise ValueError(msg)


VIT_CONFIGS: dict[str, SamConfig] = {
    "vit_b": SamConfig(embed_dim=768, depth=12, num_heads=12, global_attn_indexes=(2, 5, 8, 11)),
    "vit_l": SamConfig(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23)),
    "vit_h": SamConfig(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31)),
    "vit_t": SamConfig(
        embed_dim=128,
        depth=4,
        num_heads=4,
        global_attn_indexes=(1, 3),
        window_size=8,
        patch_size=8,
        prompt_embed_dim=128,
        decoder_mlp_dim=512,
    ),
}
"""SAM's three published backbones, and ``vit_t``: ours, without published weights, small enough for a CPU."""

SMALL_BACKBONE = "sam_small"
"""The backbone that the package has weights for (``spd_bench.models.builtin_weights``)."""


def build_sam(backbone: str, *, resolution: int) -> Sam:
    """A SAM with random weights for square images of one size.

    Args:
        backbone: a name in ``BACKBONES``.
        resolution: side of the input images in pixels, a multiple of the backbone's patch size (of 32 for
            ``sam_small``).

    Returns:
        The model, in evaluation mode. Its ``pixel_mean`` and ``pixel_std`` are SAM's own; only
        ``Sam.forward`` and ``SamPredictor`` apply them.

    Raises:
        InputError: the backbone is unknown.
        ValueError: the resolution does not suit the backbone.
    """
    check_backbone(backbone)
    return BACKBONES[backbone](resolution=resolution)


def has_absolute_positions(backbone: str) -> bool:
    """Whether the backbone's embeddings know where in the image they are: SAM's add a learned one to every token."""
    check_backbone(backbone)
    return backbone in VIT_CONFIGS


def check_backbone(backbone: str) -> None:
    """Raise InputError where there is no backbone of that name."""
    if backbone not in BACKBONES:
        raise InputError(f"unknown backbone {backbone!r}", remedy=f"choose one of {', '.join(BACKBONES)}")


def build_sam_from_config(config: SamConfig, *, resolution: int) -> Sam:
    """As ``build_sam``, from sizes instead of a name."""
    if resolution < 1 or resolution % config.patch_size:
        msg = f"resolution must be a positive multiple of the patch size {config.patch_size}, got {resolution}"
        raise ValueError(msg)
    grid = resolution // config.patch_size
    sam = Sam(
        image_encoder=FusedImageEncoder(**image_encoder_sizes(config, resolution=resolution)),
        prompt_encoder=PromptEncoder(
            embed_dim=config.prompt_embed_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(resolution, resolution),
            mask_in_chans=16,
        ),
        mask_decoder=_build_mask_decoder(config),
    )
    return sam.eval()


def image_encoder_sizes(config: SamConfig, *, resolution: int) -> dict[str, Any]:
    """What segment_anything's ``ImageEncoderViT``, and ours, is built with for square images of one size."""
    return {
        "img_size": resolution,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": 4,
        "out_chans": config.prompt_embed_dim,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "use_rel_pos": True,
        "window_size": config.window_size,
        "global_attn_indexes": config.global_attn_indexes,
    }


def _build_mask_decoder(config: SamConfig) -> MaskDecoder:
    return MaskDecoder(
        transformer_dim=config.prompt_embed_dim,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=config.prompt_embed_dim, num_heads=8, mlp_dim=config.decoder_mlp_dim
        ),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=config.prompt_embed_dim,
    )


BACKBONES: dict[str, Callable[..., Sam]] = {
    **{name: partial(build_sam_from_config, config) for name, config in VIT_CONFIGS.items()},
    SMALL_BACKBONE: build_sam_small,
}
"""All backbones by name: each builds a SAM for a ``resolution``."""

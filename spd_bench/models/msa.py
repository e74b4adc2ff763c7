"""Adapters in the blocks of SAM's image encoder, as in Medical SAM Adapter (MSA).

Wu et al., "Medical SAM Adapter: Adapting Segment Anything Model for Medical Image Segmentation" (arXiv 2304.12620),
rebuilt from its description; none of its code is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from spd_bench.models.image_encoder import FusedBlock, FusedImageEncoder
from spd_bench.models.sam_small_encoder import SmallImageEncoder


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """The adapters' size and weight; the defaults are MSA's.

    Attributes:
        reduction: an adapter is this many times narrower inside than the block.
        mlp_scale: factor of the adapter beside the MLP.
    """

    reduction: int = 4
    mlp_scale: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.reduction, int) or self.reduction < 1:
            msg = f"reduction must be a whole number of at least 1, got {self.reduction!r}"
            raise ValueError(msg)
        if not 0 <= self.mlp_scale < float("inf"):
            msg = f"mlp_scale must be finite and at least 0, got {self.mlp_scale}"
            raise ValueError(msg)


class Adapter(nn.Sequential):
    """Linear (d to d / reduction), GELU, Linear (back to d).

    MSA's description does not say how adapters start; here the last layer is zero, so that they add nothing at first.

    Args:
        width: d, the width of the tokens.
        reduction: see :class:`AdapterSettings`.
    """

    def __init__(self, width: int, reduction: int) -> None:
        inner = max(1, width // reduction)
        last = nn.Linear(inner, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(nn.Linear(width, inner), nn.GELU(), last)


class AdapterBlock(nn.Module):
    """A transformer block of SAM's image encoder with two adapters.

    One follows the attention, with a skip: a + A(a) takes the place of the attention's output a. The other stands
    beside the MLP, without one: MLP(n) + scale * A(n) of the normalised tokens n takes the place of MLP(n). The block
    holds the given block's own layers under their names, so that pretrained parameters keep theirs.

    Args:
        block: the block, whose layers are taken over.
        settings: the adapters.
    """

    def __init__(self, block: FusedBlock, settings: AdapterSettings) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp
        width = cast(int, block.attn.proj.out_features)
        self.attention_adapter = Adapter(width, settings.reduction)
        self.mlp_adapter = Adapter(width, settings.reduction)
        self.mlp_scale = settings.mlp_scale

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w, d) -> the same shape."""
        attended = self.attn(self.norm1(tokens))
        tokens = tokens + attended + self.attention_adapter(attended)
        normalised = self.norm2(tokens)
        return cast(Tensor, tokens + self.mlp(normalised) + self.mlp_scale * self.mlp_adapter(normalised))


def add_adapters(encoder: FusedImageEncoder | SmallImageEncoder, settings: AdapterSettings) -> None:
    """Put adapters into every block of ``encoder``, in place.

    It stays the same object; in its state dict ``attention_adapter.*`` and ``mlp_adapter.*`` stand beside each
    block's own parameters. The output does not change at first.
    """
    for index, block in enumerate(encoder.blocks):
        encoder.blocks[index] = AdapterBlock(cast(FusedBlock, block), settings)


def ignore_relative_positions(encoder: FusedImageEncoder | SmallImageEncoder) -> None:
    """Attend without the relative positions, in place; their parameters stay where they are, unused."""
    for block in encoder.blocks:
        cast(FusedBlock, block).attn.use_rel_pos = False

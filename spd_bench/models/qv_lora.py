"""Low-rank updates of the queries and the values of an attention whose one linear layer computes q, k and v.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, adapt W_q and W_v; Zhang and Liu,
"Customized Segment Anything Model for Medical Image Segmentation" (SAMed), 2023, do so in SAM's encoder. peft adapts
whole layers, and in SAM these three are one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ADAPTED = ("q", "v")


class QVLoraLinear(nn.Module):
    """A linear layer D -> 3 D of q, k and v with a low-rank update each for q and v; k is the layer's own.

    q = W_q x + alpha / rank * B_q A_q x, and the same for v. As in peft, A starts as any linear layer does
    and B at zero, so the output is the layer's own at first. Parameters are named as peft's: ``base_layer.weight``,
    ``lora_A.q.weight``, ``lora_B.q.weight`` and so on.

    Args:
        base_layer: the layer to adapt; its outputs are q, k and v, in this order.
        rank: r, the inner width of each update.
        alpha: the updates are scaled by alpha / rank.
        dropout: probability of dropping an element of both updates' common input during training.

    Raises:
        ValueError: the layer's outputs are not three times its inputs.
    """

    def __init__(self, base_layer: nn.Linear, *, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        width = base_layer.in_features
        if base_layer.out_features != 3 * width:
            msg = f"the layer must compute q, k and v ({3 * width} outputs), got {base_layer.out_features} outputs"
            raise ValueError(msg)
        like = {"device": base_layer.weight.device, "dtype": base_layer.weight.dtype}
        down = {name: nn.Linear(width, rank, bias=False, **like) for name in _ADAPTED}
        up = {name: nn.Linear(rank, width, bias=False, **like) for name in _ADAPTED}
        for layer in up.values():
            nn.init.zeros_(layer.weight)
        self.base_layer = base_layer
        self.scaling = alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.ModuleDict(down)
        self.lora_B = nn.ModuleDict(up)

    def forward(self, tokens: Tensor) -> Tensor:
        """Q, k and v (..., 3 D) of tokens (..., D)."""
        q, k, v = self.base_layer(tokens).chunk(3, dim=-1)
        dropped = self.dropout(tokens)
        return torch.cat((q + self._update("q", dropped), k, v + self._update("v", dropped)), dim=-1)

    def _update(self, name: str, tokens: Tensor) -> Tensor:
        return self.scaling * self.lora_B[name](self.lora_A[name](tokens))

"""The intensities that a network expects, made from slices in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """An affine map of grey values in [0, 1], channel by channel: (value - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


INTENSITIES: dict[str, Intensity] = {
    "symmetric": Intensity(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "unit": Intensity(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    "imagenet": Intensity(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""``symmetric``: [-1, 1], the paper's. ``unit``: [0, 1], MedSAM's. ``imagenet``: SAM's own mean and deviation."""


class IntensityMap(nn.Module):
    """Maps slices in [-1, 1] to a network's own intensities; holds no weights.

    Args:
        name: a name in ``INTENSITIES``.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in INTENSITIES:
            msg = f"intensity must be one of {', '.join(INTENSITIES)}, got {name!r}"
            raise ValueError(msg)
        chosen = INTENSITIES[name]
        self.register_buffer("scale", _channels([0.5 / std for std in chosen.std]), persistent=False)
        shift = [(0.5 - mean) / std for mean, std in zip(chosen.mean, chosen.std, strict=True)]
        self.register_buffer("shift", _channels(shift), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> the same in the network's intensities."""
        return images * self.scale + self.shift


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)

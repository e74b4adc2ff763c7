"""A SAM with parts that train and parts that do not: what every row of the SAM family is built on.

``segment_anything``'s own ``Sam.forward`` runs without gradients and pads every image to 1024; training calls the
three submodules instead, as here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from spd_bench.models.decoding import decode_boxes, decode_points
from spd_bench.models.intensity import IntensityMap
from spd_bench.models.sam import build_sam
from spd_bench.models.weights import WeightsInfo, load_sam_weights

ADAPTATION_MARKS = (".lora_A.", ".lora_B.", "_adapter.")
"""What the names of parameters that were added to a pretrained encoder have in them."""


class SamNetwork(nn.Module):
    """SAM for square images of one size.

    ``train()`` keeps the frozen parts in evaluation mode, so that their dropout is off. Attributes: ``sam``,
    ``backbone`` and ``resolution``.

    Args:
        sam: a SAM of the backbone and resolution, adapted or not, with or without its weights.
        backbone: a name in ``spd_bench.models.sam.BACKBONES``.
        resolution: R, the side of the square input images in pixels.
        intensity: a name in ``spd_bench.models.intensity.INTENSITIES``: what the encoder expects.
    """

    def __init__(self, *, sam: Sam, backbone: str, resolution: int, intensity: str = "symmetric") -> None:
        super().__init__()
        self.intensity = IntensityMap(intensity)
        self.backbone = backbone
        self.resolution = resolution
        self.sam = sam
        self._trained: frozenset[str] = frozenset()

    def forward(self, images: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
        """Mask logits (B, R, R) of images (B, 3, R, R) from B point sets (N, 2) of pixels (x, y)."""
        return self.decode(self.encode(images), points)

    def encode(self, images: Tensor) -> Tensor:
        """Image embeddings (B, C, h, w) of images (B, 3, R, R) in [-1, 1].

        Raises:
            ValueError: the images have another shape.
        """
        side = self.resolution
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side):
            msg = f"images must have shape (B, 3, {side}, {side}), got {tuple(images.shape)}"
            raise ValueError(msg)
        embeddings: Tensor = self.sam.image_encoder(self.intensity(images))
        return embeddings

    def decode(self, embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
        """Mask logits (B, R, R) from image embeddings and B point sets (N, 2) of pixels (x, y).

        Raises:
            ValueError: a shape is wrong.
        """
        return decode_points(self.sam, embeddings, points, resolution=self.resolution)

    def decode_boxes(self, embeddings: Tensor, boxes: Tensor) -> Tensor:
        """Mask logits (B, R, R) from image embeddings and boxes (B, 4) of pixels (x0, y0, x1, y1)."""
        return decode_boxes(self.sam, embeddings, boxes, resolution=self.resolution)

    def load_sam(self, path: Path) -> WeightsInfo:
        """Start from a SAM checkpoint: fill all of SAM but what was added to it (see ``load_sam_weights``).

        Raises:
            InputError: the file is missing, damaged, or belongs to another backbone; nothing is changed then.
        """
        plain = build_sam(self.backbone, resolution=self.resolution)
        info = load_sam_weights(plain, path)
        # LoRA moves the layers it adapts to "base_layer", so the keys differ by that only.
        own = {name.replace(".base_layer.", "."): value for name, value in self.sam.state_dict().items()}
        with torch.no_grad():
            for name, value in plain.state_dict().items():
                own[name].copy_(value)
        return info

    def train_only(self, parts: Collection[str]) -> None:
        """Make some parts trainable and freeze the others.

        Args:
            parts: names in ``parts()``. Of an encoder with LoRA or adapters these alone are trained.

        Raises:
            ValueError: a part is unknown.
        """
        known = self.parts()
        unknown = sorted(set(parts) - set(known))
        if unknown:
            msg = f"parts must be among {', '.join(known)}, got {', '.join(unknown)}"
            raise ValueError(msg)
        self._trained = frozenset(parts)
        for name, part in known.items():
            _set_trainable(part, trainable=name in self._trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, with the frozen parts kept in evaluation mode."""
        super().train(mode)
        for name, part in self.parts().items():
            part.train(mode and name in self._trained)
        return self

    def parts(self) -> dict[str, nn.Module]:
        """The parts that train or not, by name."""
        return {
            "image_encoder": self.sam.image_encoder,
            "prompt_encoder": self.sam.prompt_encoder,
            "mask_decoder": self.sam.mask_decoder,
        }


def _set_trainable(part: nn.Module, *, trainable: bool) -> None:
    added = {name for name, _ in part.named_parameters() if any(mark in name for mark in ADAPTATION_MARKS)}
    for name, parameter in part.named_parameters():
        parameter.requires_grad_(trainable and (not added or name in added))
        # Left over from when it was trained, it would count in the norm that gradients are clipped to.
        parameter.grad = None

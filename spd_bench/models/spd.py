"""SPD's network: a SAM with LoRA, a saliency head on its encoder, and the two stages of its training.

Kang et al., "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust Segmentation with SAM",
arXiv 2604.23314.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from spd_bench.models.decoding import decode_points
from spd_bench.models.lora import LoraSettings, add_lora, has_lora, set_lora_trainable
from spd_bench.models.saliency import SaliencyHead
from spd_bench.models.sam import build_sam
from spd_bench.models.weights import WeightsInfo, load_sam_weights


@dataclass(frozen=True, kw_only=True)
class SPDModelSettings:
    """What an SPD network is made of.

    Attributes:
        backbone: a name in ``spd_bench.models.sam.BACKBONES``.
        resolution: R, the side of the square input images in pixels.
        lora: LoRA of the image encoder, or None to train the whole encoder ("from scratch").
        saliency_bias: start value of the saliency head's last bias.
        train_prompt_encoder: whether Stage II trains the prompt encoder too. The paper freezes it. None, the
            default, freezes it with LoRA and trains it without: one that starts from random weights has never
            learned to encode a point.
    """

    backbone: str = "vit_b"
    resolution: int = 512
    lora: LoraSettings | None = field(default_factory=LoraSettings)
    saliency_bias: float = -2.0
    train_prompt_encoder: bool | None = None

    def __post_init__(self) -> None:
        if self.resolution < 1:
            msg = f"resolution must be positive, got {self.resolution}"
            raise ValueError(msg)
        if not math.isfinite(self.saliency_bias):
            msg = f"saliency_bias must be finite, got {self.saliency_bias}"
            raise ValueError(msg)

    @property
    def trains_prompt_encoder(self) -> bool:
        """``train_prompt_encoder`` with its default resolved."""
        return self.lora is None if self.train_prompt_encoder is None else self.train_prompt_encoder


class SPDNetwork(nn.Module):
    """SAM and a saliency head over one image encoder.

    Built in Stage I. ``train()`` keeps the frozen parts in evaluation mode, so that in Stage II LoRA's dropout is
    off. Attributes: ``sam``, ``saliency_head`` and ``settings``.

    Args:
        settings: what the network is made of.
        sam: a SAM of the settings' backbone and resolution, with or without its weights (see ``load_sam``); it
            becomes part of the network and gets the LoRA layers.
    """

    def __init__(self, settings: SPDModelSettings, *, sam: Sam) -> None:
        super().__init__()
        self.settings = settings
        self.sam = sam
        self.saliency_head = SaliencyHead(channels=sam.prompt_encoder.embed_dim, bias=settings.saliency_bias)
        if settings.lora is not None:
            add_lora(sam.image_encoder, settings.lora)
        self._trained: frozenset[str] = frozenset()
        self.train_stage_one()

    def forward(self, images: Tensor, points: Sequence[NDArray[Any] | Tensor] | None = None) -> Tensor:
        """What a stage trains, in one call as distributed training needs it.

        Args:
            images: shape (B, 3, R, R), in [-1, 1].
            points: B point sets as for ``decode`` (Stage II), or None (Stage I).

        Returns:
            Logits (B, R, R): of the masks where points are given, else of the saliency maps.
        """
        embeddings = self.encode(images)
        return self.saliency_logits(embeddings) if points is None else self.decode(embeddings, points)

    def encode(self, images: Tensor) -> Tensor:
        """Image embeddings (B, C, h, w) of images (B, 3, R, R) in [-1, 1].

        Raises:
            ValueError: the images have another shape.
        """
        side = self.settings.resolution
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side):
            msg = f"images must have shape (B, 3, {side}, {side}), got {tuple(images.shape)}"
            raise ValueError(msg)
        return self.sam.image_encoder(images)

    def saliency_logits(self, embeddings: Tensor) -> Tensor:
        """Saliency logits (B, R, R) from image embeddings; their sigmoid is the saliency map."""
        return self.saliency_head(embeddings, self.settings.resolution)[:, 0]

    def decode(self, embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
        """Mask logits (B, R, R) from image embeddings and B point sets (N, 2) of pixels (x, y).

        Raises:
            ValueError: a shape is wrong.
        """
        return decode_points(self.sam, embeddings, points, resolution=self.settings.resolution)

    def load_sam(self, path: Path) -> WeightsInfo:
        """Start from a SAM checkpoint: fill all of SAM but its LoRA layers (see ``load_sam_weights``).

        Raises:
            InputError: the file is missing, damaged, or belongs to another backbone; nothing is changed then.
        """
        plain = build_sam(self.settings.backbone, resolution=self.settings.resolution)
        info = load_sam_weights(plain, path)
        # LoRA moves the layers it adapts to "base_layer", so the keys differ by that only.
        own = {name.replace(".base_layer.", "."): value for name, value in self.sam.state_dict().items()}
        with torch.no_grad():
            for name, value in plain.state_dict().items():
                own[name].copy_(value)
        return info

    def train_stage_one(self) -> None:
        """Train LoRA (without LoRA the whole image encoder) and the saliency head; freeze all else."""
        self.train_only(("image_encoder", "saliency_head"))

    def train_stage_two(self) -> None:
        """Train the mask decoder (and the prompt encoder where the settings say so); freeze all else."""
        prompt_encoder = ("prompt_encoder",) if self.settings.trains_prompt_encoder else ()
        self.train_only(("mask_decoder", *prompt_encoder))

    def train_only(self, parts: Collection[str]) -> None:
        """Make some parts trainable and freeze the others.

        Args:
            parts: among "image_encoder" (its LoRA alone where it has LoRA), "prompt_encoder", "mask_decoder" and
                "saliency_head".

        Raises:
            ValueError: a part is unknown.
        """
        known = self._parts()
        unknown = sorted(set(parts) - set(known))
        if unknown:
            msg = f"parts must be among {', '.join(known)}, got {', '.join(unknown)}"
            raise ValueError(msg)
        self._trained = frozenset(parts)
        for name, part in known.items():
            if has_lora(part):
                set_lora_trainable(part, trainable=name in self._trained)
            else:
                part.requires_grad_(name in self._trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> SPDNetwork:
        """As ``nn.Module.train``, with the frozen parts kept in evaluation mode."""
        super().train(mode)
        for name, part in self._parts().items():
            part.train(mode and name in self._trained)
        return self

    def _parts(self) -> dict[str, nn.Module]:
        return {
            "image_encoder": self.sam.image_encoder,
            "prompt_encoder": self.sam.prompt_encoder,
            "mask_decoder": self.sam.mask_decoder,
            "saliency_head": self.saliency_head,
        }

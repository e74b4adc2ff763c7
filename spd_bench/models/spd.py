"""SPD's network: a SAM with LoRA, a saliency head on its encoder, and the two stages of its training.

Kang et al., "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust Segmentation with SAM",
arXiv 2604.23314.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from spd_bench.models.lora import LoraSettings, add_lora
from spd_bench.models.saliency import SaliencyHead
from spd_bench.models.sam_network import SamNetwork


@dataclass(frozen=True, kw_only=True)
class SPDModelSettings:
    """What an SPD network is made of.

    Attributes:
        backbone: a name in ``spd_bench.models.sam.BACKBONES``.
        resolution: R, the side of the square input images in pixels.
        lora: LoRA of the image encoder, or None to train the whole encoder ("from scratch").
        saliency_bias: start value of the saliency head's last bias.
        train_prompt_encoder: whether Stage II trains the prompt encoder too. The paper freezes it.
        stage_one_mask_weight: weight, in Stage I, of the loss of masks that are decoded from the raw points beside the
            saliency map; what Stage II trains is then trained in Stage I too. 0 is the paper's Stage I.
        saliency_position: whether the saliency head is told where in the slice it looks: SAM's dense positional
            encoding is added to the embedding. An encoder without absolute positions cannot tell it.
    """

    backbone: str = "vit_b"
    resolution: int = 512
    lora: LoraSettings | None = field(default_factory=LoraSettings)
    saliency_bias: float = -2.0
    train_prompt_encoder: bool = False
    stage_one_mask_weight: float = 0.0
    saliency_position: bool = False

    def __post_init__(self) -> None:
        if self.resolution < 1:
            msg = f"resolution must be positive, got {self.resolution}"
            raise ValueError(msg)
        if not math.isfinite(self.saliency_bias):
            msg = f"saliency_bias must be finite, got {self.saliency_bias}"
            raise ValueError(msg)
        if not 0 <= self.stage_one_mask_weight < math.inf:
            msg = f"stage_one_mask_weight must be finite and at least 0, got {self.stage_one_mask_weight}"
            raise ValueError(msg)

    @property
    def prompted_parts(self) -> tuple[str, ...]:
        """The parts that turn points into masks, as far as they are trained."""
        return ("mask_decoder", *(("prompt_encoder",) if self.train_prompt_encoder else ()))


class SPDNetwork(SamNetwork):
    """SAM and a saliency head over one image encoder.

    Built in Stage I. Attributes: ``sam``, ``saliency_head``, ``settings`` and ``threshold``, the tau that the
    network's points are distilled with: it belongs to the saliency map's scale and is kept with the weights.

    Args:
        settings: what the network is made of.
        sam: a SAM of the settings' backbone and resolution, with or without its weights (see ``load_sam``); it
            becomes part of the network and gets the LoRA layers.
    """

    def __init__(self, settings: SPDModelSettings, *, sam: Sam) -> None:
        super().__init__(sam=sam, backbone=settings.backbone, resolution=settings.resolution)
        self.settings = settings
        self.saliency_head = SaliencyHead(channels=sam.prompt_encoder.embed_dim, bias=settings.saliency_bias)
        if settings.lora is not None:
            add_lora(sam.image_encoder, settings.lora)
        self.threshold: Tensor
        self.register_buffer("threshold", torch.tensor(0.5))
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

    def saliency_logits(self, embeddings: Tensor) -> Tensor:
        """Saliency logits (B, R, R) from image embeddings; their sigmoid is the saliency map."""
        return self.saliency_head(self._placed(embeddings), self.resolution)[:, 0]

    def saliency_logits_at(self, embeddings: Tensor, pixels: Sequence[NDArray[np.integer]]) -> Tensor:
        """``saliency_logits`` at the pixels (N, 2: x, y) of each image only, all in a row, (N_1 + ... + N_B,)."""
        return self.saliency_head.at_pixels(self._placed(embeddings), pixels, self.resolution)

    def _placed(self, embeddings: Tensor) -> Tensor:
        """What the saliency head reads."""
        if not self.settings.saliency_position:
            return embeddings
        position: Tensor = self.sam.prompt_encoder.get_dense_pe()
        return embeddings + position

    def train_stage_one(self) -> None:
        """Train LoRA (without it the whole image encoder), the saliency head, and the decoder where masks count."""
        prompted = self.settings.prompted_parts if self.settings.stage_one_mask_weight else ()
        self.train_only(("image_encoder", "saliency_head", *prompted))

    def train_stage_two(self) -> None:
        """Train the mask decoder (and the prompt encoder where the settings say so); freeze all else."""
        self.train_only(self.settings.prompted_parts)

    def parts(self) -> dict[str, nn.Module]:
        """SAM's parts and the saliency head."""
        return {**super().parts(), "saliency_head": self.saliency_head}

"""SAM prompted with the box of a slice's points, as MedSAM prompts it.

Ma et al., "Segment anything in medical images", Nature Communications 2024,
https://github.com/bowang-lab/MedSAM (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor

from spd_bench.models.boxes import boxes_of_points
from spd_bench.models.sam_network import SamNetwork

_OUTWARD_SHARE = 20 / 1024
"""MedSAM moves each side outward by up to 20 pixels of 1024 in training."""


class BoxSamNetwork(SamNetwork):
    """A SAM that is given points and decodes from their box.

    Args:
        sam: as for :class:`SamNetwork`.
        backbone: as for :class:`SamNetwork`.
        resolution: as for :class:`SamNetwork`.
        intensity: as for :class:`SamNetwork`.
        margin: how far the box's sides lie outside the points, as a share of the image's side.
    """

    def __init__(self, *, sam: Sam, backbone: str, resolution: int, intensity: str, margin: float) -> None:
        super().__init__(sam=sam, backbone=backbone, resolution=resolution, intensity=intensity)
        self.margin = margin

    def decode(self, embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
        """Mask logits (B, R, R) from the box of each image's points; in training its sides move outward at random."""
        outward = None
        if self.training:
            outward = torch.rand(len(points), 4) * _OUTWARD_SHARE * self.resolution
        boxes = boxes_of_points(points, resolution=self.resolution, margin=self.margin, outward=outward)
        return self.decode_boxes(embeddings, boxes)

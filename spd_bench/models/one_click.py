"""SAM prompted with one of a slice's points alone, as interactive methods are trained with one click an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.sam_network import SamNetwork


def middle_point(points: NDArray[Any] | Tensor) -> Tensor:
    """The point of (N, 2) that is nearest to the mean of all (the first of several), (1, 2); of none, none (0, 2)."""
    coordinates = torch.as_tensor(points)
    if len(coordinates) == 0:
        return coordinates
    offsets = coordinates.double() - coordinates.double().mean(dim=0)
    return coordinates[offsets.square().sum(dim=1).argmin()][None]


class OneClickSamNetwork(SamNetwork):
    """A SAM that is given points and decodes from the middle one of each image."""

    def decode(self, embeddings: Tensor, points: Sequence[NDArray[Any] | Tensor]) -> Tensor:
        """Mask logits (B, R, R) from the middle point of each image's points."""
        return super().decode(embeddings, [middle_point(array) for array in points])

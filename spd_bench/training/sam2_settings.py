"""What the rows of SAM 2 choose."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.models.sam2 import SAM2_BACKBONES, build_sam2
from spd_bench.models.sam2_video import Direction, keep_largest_component, propagate, propagate_from_key_slice
from spd_bench.models.sam2_weights import load_sam2_weights

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

Propagation = Literal["all_slices", "key_slice"]


@dataclass(frozen=True, kw_only=True)
class Sam2Settings:
    """A row of SAM 2.

    Attributes:
        backbone: a name in ``SAM2_BACKBONES``.
        weights: path of the checkpoint, or None for random weights.
        weights_sha256: hash of that file, None for random weights.
        propagation: from all slices with points (``all_slices``, SAM 2's way) or from the middle one of them alone
            with the largest component kept (``key_slice``, MedSAM2's way).
        direction: the way through the volume (``all_slices`` only).
        max_prompted_slices: how many of the slices with points a tracked slice sees; None: all.
    """

    backbone: str = "hiera_tiny"
    weights: str | None = None
    weights_sha256: str | None = None
    propagation: Propagation = "all_slices"
    direction: Direction = "both"
    max_prompted_slices: int | None = None

    def __post_init__(self) -> None:
        if self.backbone not in SAM2_BACKBONES:
            known = ", ".join(SAM2_BACKBONES)
            raise InputError(f"unknown SAM 2 backbone {self.backbone!r}", remedy=f"choose one of {known}")
        for name, choices in (("propagation", get_args(Propagation)), ("direction", get_args(Direction))):
            if getattr(self, name) not in choices:
                msg = f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                raise ValueError(msg)
        limit = self.max_prompted_slices
        if limit is not None and (not isinstance(limit, int) or limit < 2):
            msg = f"max_prompted_slices must be none or at least 2, got {limit!r}"
            raise ValueError(msg)

    def network(self, resolution: int) -> Sam2VideoModel:
        """The model with random weights, or the given ones."""
        model = build_sam2(self.backbone, resolution=resolution)
        if self.weights is not None:
            load_sam2_weights(model, Path(self.weights))
        return model

    def segment(
        self,
        model: Sam2VideoModel,
        slices: NDArray[np.float32],
        points: list[NDArray[np.int64]],
        *,
        device: torch.device,
    ) -> NDArray[np.float32]:
        """Mask logits (Z, R, R) of slices (Z, 3, R, R) in [-1, 1] from their points, as the settings say."""
        if self.propagation == "key_slice":
            return keep_largest_component(propagate_from_key_slice(model, slices, points, device=device))
        return propagate(
            model,
            slices,
            points,
            device=device,
            direction=self.direction,
            max_prompted_slices=self.max_prompted_slices,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

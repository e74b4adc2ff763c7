"""The trainer of SAM 2's fine-tuned rows: the mask decoder, on single slices with their raw points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spd_bench.models.sam2 import build_sam2
from spd_bench.models.sam2_frame import decode_frame_with_scores, train_only
from spd_bench.models.sam2_weights import load_sam2_weights
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.prompted import prompted_logits
from spd_bench.training.replica import Outputs
from spd_bench.training.sam2_settings import Sam2Settings
from spd_bench.training.windows import Points, Targets, WindowBatch

if TYPE_CHECKING:
    from transformers import Sam2VideoModel


class Sam2Trainer(PromptTrainer):
    """Fine-tunes SAM 2's mask decoder; encoders and memory stay as they are.

    Training sees slices, not videos: the memory has nothing to learn from. A slice without a point is not drawn.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net compares this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.row = Sam2Settings(**plans["spd_method"])

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The SAM 2 that the plans' ``spd_method`` describes; nnU-Net calls this by keyword and position."""
        settings = Sam2Settings(**plans_manager.plans["spd_method"])
        model = build_sam2(settings.backbone, resolution=configuration_manager.configuration["spd"]["resolution"])
        train_only(model, ("mask_decoder",))
        return model

    @property
    def model(self) -> Sam2VideoModel:
        """The network under its own type."""
        return cast("Sam2VideoModel", self.bare_network)

    def initialize(self) -> None:
        """Build the network; with pretrained weights they go in before the first step."""
        super().initialize()
        if self.row.weights is not None:
            info = load_sam2_weights(self.model, Path(self.row.weights))
            self.notes["weights"] = {"name": info.name, "sha256": info.sha256}

    def on_train_epoch_start(self) -> None:
        """Frozen parts stay in evaluation mode."""
        super().on_train_epoch_start()
        self.network.eval()

    def outputs(self, batch: WindowBatch) -> Outputs:
        """Mask logits (N, R, R) from the raw points of each slice alone, the score of there being an object (N,).

        ``decoded`` (N,) is 1 for the slices that have a point, and so a score, else 0.
        """
        scores, decoded = batch.masks.new_zeros(2, len(batch.points)).unbind()

        def decode(chosen: Sequence[int], points: Points) -> Tensor:
            nonlocal scores, decoded
            output = decode_frame_with_scores(self.model, batch.images[list(chosen)], points)
            rows = torch.tensor(chosen, device=scores.device)
            scores = scores.index_copy(0, rows, output.object_score.float())
            decoded = decoded.index_fill(0, rows, 1)
            return output.logits

        logits = prompted_logits(batch, "skip", decode)
        return {"logits": logits, "object_scores": scores, "decoded": decoded}

    def outputs_loss(self, outputs: Outputs, targets: Targets) -> Tensor:
        """The mask losses, and the cross-entropy of the score by which SAM 2 leaves a slice empty."""
        loss = super().outputs_loss(outputs, targets)
        decoded = outputs["decoded"] > 0
        if not decoded.any():
            return loss
        present = targets.masks[decoded].flatten(1).amax(dim=1)
        return loss + functional.binary_cross_entropy_with_logits(outputs["object_scores"][decoded], present)

    def candidate_slices(self, case: str) -> NDArray[np.int64]:
        """The slices that have a point."""
        return self.prompted_slices(case)

"""The trainer of the ``unet`` row: a fixed 2D U-Net on the fixed-size slices, no prompts."""

from __future__ import annotations

from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import Tensor, nn

from spd_bench.models.unet import build_unet
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.windows import WindowBatch


class UNetTrainer(PromptTrainer):
    """Trains the U-Net with the loss, loader and augmentation of the promptable rows."""

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The U-Net that the plans' ``spd_method`` describes; nnU-Net calls this by keyword and position."""
        method: dict[str, Any] = plans_manager.plans["spd_method"]
        channels = configuration_manager.configuration["spd"]["channels"]
        return build_unet(in_channels=len(channels), base_features=method["base_features"], stages=method["stages"])

    def predict_batch(self, batch: WindowBatch) -> Tensor:
        """Logits (N, R, R); points are ignored."""
        logits: Tensor = self.network(batch.images)[:, 0]
        return logits

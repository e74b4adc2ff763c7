"""The trainer of the trained rows of the SAM family: from each slice's raw points to its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray
from torch import Tensor, nn

from spd_bench.models.sam_network import SamNetwork
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.prompted import prompted_logits
from spd_bench.training.sam_settings import SamSettings
from spd_bench.training.windows import WindowBatch


class SamTrainer(PromptTrainer):
    """Trains the parts that the row's settings name; a row derives from it and names its settings.

    A slice without a point is not drawn in training (with ``empty_prompt: skip``), as no gradient could come
    from it.
    """

    row_settings: ClassVar[type[SamSettings]] = SamSettings

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net compares this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.row = self.row_settings(**plans["spd_method"])

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The network that the plans' ``spd_method`` describes; nnU-Net calls this by keyword and position."""
        settings = cls.row_settings(**plans_manager.plans["spd_method"])
        return settings.network(configuration_manager.configuration["spd"]["resolution"])

    def initialize(self) -> None:
        """Build the network; with pretrained weights they go in before the first step."""
        super().initialize()
        if self.row.weights is not None:
            info = cast(SamNetwork, self.bare_network).load_sam(Path(self.row.weights))
            self.notes["weights"] = {"name": info.name, "sha256": info.sha256}

    def predict_batch(self, batch: WindowBatch) -> Tensor:
        """Mask logits (N, R, R) from the raw points."""
        return prompted_logits(
            batch, self.row.empty_prompt, lambda chosen, points: self.network(batch.images[list(chosen)], points)
        )

    def candidate_slices(self, case: str) -> NDArray[np.int64]:
        """With ``skip`` the slices that have a point."""
        if self.row.empty_prompt == "decode":
            return super().candidate_slices(case)
        return self.prompted_slices(case)

"""``spd``: Saliency-Guided Prompt Distillation.

Source: Kang et al., "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust Segmentation
with SAM", arXiv 2604.23314; no public code. Reproduced: Stage I (saliency head with LoRA), CPD, Stage II with
pairwise slice consistency, one encoding a slice. What the paper leaves open is a named setting of
:class:`spd_bench.training.spd_settings.SPDSettings`. Without SAM weights the encoder is trained whole, from scratch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from spd_bench.methods.method import Method, MethodOptions
from spd_bench.models.inference import segment_volume
from spd_bench.models.spd import SPDNetwork
from spd_bench.planning.grid import masks_on_own_grid, resize_images, voxels_of_points
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import Prediction, PromptedVolume, slice_points, volume_slices
from spd_bench.prompts.points import PointPrompts
from spd_bench.training.run import load_network
from spd_bench.training.settings import Budget, TrainingSettings, pretrained_training, scratch_training
from spd_bench.training.spd_settings import SPDSettings
from spd_bench.training.spd_trainer import SPDTrainer


class SPDPredictor:
    """Segments a volume from its noisy points."""

    def __init__(self, network: SPDNetwork, settings: SPDSettings, plan: Plan, device: torch.device) -> None:
        self._network = network
        self._settings = settings
        self._plan = plan
        self._device = device

    def predict(self, volume: PromptedVolume) -> Prediction:
        """Segment one volume; saliency and consensus points come along."""
        plan, grid = self._plan, volume.geometry.shape
        result = segment_volume(
            self._network,
            volume_slices(volume, plan),
            slice_points(volume, plan),
            device=self._device,
            threshold=self._settings.threshold,
            context=plan.slice_settings["context"],
            empty_prompt=self._settings.empty_prompt,
        )
        planned = [grid[axis] for axis in plan.transpose]
        saliency = resize_images(result.saliency, (planned[1], planned[2]))
        consensus = voxels_of_points(result.points, shape=grid, transpose=plan.transpose, resolution=plan.resolution)
        return Prediction(
            mask=masks_on_own_grid(result.logits, shape=grid, transpose=plan.transpose),
            saliency=np.ascontiguousarray(saliency.transpose(np.argsort(plan.transpose))),
            points=PointPrompts.from_voxels(consensus, volume.geometry, provenance={"distilled_by": "spd"}),
        )


def _settings(options: MethodOptions) -> dict[str, Any]:
    weights = str(options.weights.resolve()) if options.weights is not None else None
    return SPDSettings(backbone=options.backbone, weights=weights, **options.overrides).to_json()


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    training = scratch_training(budget) if options.weights is None else pretrained_training(budget)
    SPDTrainer.check_epochs(training.epochs)
    return training


def _predictor(folder: Path, plan: Plan, device: torch.device) -> SPDPredictor:
    network, checkpoint = load_network(SPDTrainer, folder, plan=plan, device=device)
    settings = SPDSettings(**checkpoint["init_args"]["plans"]["spd_method"])
    return SPDPredictor(cast(SPDNetwork, network), settings, plan, device)


SPD = Method(
    name="spd",
    title="SPD",
    uses_prompts=True,
    trainer=SPDTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=_predictor,
)

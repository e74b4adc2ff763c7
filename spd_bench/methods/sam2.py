"""``sam2`` and ``medsam2``: the volume as a video, carried from the slices that have points to all others.

Sources: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714,
https://github.com/facebookresearch/sam2 (code and weights Apache-2.0); Ma et al., "MedSAM2: Segment Anything in 3D
Medical Images and Videos", arXiv 2504.03600, https://github.com/bowang-lab/MedSAM2 (code Apache-2.0, weights
CC BY-SA 4.0). Run through transformers' port of SAM 2 (Apache-2.0) on the raw points, zero-shot.
``sam2`` prompts every slice that has points and propagates both ways; ``medsam2`` starts from the middle one of them,
propagates forward and backward and keeps the largest component, at ImageNet intensities. ``sam2_tuned`` and
``medsam2_tuned`` have the mask decoder fine-tuned on single slices first. What differs: points instead of MedSAM2's
box or click on a slice of a radiologist's choice; slices are of the plan's resolution (SAM 2 was trained at 1024,
MedSAM2 at 512); fine-tuning sees slices instead of 8-frame clips. Without weights these rows mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from spd_bench.losses import LossSettings
from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.methods.sam_family import reproducible_weights
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume, slice_points, volume_slices
from spd_bench.training.run import load_network
from spd_bench.training.sam2_settings import Sam2Settings
from spd_bench.training.sam2_trainer import Sam2Trainer
from spd_bench.training.settings import Budget, TrainingSettings, pretrained_training

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

_DEFAULTS: dict[str, dict[str, Any]] = {"sam2": {}, "medsam2": {"propagation": "key_slice"}}


class Sam2Predictor:
    """Segments a volume from its raw points."""

    def __init__(self, model: Sam2VideoModel, settings: Sam2Settings, *, plan: Plan, device: torch.device) -> None:
        torch.nn.Module.to(model, device)
        self._model = model.eval()
        self._settings = settings
        self._plan = plan
        self._device = device

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume."""
        plan = self._plan
        logits = self._settings.segment(
            self._model, volume_slices(volume, plan), slice_points(volume, plan), device=self._device
        )
        return Prediction(mask=masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=plan.transpose))


_NOTES = {
    "sam2": "tracks the volume from all slices that have points.",
    "medsam2": "tracks the volume from the middle slice that has points, largest component kept.",
}


def _settings_of(family: str) -> Callable[[MethodOptions], dict[str, Any]]:
    def settings(options: MethodOptions) -> dict[str, Any]:
        chosen = {**_DEFAULTS[family], **options.overrides}
        backbone = str(chosen.pop("backbone", Sam2Settings.backbone))
        start = options.needed_start(family, backbone=backbone)
        return Sam2Settings(**start.settings, **chosen).to_json()

    return settings


def _zero_shot_predictor(family: str) -> Callable[[MethodRun], Sam2Predictor]:
    def build(run: MethodRun) -> Sam2Predictor:
        settings = Sam2Settings(**_settings_of(family)(run.own_options))
        with reproducible_weights():
            model = settings.network(run.plan.resolution)
        return Sam2Predictor(model, settings, plan=run.plan, device=run.device)

    return build


def _tuned_predictor(run: MethodRun) -> Sam2Predictor:
    model, checkpoint = load_network(Sam2Trainer, run.folder, plan=run.plan, device=run.device)
    settings = Sam2Settings(**checkpoint["init_args"]["plans"]["spd_method"])
    return Sam2Predictor(cast("Sam2VideoModel", model), settings, plan=run.plan, device=run.device)


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    """The losses of SAM 2's own fine-tuning, focal 20 : Dice 1 : object score 1, at its learning rate."""
    return replace(
        pretrained_training(budget),
        loss=LossSettings(dice_weight=1.0, focal_weight=20.0, alpha=0.25),
        optimizer="adamw",
        learning_rate=5e-6,
        weight_decay=0.1,
        schedule="constant",
    )


def _zero_shot(family: str, title: str) -> Method:
    return Method(
        name=family,
        title=title,
        uses_prompts=True,
        trainer=None,
        own_plan=False,
        settings=_settings_of(family),
        training=None,
        predictor=_zero_shot_predictor(family),
        note=_NOTES[family],
    )


def _tuned(family: str, title: str) -> Method:
    return Method(
        name=f"{family}_tuned",
        title=title,
        uses_prompts=True,
        trainer=Sam2Trainer,
        own_plan=False,
        settings=_settings_of(family),
        training=_training,
        predictor=_tuned_predictor,
        note=_NOTES[family],
    )


SAM2 = _zero_shot("sam2", "SAM2")
MEDSAM2 = _zero_shot("medsam2", "MedSAM2")
SAM2_TUNED = _tuned("sam2", "SAM2, fine-tuned")
MEDSAM2_TUNED = _tuned("medsam2", "MedSAM2, fine-tuned")

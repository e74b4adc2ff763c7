"""``unet``: a fixed 2D U-Net on the fixed-size slices, the paper's promptless rival.

Source: Ronneberger et al., "U-Net", MICCAI 2015, built by dynamic-network-architectures (Apache-2.0). Loss,
loader and augmentation are those of the promptable rows, so that only the network and the prompts differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.models.inference import on_device
from spd_bench.planning.plan import Plan
from spd_bench.prediction.own_grid import write_mask
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume, volume_slices
from spd_bench.training.run import load_network
from spd_bench.training.settings import Budget, TrainingSettings, scratch_training
from spd_bench.training.unet_trainer import UNetTrainer

_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """The network's size.

    Attributes:
        base_features: channels of the first stage.
        stages: number of resolutions; the slices' side must be a multiple of 2 ** (stages - 1).
    """

    base_features: int = 32
    stages: int = 5

    def __post_init__(self) -> None:
        for name, least in (("base_features", 1), ("stages", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                msg = f"{name} must be a whole number of at least {least}, got {value!r}"
                raise ValueError(msg)


class UNetPredictor:
    """Segments a volume slice by slice."""

    def __init__(self, network: nn.Module, plan: Plan, device: torch.device) -> None:
        self._network = network
        self._plan = plan
        self._device = device

    @torch.inference_mode()
    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume; its prompts are not looked at."""
        slices = volume_slices(volume, self._plan)
        mask = np.zeros(volume.geometry.shape, np.uint8)
        for start in range(0, len(slices), _BATCH):
            batch = on_device(slices[start : start + _BATCH], self._device)
            indices = range(start, start + len(batch))
            write_mask(mask, self._network(batch)[:, 0], indices=indices, transpose=self._plan.transpose)
        return Prediction(mask=mask)


def _settings(options: MethodOptions) -> dict[str, Any]:
    return asdict(UNetSettings(**options.overrides))


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    stages = UNetSettings(**options.overrides).stages
    if plan.resolution % 2 ** (stages - 1):
        msg = f"slices of {plan.resolution} pixels cannot be halved {stages - 1} times (stages = {stages})"
        raise ValueError(msg)
    return scratch_training(budget)


def _predictor(run: MethodRun) -> UNetPredictor:
    network, _ = load_network(UNetTrainer, run.folder, plan=run.plan, device=run.device)
    return UNetPredictor(network, run.plan, run.device)


UNET = Method(
    name="unet",
    title="UNet",
    uses_prompts=False,
    trainer=UNetTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=_predictor,
)

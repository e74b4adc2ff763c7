"""``empty``: predicts nothing. The floor of every table, because Average Dice rewards silence on empty slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spd_bench.methods.method import Method, MethodOptions
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import Prediction, PromptedVolume
from spd_bench.training.settings import Budget, TrainingSettings


class EmptyPredictor:
    """Leaves every volume empty."""

    def predict(self, volume: PromptedVolume) -> Prediction:
        """An empty mask."""
        return Prediction(mask=np.zeros(volume.geometry.shape, np.uint8))


def _settings(options: MethodOptions) -> dict[str, Any]:
    options.refuse_overrides()
    return {}


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    msg = "the empty row is not trained"
    raise TypeError(msg)


def _predictor(folder: Path, plan: Plan, device: torch.device) -> EmptyPredictor:
    return EmptyPredictor()


EMPTY = Method(
    name="empty",
    title="Empty",
    uses_prompts=False,
    trainer=None,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=_predictor,
)

"""``empty``: predicts nothing. The floor of every table, because Average Dice rewards silence on empty slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume


class EmptyPredictor:
    """Leaves every volume empty."""

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """An empty mask."""
        return Prediction(mask=np.zeros(volume.geometry.shape, np.uint8))


def _settings(options: MethodOptions) -> dict[str, Any]:
    options.refuse_overrides()
    return {}


def _predictor(run: MethodRun) -> EmptyPredictor:
    return EmptyPredictor()


EMPTY = Method(
    name="empty",
    title="Empty",
    uses_prompts=False,
    trainer=None,
    own_plan=False,
    settings=_settings,
    training=None,
    predictor=_predictor,
)

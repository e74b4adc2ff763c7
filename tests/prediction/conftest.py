"""Images far from any label, and predictors that need no training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    VolumePredictor,
    slice_points,
    volume_slices,
)

TINY = "Dataset901_Tiny"


class BrightPixels:
    """Takes whatever is bright on the preprocessed slices, and answers with everything that can be answered."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        slices = volume_slices(volume, self._plan)
        assert slices.shape[1:] == (3, self._plan.resolution, self._plan.resolution)
        mask = masks_on_own_grid(slices[:, 0], shape=volume.geometry.shape, transpose=self._plan.transpose)
        saliency = mask.astype(np.float32) / 2
        return Prediction(mask=mask, saliency=saliency, points=volume.prompts)


class PointCounter:
    """Needs prompts and marks their voxels' slices."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        counts = [len(points) for points in slice_points(volume, self._plan)]
        mask = np.zeros(volume.geometry.shape, np.uint8)
        mask[np.flatnonzero(counts)] = 1
        return Prediction(mask=mask)


@pytest.fixture
def images(tiny_raw: Path, tmp_path: Path) -> Path:
    """Images and prompts of two cases, far from any label."""
    for case in ("case_0", "case_1"):
        for folder, name in (("imagesTr", f"{case}_0000.nii.gz"), ("promptsTr", f"{case}.mrk.json")):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(tiny_raw / TINY / folder / name, tmp_path / folder / name)
    return tmp_path / "imagesTr"


@pytest.fixture
def bright_pixels(planned: Plan) -> VolumePredictor:
    return BrightPixels(planned)


@pytest.fixture
def point_counter(planned: Plan) -> VolumePredictor:
    return PointCounter(planned)

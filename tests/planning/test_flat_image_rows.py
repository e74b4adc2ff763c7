"""Every row trains on, predicts and is scored on 2D images, which have no neighbouring slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import torch
from medpy.metric import hd95
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import run_cell
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget

# A network without a prior of silence: Stage I then leaves prompts after a handful of steps.
OVERRIDES: dict[str, dict[str, Any]] = {"unet": {"base_features": 4}, "spd": {"saliency_bias": 4.0}}


def _options(name: str) -> MethodOptions:
    return MethodOptions(backbone="vit_t", overrides=OVERRIDES.get(name, {}))


@pytest.fixture
def colours(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_image_dataset: Callable[..., Path],
    fingerprint_in_threads: None,
) -> Plan:
    """RGB images, planned with two neighbours on each side that none of them has."""
    make_image_dataset(own_folders.raw, colours=3, channel_names=("R", "G", "B"))
    return plan_tiny(own_folders, context=2)


@pytest.mark.parametrize("name", ["empty", "unet", "nnunet", "spd"])
def test_a_row_trains_and_is_scored_in_pixels(
    colours: Plan, own_folders: DataFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
    grid = Grid(
        raw=own_folders.raw,
        results=own_folders.results,
        output=tmp_path / "out",
        budget=Budget(epochs=4, iterations_per_epoch=2, batch_size=4),
        options=_options,
        device=torch.device("cpu"),
    )
    cell = Cell(plan=colours, method=METHODS[name], fold=0)
    run_cell(cell, grid)
    folder = grid.folder(cell)
    assert not (folder / "errors").exists()
    rows = pd.read_csv(folder / "slices.csv").set_index("case")
    assert sorted(rows.index) == colours.split(0)["test"]
    for case, row in rows.iterrows():
        mask = iio.imread(folder / "predictions" / f"{case}.png")
        label = iio.imread(own_folders.raw / colours.dataset / "labelsTr" / f"{case}.png")
        assert mask.shape == label.shape
        assert set(np.unique(mask)) <= {0, 1}
        # In pixels of the plane: across it nothing is measured.
        expected = hd95(mask, label, voxelspacing=(1.0, 1.0)) if mask.any() else np.nan
        np.testing.assert_allclose(row["hd95_mm"], expected)
        assert row["prediction_pixels"] == mask.sum()
    volumes = pd.read_csv(folder / "volumes.csv")
    np.testing.assert_allclose(volumes["average_dice"], volumes["volumetric_dice"])
    assert (volumes["slices"] == 1).all()

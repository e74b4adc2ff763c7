"""Tiny grids whose cells run as processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from spd_bench.cells import Cell, Grid
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget

FEW_FEATURES = {"unet": {"base_features": 4}}


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes have one thread, as this one, and sum in the same order; no plots, which take longer than the runs."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)


@pytest.fixture
def cells_of(planned: Plan) -> Callable[..., list[Cell]]:
    """The cells of some rows on the first fold."""

    def cells(*names: str, folds: Sequence[int] = (0,)) -> list[Cell]:
        return [Cell(plan=planned, method=METHODS[name], fold=fold) for name in names for fold in folds]

    return cells


@pytest.fixture
def make_grid(folders: DataFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Grid]:
    """Grids with a results folder of their own."""

    def make(name: str, **changes: Any) -> Grid:
        results = tmp_path / name / "results"
        results.mkdir(parents=True)
        monkeypatch.setenv("nnUNet_results", str(results))
        arguments: dict[str, Any] = {
            "raw": folders.raw,
            "results": results,
            "output": tmp_path / name / "output",
            "budget": Budget(epochs=2, iterations_per_epoch=2, batch_size=4),
            "options": lambda row: MethodOptions(overrides=FEW_FEATURES.get(row, {})),
            "device": torch.device("cpu"),
        }
        return Grid(**{**arguments, **changes})

    return make

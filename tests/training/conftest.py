"""Short training runs on the tiny dataset."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from spd_bench.methods.fitting import training_run
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.models.sam import build_sam
from spd_bench.planning.plan import Plan
from spd_bench.training.run import TrainingRun
from spd_bench.training.settings import Budget

# A network without a prior of silence: Stage I then leaves prompts after a handful of steps.
SPD_OVERRIDES = {"saliency_bias": 3.0}
OVERRIDES: dict[str, dict[str, Any]] = {"unet": {"base_features": 4}, "nnunet": {}, "spd": SPD_OVERRIDES}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """nnU-Net's plot of the progress takes longer than these runs."""
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setenv("nnUNet_results", str(folder))
    return folder


@pytest.fixture
def make_run(planned: Plan, make_method_run: Callable[..., MethodRun]) -> Callable[..., TrainingRun]:
    """A short run of a row: ``make_run("spd", epochs=4, spd_overrides...)``."""

    def make(
        name: str,
        *,
        epochs: int = 2,
        iterations: int = 2,
        batch_size: int = 4,
        seed: int = 0,
        weights: Path | Mapping[str, Path] | None = None,
        plan: Plan = planned,
        training: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> TrainingRun:
        given = {} if weights is None else weights if isinstance(weights, Mapping) else {"sam": weights}
        options = MethodOptions(
            backbone="vit_t",
            weights=given,
            overrides={**OVERRIDES.get(name, {}), **overrides},
        )
        budget = Budget(epochs=epochs, iterations_per_epoch=iterations, batch_size=batch_size, seed=seed)
        run = training_run(make_method_run(name, plan=plan, options=options), budget)
        return replace(run, training=replace(run.training, **(training or {})))

    return make


@pytest.fixture
def run_folder(results: Path) -> Callable[[TrainingRun], Path]:
    """Where a run is written."""

    def folder(run: TrainingRun) -> Path:
        return METHODS[run.method].run_folder(results, run.plan, run.fold)

    return folder


@pytest.fixture(scope="session")
def sam_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SAM checkpoint of random weights for ``vit_t``."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "sam_vit_t.pth"
    torch.save(build_sam("vit_t", resolution=32).state_dict(), path)
    return path


@pytest.fixture
def copied_plan(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan with a copy of its preprocessed folder that the test may damage."""
    root = tmp_path / "preprocessed"
    shutil.copytree(planned.folder, root / planned.dataset)
    monkeypatch.setenv("nnUNet_preprocessed", str(root))
    return replace(planned, folder=root / planned.dataset)

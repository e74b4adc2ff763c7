"""What the number of augmented views does to SPD: one Stage I, then Stage II from it in each way, equal steps."""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.measuring import report
from benchmarks.phantom_plans import planned_phantoms
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import predict_test_cases
from spd_bench.evaluation import evaluate_folders
from spd_bench.methods.fitting import fit, training_run
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.spd import SPD
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.storage import atomic_path
from spd_bench.training.checkpoints import FINAL, LATEST, read_checkpoint
from spd_bench.training.run import build_trainer, flushed_denormals, single_process_loading
from spd_bench.training.settings import Budget
from spd_bench.training.spd_trainer import SPDTrainer

_CLAIM = "Stage II on cached embeddings of a few views ends where fresh augmentation ends, within noise"
_BACKBONE, _RESOLUTION, _SLICES = "vit_t", 96, 24
_LAST_EPOCHS = 5


class _StageOne(SPDTrainer):
    """Stops where Stage II would begin."""

    def on_epoch_start(self) -> None:
        if self.current_epoch >= self.stage_one_epochs:
            raise _StageOneDoneError
        super().on_epoch_start()


class _StageOneDoneError(Exception):
    pass


def add_quality_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the quality benchmark."""
    parser.add_argument("--quality", action="store_true", help="train a small SPD in each way and score it")
    quality = parser.add_argument_group("with --quality")
    quality.add_argument("--task", default="TI", help="phantoms (TI)")
    quality.add_argument("--cases", type=int, default=60, help="phantoms, a fifth of them for testing (60)")
    quality.add_argument("--epochs", type=int, default=20, help="epochs over both stages, half of them each (20)")
    quality.add_argument("--iterations", type=int, default=60, help="steps in an epoch (60)")
    quality.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of views (1 2 4 8)")
    quality.add_argument("--seeds", type=int, default=2, help="seeds of Stage II, to see the noise (2)")


def measure_quality(arguments: argparse.Namespace, root: Path) -> None:
    """Train, score and report."""
    plan, folders = planned_phantoms(
        root, task=arguments.task, cases=arguments.cases, size=_RESOLUTION, slices=_SLICES, resolution=_RESOLUTION
    )
    start = _train_stage_one(_grid(folders, arguments, seed=0, overrides={}), plan)
    ways: dict[str, dict[str, Any]] = {"fresh augmentation": {"embedding_cache": "none"}}
    ways |= {f"cached, {views} views": {"cache_views": views} for views in arguments.numbers}
    rows = []
    for name, overrides in ways.items():
        results = []
        for seed in tqdm(range(arguments.seeds), name, leave=False):
            grid = _grid(folders, arguments, seed=seed, overrides=overrides)
            results.append(_train_stage_two(start, grid, plan))
        rows.append({"stage_two": name, **_summary(results)})
    report(f"stage_two_quality_{arguments.task}", claim=_CLAIM, rows=rows, arguments=arguments)


def _grid(folders: DataFolders, arguments: argparse.Namespace, *, seed: int, overrides: dict[str, Any]) -> Grid:
    options = MethodOptions(backbone=_BACKBONE, overrides={"stage_one_share": 0.5, **overrides})
    return Grid(
        raw=folders.raw,
        results=folders.results,
        output=folders.results / "predictions",
        budget=Budget(epochs=arguments.epochs, iterations_per_epoch=arguments.iterations, seed=seed),
        options=lambda name: options,
        device=arguments.device,
    )


def _train_stage_one(grid: Grid, plan: Plan) -> Path:
    """The checkpoint of a Stage I."""
    run = training_run(grid.run(Cell(plan=plan, method=SPD, fold=0)), grid.budget)
    with single_process_loading(grid.device), flushed_denormals(), contextlib.suppress(_StageOneDoneError):
        trainer = build_trainer(replace(run, trainer=_StageOne), device=grid.device, resume=False)
        trainer.run_training()
    return Path(trainer.output_folder, LATEST)


def _train_stage_two(start: Path, grid: Grid, plan: Plan) -> dict[str, float]:
    """Continue from a Stage I under the grid's own settings and seed, and score the outcome."""
    cell = Cell(plan=plan, method=SPD, fold=0)
    run = grid.run(cell)
    trained = training_run(run, grid.budget)
    checkpoint = read_checkpoint(start, torch.device("cpu"))
    checkpoint["init_args"]["plans"] |= {
        "spd_method": trained.method_settings,
        "spd_training": trained.training.to_json(),
    }
    with atomic_path(run.folder / LATEST) as temporary:
        torch.save(checkpoint, temporary)
    started = time.monotonic()
    record = fit(run, grid.budget, resume=True)
    seconds = time.monotonic() - started
    log = read_checkpoint(run.folder / FINAL, torch.device("cpu"))["logging"]
    predict_test_cases(cell, grid, output=grid.output)
    scores = evaluate_folders(
        reference=plan.reference_folder,
        prediction=grid.output,
        dataset=plan.dataset,
        method=SPD.name,
        fold=0,
        cases=plan.split(0)["test"],
        slice_axis=plan.slice_axis,
    )
    return {
        "train_loss": float(np.mean(log["train_losses"][-_LAST_EPOCHS:])),
        "val_loss": float(np.mean(log["val_losses"][-_LAST_EPOCHS:])),
        "val_dice": 100 * float(np.mean(log["mean_fg_dice"][-_LAST_EPOCHS:])),
        "test_volumetric_dice": 100 * float(scores.volumes["volumetric_dice"].mean()),
        "gigabytes": record.notes.get("embedding_cache", {}).get("gigabytes", 0.0),
        "seconds": seconds,
    }


def _summary(results: list[dict[str, float]]) -> dict[str, float]:
    """Means over the seeds, and the spread of the scores."""
    means = {name: float(np.mean([result[name] for result in results])) for name in results[0]}
    spread = {
        f"{name}_sd": float(np.std([result[name] for result in results], ddof=1)) if len(results) > 1 else 0.0
        for name in ("val_dice", "test_volumetric_dice")
    }
    return means | spread

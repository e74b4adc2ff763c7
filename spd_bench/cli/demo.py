"""``spd_demo``: phantoms, a plan, every method at a laptop's budget, and the table they end in."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spd_bench.cli.command import command_parser, run_command
from spd_bench.cli.options import add_device_option, device_of, require_folder_name
from spd_bench.cli.report import print_comparison
from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.paths import DataFolders

if TYPE_CHECKING:
    from spd_bench.methods.method import MethodOptions
    from spd_bench.planning.plan import Plan

# Measured on two cores: enough for every trained row to learn something on unseen cases in minutes.
TASK = "TI"
CASES = 60
SIZE = 96
SLICES = 32
EPOCHS = 8
ITERATIONS = 36
BATCH_SIZE = 8
UNET_FEATURES = 16
# nnU-Net sizes its batch by the memory it plans for; small batches leave it enough steps within the budget.
GPU_MEMORY_GB = 0.13
_SUBFOLDERS = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_demo``."""
    parser = command_parser(
        name="spd_demo",
        description=f"Make {CASES} {TASK} phantoms with noisy points, plan them, train every method at a laptop's "
        "budget from the package's own small SAM, and print the table. No download, no GPU needed; a second call does "
        "only what is missing.",
        example="spd_demo --output spd_demo",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("spd_demo"), help="folder for everything (spd_demo)")
    parser.add_argument("--seed", type=int, default=0, help="seed of phantoms, splits and training (0)")
    add_device_option(parser)
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from spd_bench.cells import Cell, Grid
    from spd_bench.comparison import compare
    from spd_bench.methods.registry import ROWS, without_weights
    from spd_bench.training.settings import Budget

    if arguments.seed < 0:
        raise InputError(f"--seed {arguments.seed} is negative", remedy="give 0 or more")
    require_folder_name(arguments.output)
    folders = _folders(arguments.output)
    print(f"everything goes to {arguments.output}")
    plan = _planned_phantoms(folders, seed=arguments.seed)
    grid = Grid(
        raw=folders.raw,
        results=folders.results,
        output=arguments.output / "comparison",
        budget=Budget(epochs=EPOCHS, iterations_per_epoch=ITERATIONS, batch_size=BATCH_SIZE, seed=arguments.seed),
        options=_options,
        device=device_of(arguments),
        skipped=without_weights(ROWS, named=(), options=_options),
    )
    methods = [method for method in ROWS if method.name not in grid.skipped]
    comparison = compare([Cell(plan=plan, method=method, fold=0) for method in methods], grid)
    print_comparison(comparison)
    if comparison.failures:
        raise SystemExit(1)


def _folders(output: Path) -> DataFolders:
    """The demo's own data folders: whatever nnU-Net folders are set, they stay untouched."""
    for variable, name in _SUBFOLDERS.items():
        folder = output.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder)
    from spd_bench.paths import data_folders

    return data_folders()


def _planned_phantoms(folders: DataFolders, *, seed: int) -> Plan:
    from tqdm import tqdm

    from spd_bench.phantoms import PhantomSet, write_phantom_set
    from spd_bench.planning.plan import read_plan
    from spd_bench.planning.prepare import is_planned, plan_and_preprocess
    from spd_bench.planning.settings import PlanSettings

    dataset = DATASETS[TASK].folder
    phantoms = PhantomSet(task=TASK, count=CASES, seed=seed, size=SIZE, slices=SLICES)
    write_phantom_set(
        phantoms, folder=folders.raw / dataset, progress=lambda numbers: tqdm(numbers, "phantoms", unit="case")
    )
    settings = PlanSettings(resolution=SIZE, seed=seed, gpu_memory_gb=GPU_MEMORY_GB)
    if is_planned(dataset, folders=folders, settings=settings):
        return read_plan(folders.preprocessed / dataset)
    return plan_and_preprocess(dataset, folders=folders, settings=settings)


def _options(method: str) -> MethodOptions:
    from spd_bench.methods.method import MethodOptions

    overrides = {"base_features": UNET_FEATURES} if method == "unet" else {}
    return MethodOptions(overrides=overrides)


if __name__ == "__main__":
    raise SystemExit(main())

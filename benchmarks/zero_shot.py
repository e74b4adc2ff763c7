"""``sam_small`` zero-shot on data that its pretraining never saw, against the same network untrained.

    python -m benchmarks.zero_shot                       # the four phantoms
    python -m benchmarks.zero_shot --data DATA           # and real volumes in nnU-Net's raw layout below DATA

The row ``sam``, nothing trained, with noisy points of severity 1. Phantoms of three seeds, and three draws of the
points of real volumes. OUTPUT gets zero_shot.csv: means over volumes, 95 % intervals from a bootstrap over patients.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks.pretraining_report import RESULTS
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.datasets import DATASETS
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.volume_dice import patient_interval, with_foreground_dice
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.sam import SAM
from spd_bench.models.builtin_weights import builtin_weights, weights_name
from spd_bench.paths import DataFolders, data_folders
from spd_bench.phantoms import PhantomSet, write_phantom_set
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.storage import atomic_path
from spd_bench.training.settings import Budget

_SIDE, _SLICES = 128, 24


@dataclass(frozen=True, kw_only=True)
class _RealSet:
    """A raw dataset below the folder of real data; ``patient`` finds the patient in a case's name."""

    folder: str
    target_labels: tuple[int, ...]
    folds: int
    patient: str


_REAL = {
    "Dataset904_Hippocampus": _RealSet(folder="hippocampus", target_labels=(1, 2), folds=5, patient=r"(.*)"),
    "Dataset905_Sunnybrook": _RealSet(folder="sunnybrook", target_labels=(1,), folds=4, patient=r"(SCD\d{7})"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Predict, score, print and write."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        volumes = pd.concat(
            [_seed_scores(arguments, Path(temporary, str(seed)), seed) for seed in range(arguments.seeds)],
            ignore_index=True,
        )
    table = _table(volumes)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(arguments.output / "zero_shot.csv") as part:
        table.to_csv(part, index=False)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print(f"written: {arguments.output}/zero_shot.csv")


def _seed_scores(arguments: argparse.Namespace, root: Path, seed: int) -> pd.DataFrame:
    """Rows of ``volumes.csv`` of all datasets with one draw of points, for both starts."""
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(root / name)
    folders = data_folders()
    plans = [_planned_phantoms(task, folders, cases=arguments.cases, seed=seed) for task in DATASETS]
    if arguments.data is not None:
        plans += [_planned_volumes(name, arguments.data, folders, seed=seed) for name in _REAL]
    starts = {weights_name(arguments.weights): arguments.weights, "random": None}
    frames = [_scores(plan, folders, root / name, weights) for name, weights in starts.items() for plan in plans]
    return pd.concat(frames, ignore_index=True).assign(seed=seed)


def _planned_phantoms(task: str, folders: DataFolders, *, cases: int, seed: int) -> Plan:
    name = DATASETS[task].folder
    write_phantom_set(
        PhantomSet(task=task, count=cases, seed=100 + seed, size=_SIDE, slices=_SLICES), folder=folders.raw / name
    )
    settings = PlanSettings(resolution=_SIDE, folds=min(5, cases), gpu_memory_gb=0.13)
    return plan_and_preprocess(name, folders=folders, settings=settings)


def _planned_volumes(name: str, data: Path, folders: DataFolders, *, seed: int) -> Plan:
    chosen = _REAL[name]
    for part in ("imagesTr", "labelsTr"):
        shutil.copytree(data / chosen.folder / part, folders.raw / name / part)
    shutil.copy(data / chosen.folder / "dataset.json", folders.raw / name)
    settings = PlanSettings(
        resolution=_SIDE, folds=chosen.folds, target_labels=chosen.target_labels, seed=seed, gpu_memory_gb=0.13
    )
    return plan_and_preprocess(name, folders=folders, settings=settings)


def _scores(plan: Plan, folders: DataFolders, output: Path, weights: Path | None) -> pd.DataFrame:
    options = MethodOptions(backbone="sam_small", weights={"sam": weights}, allow_random=True)
    grid = Grid(
        raw=folders.raw,
        results=folders.results,
        output=output / plan.dataset,
        budget=Budget(),
        options=lambda name: options,
        device=torch.device("cpu"),
    )
    compare([Cell(plan=plan, method=SAM, fold=fold) for fold in range(len(plan.splits))], grid)
    volumes, slices = read_frame(grid.output / "volumes.csv"), read_frame(grid.output / "slices.csv")
    return with_foreground_dice(volumes, slices).assign(weights=output.name)


def _table(volumes: pd.DataFrame) -> pd.DataFrame:
    """Means over volumes and seeds, with intervals over patients."""
    rows = []
    for (dataset, weights), part in volumes.groupby(["dataset", "weights"], sort=False):
        # Phantoms of another seed are other patients; real patients come again with other points.
        patients = part["case"].str.extract(_REAL[dataset].patient)[0] if dataset in _REAL else part.index.to_series()
        for metric in ("volumetric_dice", "foreground_dice"):
            low, high = patient_interval(part[metric], patients)
            seeds = part.groupby("seed")[metric].mean()
            rows.append(
                {
                    "dataset": dataset,
                    "weights": weights,
                    "metric": metric,
                    "mean": part[metric].mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "lowest_seed": seeds.min(),
                    "highest_seed": seeds.max(),
                    "volumes": part["case"].nunique(),
                }
            )
    return pd.DataFrame(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=builtin_weights(), help="file of weights (the package's own)")
    parser.add_argument("--data", type=Path, help="folder with hippocampus/ and sunnybrook/ in nnU-Net's raw layout")
    parser.add_argument("--cases", type=int, default=10, help="phantoms of each task and seed (10)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of phantoms and points (3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder (results/sam_small)")
    return parser


if __name__ == "__main__":
    main()

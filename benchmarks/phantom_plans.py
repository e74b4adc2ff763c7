"""Planned phantoms in a folder of their own, for benchmarks that train."""

from __future__ import annotations

import os
from pathlib import Path

from tqdm import tqdm

from spd_bench.datasets import DATASETS
from spd_bench.paths import DataFolders, data_folders
from spd_bench.phantoms import PhantomSet, write_phantom_set
from spd_bench.planning.plan import Plan, read_plan
from spd_bench.planning.prepare import is_planned, plan_and_preprocess
from spd_bench.planning.settings import PlanSettings


def planned_phantoms(
    root: Path, *, task: str, cases: int, size: int, slices: int | None, resolution: int, folds: int = 5
) -> tuple[Plan, DataFolders]:
    """Phantoms of seed 0, planned unless they are; nnU-Net's variables point below ``root`` from then on.

    Args:
        root: folder of everything.
        task: a name in ``DATASETS``.
        cases: number of cases, one for each fold at least.
        size: pixels of the phantoms' longer in-plane side.
        slices: slices of each phantom, the task's own number where None.
        resolution: side of the planned slices in pixels.
        folds: one of them is for testing and one for validation, the others are trained on.
    """
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(root / name)
    folders = data_folders()
    dataset = DATASETS[task].folder
    write_phantom_set(
        PhantomSet(task=task, count=cases, size=size, slices=slices),
        folder=folders.raw / dataset,
        progress=lambda numbers: tqdm(numbers, "phantoms", unit="case"),
    )
    settings = PlanSettings(resolution=resolution, folds=min(folds, cases), gpu_memory_gb=0.13)
    if is_planned(dataset, folders=folders, settings=settings):
        return read_plan(folders.preprocessed / dataset), folders
    return plan_and_preprocess(dataset, folders=folders, settings=settings), folders

"""The training runs on TI phantoms that the claims and the ablations stand on."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.phantom_plans import planned_phantoms
from spd_bench.cells import Cell, Grid
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import get_methods
from spd_bench.models.weight_families import parse_weights
from spd_bench.paths import DataFolders
from spd_bench.phantoms import PhantomSet
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget

RESULTS = Path(__file__).parents[1] / "results" / "ti_phantom"
_UNET_FEATURES = 16
_FOLDS = 10
"""A tenth for testing and a tenth for validation: phantoms are cheap, and networks remember few volumes by heart."""


@dataclass(frozen=True, kw_only=True)
class TiPhantomRuns:
    """Phantoms, planned, and the budget of every row.

    Attributes:
        work: folder of data and runs.
        phantoms: the phantoms.
        plan: their plan.
        folders: nnU-Net's folders.
        epochs: epochs of every row.
        iterations: steps in an epoch.
        batch_size: slices in a step.
    """

    work: Path
    phantoms: PhantomSet
    plan: Plan
    folders: DataFolders
    epochs: int
    iterations: int
    batch_size: int

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> TiPhantomRuns:
        """Make and plan the phantoms unless they are there."""
        sizes = {"size": arguments.size, "slices": arguments.slices}
        plan, folders = planned_phantoms(
            arguments.work, task="TI", cases=arguments.cases, resolution=arguments.size, folds=_FOLDS, **sizes
        )
        return cls(
            work=arguments.work,
            phantoms=PhantomSet(task="TI", count=arguments.cases, **sizes),
            plan=plan,
            folders=folders,
            epochs=arguments.epochs,
            iterations=arguments.iterations,
            batch_size=arguments.batch_size,
        )

    def grid(self, *, seed: int, start: str) -> Grid:
        """Where the rows of one seed that start from the same weights are run."""
        name = f"seed{seed}_{start}"

        def options(method: str) -> MethodOptions:
            overrides = {"base_features": _UNET_FEATURES} if method == "unet" else {}
            return MethodOptions(backbone="sam_small", weights=parse_weights([start]), overrides=overrides)

        results = self.work.absolute() / "runs" / name
        os.environ.update({"nnUNet_results": str(results)})  # where nnU-Net's trainers write
        return Grid(
            raw=self.folders.raw,
            results=results,
            output=self.work / "comparisons" / name,
            budget=Budget(
                epochs=self.epochs, iterations_per_epoch=self.iterations, batch_size=self.batch_size, seed=seed
            ),
            options=options,
            device=torch.device("cpu"),
        )

    def cells(self, rows: Sequence[str]) -> Iterator[Cell]:
        """The cells of some rows on the first fold."""
        for method in get_methods(rows):
            yield Cell(plan=self.plan, method=method, fold=0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that decide which runs are meant."""
    parser.add_argument("--work", type=Path, required=True, help="folder of data and runs, kept")
    parser.add_argument("--cases", type=int, default=240, help="phantoms, a tenth of them for testing (240)")
    parser.add_argument("--size", type=int, default=128, help="pixels of the slices (128)")
    parser.add_argument("--slices", type=int, help="slices of a phantom (the task's own number)")
    parser.add_argument("--epochs", type=int, default=12, help="epochs (12)")
    parser.add_argument("--iterations", type=int, default=50, help="steps in an epoch (50)")
    parser.add_argument("--batch-size", type=int, default=8, help="slices in a step (8)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of training (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder (results/ti_phantom)")

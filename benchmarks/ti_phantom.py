"""The paper's claims in kind on TI phantoms, from ``sam_small``'s weights and from scratch, over several seeds.

    python -m benchmarks.ti_phantom --work WORK

All rows that need no download, at one budget; then the trained networks on points of other severities, and SPD at
other thresholds. WORK keeps data and runs: a second call does only what is missing. OUTPUT gets volumes.csv (a row a
test volume and run), claims.csv (paired differences with 95 % intervals from a bootstrap over patients, seeds
averaged), prompts.csv (the prompts' quality on validation cases) and the tables of the first seed.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from benchmarks.phantom_plans import planned_phantoms
from benchmarks.ti_phantom_claims import check_claims
from benchmarks.ti_phantom_prompts import scores_at_severities, scores_at_thresholds
from benchmarks.volume_scores import with_foreground_dice
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import Comparison, compare
from spd_bench.evaluation.frames import read_frame
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import get_methods
from spd_bench.models.builtin_weights import BUILTIN, RANDOM
from spd_bench.models.weight_families import parse_weights
from spd_bench.paths import DataFolders
from spd_bench.phantoms import PhantomSet
from spd_bench.planning.plan import Plan
from spd_bench.storage import atomic_path
from spd_bench.training.settings import Budget

RESULTS = Path(__file__).parents[1] / "results" / "ti_phantom"
_ROWS = ("empty", "sam", "sam_tuning", "medsam", "msa", "sam_refiner", "unet", "nnunet", "spd", "sam_consensus")
_FROM_SCRATCH = ("sam_tuning", "spd")
_UNET_FEATURES = 16


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, check the claims, print and write."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    logging.disable(logging.WARNING)
    phantoms = PhantomSet(task="TI", count=arguments.cases, size=arguments.size, slices=arguments.slices)
    sizes = {"size": arguments.size, "resolution": arguments.size, "slices": arguments.slices}
    plan, folders = planned_phantoms(arguments.work, task="TI", cases=arguments.cases, **sizes)
    arguments.output.mkdir(parents=True, exist_ok=True)
    volumes, prompts = [], []
    for seed in range(arguments.seeds):
        for start, rows in ((BUILTIN, _ROWS), (RANDOM, _FROM_SCRATCH)):
            grid = _grid(arguments, folders, seed=seed, start=start)
            comparison = compare(list(_cells(plan, rows)), grid)
            if comparison.failures:
                sys.exit(f"failed, see {grid.output / 'cells'}: {comparison.failures}")
            found, slices = (read_frame(grid.output / name) for name in ("volumes.csv", "slices.csv"))
            volumes.append(with_foreground_dice(found, slices).assign(seed=seed, weights=start))
            prompts.append(_prompt_quality(comparison).assign(seed=seed, weights=start))
            if start == BUILTIN:
                severities = scores_at_severities(plan, grid, phantoms=phantoms, folder=arguments.work / "prompts")
                others = [*severities, *scores_at_thresholds(plan, grid)]
                volumes.append(pd.concat(others).assign(seed=seed, weights=start))
                if seed == 0:
                    _keep_tables(grid.output, arguments.output)
    frame = pd.concat(volumes, ignore_index=True)
    claims = check_claims(frame, patients=plan.patients)
    for name, table in (("volumes", frame), ("claims", claims), ("prompts", pd.concat(prompts))):
        with atomic_path(arguments.output / f"{name}.csv") as part:
            table.to_csv(part, index=False, float_format="%.6g")
    print(claims.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(f"written: {arguments.output}")


def _grid(arguments: argparse.Namespace, folders: DataFolders, *, seed: int, start: str) -> Grid:
    name = f"seed{seed}_{start}"

    def options(method: str) -> MethodOptions:
        overrides = {"base_features": _UNET_FEATURES} if method == "unet" else {}
        return MethodOptions(backbone="sam_small", weights=parse_weights([start]), overrides=overrides)

    results = arguments.work.absolute() / "runs" / name
    os.environ.update({"nnUNet_results": str(results)})  # where nnU-Net's trainers write
    return Grid(
        raw=folders.raw,
        results=results,
        output=arguments.work / "comparisons" / name,
        budget=Budget(
            epochs=arguments.epochs,
            iterations_per_epoch=arguments.iterations,
            batch_size=arguments.batch_size,
            seed=seed,
        ),
        options=options,
        device=torch.device("cpu"),
    )


def _cells(plan: Plan, rows: Sequence[str]) -> Iterator[Cell]:
    for method in get_methods(rows):
        yield Cell(plan=plan, method=method, fold=0)


def _prompt_quality(comparison: Comparison) -> pd.DataFrame:
    rows = [
        {"method": record["method"], "prompts": kind, **shares, "tau": record["notes"]["threshold"]["tau"]}
        for record in comparison.records
        for kind, shares in record["notes"].get("prompt_quality", {}).items()
    ]
    return pd.DataFrame(rows)


def _keep_tables(comparison: Path, output: Path) -> None:
    for pattern in ("table_*", "summary.csv", "significance.csv"):
        for file in comparison.glob(pattern):
            shutil.copy(file, output)
    shutil.copytree(comparison / "runs", output / "runs", dirs_exist_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of data and runs, kept")
    parser.add_argument("--cases", type=int, default=120, help="phantoms, a fifth of them for testing (120)")
    parser.add_argument("--size", type=int, default=128, help="pixels of the slices (128)")
    parser.add_argument("--slices", type=int, help="slices of a phantom (the task's own number)")
    parser.add_argument("--epochs", type=int, default=12, help="epochs (12)")
    parser.add_argument("--iterations", type=int, default=50, help="steps in an epoch (50)")
    parser.add_argument("--batch-size", type=int, default=8, help="slices in a step (8)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of training (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder (results/ti_phantom)")
    return parser


if __name__ == "__main__":
    main()

"""What the benchmarks of ``make endurance`` have in common: small phantoms, a folder, one JSON file a claim."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.killing import TrainingCommand
from benchmarks.phantom_plans import planned_phantoms
from spd_bench.methods.registry import get_method
from spd_bench.planning.plan import Plan
from spd_bench.storage import write_json

RESULTS = Path(__file__).parents[1] / "results" / "reliability"


def endurance_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with ``--work`` and ``-o``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of data and runs, kept")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder (results/reliability)")
    return parser


def endurance_plan(work: Path) -> Plan:
    """Ten TI phantoms of 24 slices of 64 x 64 pixels, planned once; nnU-Net's variables point below ``work``."""
    plan, _ = planned_phantoms(work, task="TI", cases=10, size=64, slices=24, resolution=64)
    return plan


def fresh_training(
    results: Path, method: str, plan: Plan, *, epochs: int, iterations: int, batch_size: int, options: Sequence[str]
) -> TrainingCommand:
    """The training of a row on a CPU into a folder that is emptied; nnU-Net's variable names it from then on."""
    shutil.rmtree(results, ignore_errors=True)
    os.environ.update({"nnUNet_results": str(results)})
    sizes = {"--epochs": epochs, "--iterations": iterations, "--batch-size": batch_size}
    return TrainingCommand(
        arguments=(
            *("-d", plan.dataset, "-m", method, "--device", "cpu"),
            *(word for name, size in sizes.items() for word in (name, str(size))),
            *options,
        ),
        folder=get_method(method).run_folder(results, plan, 0),
    )


def write_claim(
    output: Path, name: str, *, description: str | None, rows: Sequence[Mapping[str, Any]], **figures: Any
) -> None:
    """Write a benchmark's rows under its claim, the first line of its description, and say where."""
    claim = (description or "").partition("\n")[0]
    write_json(output / f"{name}.json", {"claim": claim, **figures, "rows": list(rows)})
    print(f"written: {output / f'{name}.json'}")

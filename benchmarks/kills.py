"""Training that is killed again and again ends as if it had never been stopped, bit for bit.

    python -m benchmarks.kills --work WORK
    python -m benchmarks.kills --work WORK --methods spd --kills 3 --epochs 6 --workers 0

``spd_train`` runs as a user runs it, in a process of its own. SIGKILL comes at random moments of the run, every fourth
time while a checkpoint is being written; then the run is continued. At the end weights, optimiser and log are compared
with those of the same run undisturbed, for each method and, where batches are ours, each number of loading processes.
SPD's Stage I has 30 % of the epochs. OUTPUT gets kills.json.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.killing import Killer, Moment
from benchmarks.withstanding import endurance_parser, endurance_plan, fresh_training, write_claim
from spd_bench.methods.method import Method
from spd_bench.methods.registry import get_method
from spd_bench.planning.plan import Plan
from spd_bench.training.checkpoints import FINAL, read_checkpoint
from spd_bench.training.prompt_trainer import PromptTrainer

# Half of the kills are to meet Stage II.
_OWN_OPTIONS = {"spd": ("--set", "spd.stage_one_share=0.3")}
_TIMES = ("epoch_start_timestamps", "epoch_end_timestamps")
_CPU = torch.device("cpu")


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run leaves, but for the clock's readings."""
    checkpoint = read_checkpoint(folder / FINAL, _CPU)
    log = {name: values for name, values in checkpoint["logging"].items() if name not in _TIMES}
    return {name: checkpoint[f"{name}_state"] for name in ("optimizer", "scheduler")} | {
        "weights": checkpoint["network_weights"],
        "log": log,
    }


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Where two nested values differ in any bit; two NaN are equal."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return [line for key in first for line in differences(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{path}/{index}")]
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return [] if torch.equal(first, second) else [path]
    return [] if first == second or (first != first and second != second) else [path]


def main(argv: Sequence[str] | None = None) -> None:
    """Kill, continue, compare, print and write."""
    arguments = _parser().parse_args(argv)
    plan = endurance_plan(arguments.work)
    rows = []
    for method in map(get_method, arguments.methods):
        ours = method.trainer is not None and issubclass(method.trainer, PromptTrainer)
        for workers in arguments.workers if ours else (0,):
            rows.append(_killed_run(method, plan, workers=workers, arguments=arguments))
            print(rows[-1])
    write_claim(arguments.output, "kills", description=__doc__, rows=rows)
    if any(row["different"] for row in rows):
        sys.exit(1)


def _killed_run(method: Method, plan: Plan, *, workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train undisturbed, train killed, compare."""
    command = fresh_training(
        arguments.work / f"{method.name}_workers_{workers}",
        method.name,
        plan,
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        batch_size=4,
        options=("--workers", str(workers), *_OWN_OPTIONS.get(method.name, ())),
    )
    seconds = command.run()
    expected = outcome(command.folder)
    shutil.rmtree(command.folder)
    random = np.random.default_rng([arguments.seed, workers])
    moments = Killer(command, random=random, epoch_seconds=seconds / arguments.epochs).run(arguments.kills)
    return {"method": method.name, **_row(workers, moments, differences(expected, outcome(command.folder)))}


def _row(workers: int, moments: Sequence[Moment], different: Sequence[str]) -> dict[str, Any]:
    return {
        "workers": workers,
        "kills": len(moments),
        "while a checkpoint was written": sum(moment.writing for moment in moments),
        "by whole epochs before": dict(Counter(str(moment.epochs) for moment in moments)),
        "different": list(different),
    }


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=("spd", "nnunet"), help="rows (spd nnunet)")
    parser.add_argument("--kills", type=int, default=20, help="times that each run is killed (20)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs (20)")
    parser.add_argument("--iterations", type=int, default=12, help="steps in an epoch (12)")
    parser.add_argument("--workers", type=int, nargs="+", default=(0, 2), help="loading processes (0 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (0)")
    return parser


if __name__ == "__main__":
    main()

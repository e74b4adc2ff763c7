"""Training in several processes follows the loss curve of one process with the same global batch.

    python -m benchmarks.ranks --work WORK
    python -m benchmarks.ranks --work WORK --methods spd --processes 2 --epochs 4

``spd_train --num-gpus N --device cpu`` as a user runs it, gloo between the processes. Losses of every epoch are
compared with those of one process; the sums of a batch are taken in another order, so that rounding differs and grows
with the steps. OUTPUT gets ranks.json; exit 1 where losses differ by more than 1e-4 (``unet``: 1e-3).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.kills import outcome
from benchmarks.withstanding import endurance_parser, endurance_plan, fresh_training, write_claim
from spd_bench.planning.plan import Plan

_MOST = 1e-4
# The gradient of a bias before an instance norm is rounding alone, and Adam makes full steps of it.
_MOST_OF = {"unet": 1e-3}
_LOSSES = ("train_losses", "val_losses")


def main(argv: Sequence[str] | None = None) -> None:
    """Train with one process and with several, compare, print and write."""
    arguments = _parser().parse_args(argv)
    plan = endurance_plan(arguments.work)
    rows = []
    for method in arguments.methods:
        alone = _losses(method, plan, processes=1, arguments=arguments)
        for processes in tqdm(arguments.processes, method, unit="run"):
            together = _losses(method, plan, processes=processes, arguments=arguments)
            largest = {name: float(np.abs(np.subtract(alone[name], together[name])).max()) for name in _LOSSES}
            rows.append({"method": method, "processes": processes, "epochs": arguments.epochs, **largest})
            print(rows[-1])
    write_claim(arguments.output, "ranks", description=__doc__, rows=rows)
    if any(row[name] > _MOST_OF.get(row["method"], _MOST) for row in rows for name in _LOSSES):
        sys.exit(1)


def _losses(method: str, plan: Plan, *, processes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The losses of every epoch of a run with so many processes."""
    command = fresh_training(
        arguments.work / f"ranks_{method}_{processes}",
        method,
        plan,
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        batch_size=16,
        options=("--workers", "0", "--num-gpus", str(processes)),
    )
    command.run()
    log: dict[str, Any] = outcome(command.folder)["log"]
    return log


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=("spd", "unet", "msa"), help="rows (spd unet msa)")
    parser.add_argument("--processes", type=int, nargs="+", default=(2, 4), help="numbers of processes (2 4)")
    parser.add_argument("--epochs", type=int, default=6, help="epochs (6)")
    parser.add_argument("--iterations", type=int, default=4, help="steps in an epoch (4)")
    return parser


if __name__ == "__main__":
    main()

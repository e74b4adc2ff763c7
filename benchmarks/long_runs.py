"""Memory of a training run over many epochs stays flat.

    python -m benchmarks.long_runs --work WORK
    python -m benchmarks.long_runs --work WORK --methods unet --epochs 50 --workers 0

``spd_train`` runs as a user runs it, in a process of its own. After each epoch the resident memory of it and of its
loading processes is read. A line through the later half of a stage tells how much a hundred epochs add; the earlier
half is left to allocators and caches. OUTPUT gets memory.json and memory.png.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.killing import TrainingCommand
from benchmarks.withstanding import endurance_parser, endurance_plan, fresh_training, write_claim
from spd_bench.planning.plan import Plan
from spd_bench.storage import atomic_path

_STAGE_ONE_SHARE = 0.5
_POLL = 0.02
# What allocators hold back comes and goes by about that much.
_MOST_MB_PER_100_EPOCHS = 10.0


def main(argv: Sequence[str] | None = None) -> None:
    """Train, read, print, draw and write; exit 1 where memory grows."""
    arguments = _parser().parse_args(argv)
    plan = endurance_plan(arguments.work)
    rows = [
        _row(name, workers, _memory_of_run(name, plan, workers=workers, arguments=arguments))
        for name in arguments.methods
        for workers in arguments.workers
    ]
    for row in rows:
        print({name: value for name, value in row.items() if name != "mb"})
    write_claim(arguments.output, "memory", description=__doc__, rows=rows)
    with atomic_path(arguments.output / "memory.png") as part:
        _draw(rows).savefig(part, dpi=110)
    if any(added > _MOST_MB_PER_100_EPOCHS for row in rows for added in row["mb_added_by_100_epochs"]):
        sys.exit(1)


def added_by_hundred_epochs(mb: Sequence[float], stages: Sequence[int]) -> list[float]:
    """MB that a hundred epochs add in each stage, by the later half of its epochs.

    Args:
        mb: memory after each epoch.
        stages: where stages begin and end, from 0 to the number of epochs.
    """
    added = []
    for begin, end in pairwise(stages):
        later = np.asarray(mb[(begin + end) // 2 : end])
        slope = np.polyfit(np.arange(len(later)), later, 1)[0] if len(later) > 1 else 0.0
        added.append(round(100 * float(slope), 2))
    return added


def _row(name: str, workers: int, mb: Sequence[float]) -> dict[str, Any]:
    stages = (0, round(_STAGE_ONE_SHARE * len(mb)), len(mb)) if name == "spd" else (0, len(mb))
    return {
        "method": name,
        "workers": workers,
        "epochs": len(mb),
        "mb_added_by_100_epochs": added_by_hundred_epochs(mb, stages),
        "mb": [round(value, 1) for value in mb],
    }


def _memory_of_run(name: str, plan: Plan, *, workers: int, arguments: argparse.Namespace) -> list[float]:
    """MB after each epoch but the last, which ends with the run."""
    own = ("--set", f"spd.stage_one_share={_STAGE_ONE_SHARE}") if name == "spd" else ()
    command = fresh_training(
        arguments.work / f"memory_{name}_{workers}",
        name,
        plan,
        epochs=arguments.epochs,
        iterations=2,
        batch_size=4,
        options=("--workers", str(workers), *own),
    )
    epochs = tqdm(_saved_epochs(command), f"{name}, {workers} workers", total=arguments.epochs - 1, unit="epoch")
    return [_resident_mb(process) for process in epochs]


def _saved_epochs(command: TrainingCommand) -> Iterator[psutil.Process]:
    """Run the command; its process each time that it has saved an epoch."""
    with command.start() as process:
        running = psutil.Process(process.pid)
        saved = command.saved_at
        while process.poll() is None:
            if command.saved_at not in (saved, None):
                saved = command.saved_at
                yield running
            time.sleep(_POLL)
        command.finish(process)


def _resident_mb(process: psutil.Process) -> float:
    """Of a process and those that it has started; pages that they share count once for each."""
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6


def _draw(rows: Sequence[dict[str, Any]]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for row in rows:
        axes.plot(row["mb"], label=f"{row['method']}, {row['workers']} loading processes")
    axes.set(xlabel="epoch", ylabel="resident memory, MB", title="Memory of training, all processes together", ylim=0)
    axes.legend()
    return figure


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=("spd", "unet", "nnunet"), help="rows (spd unet nnunet)")
    parser.add_argument("--epochs", type=int, default=200, help="epochs of two steps (200)")
    parser.add_argument("--workers", type=int, nargs="+", default=(0, 2), help="loading processes (0 2)")
    return parser


if __name__ == "__main__":
    main()

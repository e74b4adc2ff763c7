"""Processes that share a grid, and are killed on the way, leave the tables that one undisturbed process leaves.

    python -m benchmarks.shared_grid --work WORK
    python -m benchmarks.shared_grid --work WORK --processes 2 --kills 2 --methods empty unet --folds 0

``spd_compare_baselines`` runs as a user runs it, several times at once on the same folders. A random one is killed with
SIGKILL after a random time and started again, until it was done often enough; then all come to their end. Scores are
compared bit for bit with those of one process that was left alone. OUTPUT gets shared_grid.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.withstanding import endurance_parser, endurance_plan, write_claim
from spd_bench.planning.plan import Plan

_SCORES = ("slices.csv", "volumes.csv")


def main(argv: Sequence[str] | None = None) -> None:
    """Run alone, run shared and killed, compare, print and write; exit 1 where scores differ."""
    arguments = _parser().parse_args(argv)
    plan = endurance_plan(arguments.work)
    alone, shared = (_empty_folder(arguments.work / name) for name in ("grid_alone", "grid_shared"))
    started = time.monotonic()
    _finish(_start(alone, plan, arguments))
    seconds = time.monotonic() - started
    kills = _run_shared(shared, plan, arguments, seconds=seconds)
    row = {
        "processes": arguments.processes,
        "kills": kills,
        "cells": len(arguments.methods) * len(arguments.folds),
        "different": [name for name in _SCORES if not _same(alone, shared, name)],
        "left half-written": sorted(str(path.relative_to(shared)) for path in shared.rglob(".part-*")),
    }
    print(row)
    write_claim(arguments.output, "shared_grid", description=__doc__, rows=[row])
    if row["different"]:
        sys.exit(1)


def _run_shared(folder: Path, plan: Plan, arguments: argparse.Namespace, *, seconds: float) -> int:
    """Start the processes, kill and start again, wait for all; how many were killed."""
    random = np.random.default_rng(arguments.seed)
    processes = [_start(folder, plan, arguments) for _ in range(arguments.processes)]
    killed = 0
    for _ in tqdm(range(arguments.kills), "killing", unit="kill"):
        time.sleep(float(random.uniform(0.1, 1.0)) * seconds / max(1, arguments.kills))
        chosen = int(random.integers(len(processes)))
        if processes[chosen].poll() is None:
            os.killpg(processes[chosen].pid, signal.SIGKILL)
            processes[chosen].communicate()
            killed += 1
        else:
            _finish(processes[chosen])
        processes[chosen] = _start(folder, plan, arguments)
    for process in processes:
        _finish(process)
    return killed


def _start(folder: Path, plan: Plan, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "spd_bench.cli.compare_baselines", "-d", plan.dataset, "--device", "cpu"]
    call += ["-m", *arguments.methods, "-f", *map(str, arguments.folds), "--epochs", str(arguments.epochs)]
    call += ["--iterations", "4", "--batch-size", "4", "-o", str(folder / "out"), "--report-cases", "0"]
    return subprocess.Popen(
        call,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "nnUNet_results": str(folder / "results"), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        msg = f"spd_compare_baselines failed:\n{errors[-2000:]}"
        raise RuntimeError(msg)


def _same(alone: Path, shared: Path, name: str) -> bool:
    return (alone / "out" / name).read_bytes() == (shared / "out" / name).read_bytes()


def _empty_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--processes", type=int, default=3, help="at once on the grid (3)")
    parser.add_argument("--kills", type=int, default=12, help="times that one of them is killed (12)")
    parser.add_argument(
        "--methods", nargs="+", default=("empty", "sam_tuning", "unet", "sam_refiner", "spd"), help="rows (five)"
    )
    parser.add_argument("--folds", type=int, nargs="+", default=(0, 1), help="folds (0 1)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of four steps (4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (0)")
    return parser


if __name__ == "__main__":
    main()

"""Where submitit keeps the jobs of a comparison and their logs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spd_bench.cells import Grid


def jobs_root(grid: Grid) -> Path:
    """The folder that holds those of every call; each node must see it."""
    return (grid.output / "jobs").absolute()


def jobs_folder(grid: Grid) -> Path:
    """A folder of this call's own: local jobs are named by their processes, whose numbers come again."""
    return jobs_root(grid) / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"

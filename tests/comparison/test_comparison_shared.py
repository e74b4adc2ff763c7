"""Grids that were stopped, and grids that two processes work on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.planning.plan import Plan
from spd_bench.storage import read_json
from spd_bench.training.checkpoints import LATEST
from spd_bench.training.tracked import TrackedTrainer


def test_a_stopped_cell_goes_on_after_its_last_whole_epoch(
    planned: Plan,
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [cell] = cells_of(planned, ("unet",))
    whole = make_grid("whole")
    compare([cell], whole)
    grid = make_grid("stopped")
    steps: list[int] = []
    original = TrackedTrainer.train_step

    def train_step(self: TrackedTrainer, batch: Any) -> dict[str, Any]:
        steps.append(self.current_epoch)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(TrackedTrainer, "train_step", train_step)
    with pytest.raises(KeyboardInterrupt):
        compare([cell], grid)
    assert (grid.run(cell).folder / LATEST).is_file()
    compare([cell], grid)
    assert steps == [0, 0, 1, 1, 1, 1]
    expected, found = (pd.read_csv(one.output / "slices.csv") for one in (whole, grid))
    pd.testing.assert_frame_equal(found, expected)


def test_two_processes_on_one_grid_train_each_cell_once(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    short = (
        "--epochs",
        "2",
        "--iterations",
        "2",
        "--batch-size",
        "4",
        "--device",
        "cpu",
        "--set",
        "unet.base_features=4",
    )
    call = [sys.executable, "-m", "spd_bench.cli.compare_baselines", "-d", "901", "-m", "unet", "empty", *short]
    processes = [
        subprocess.Popen(
            [*call, "-o", str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        for _ in range(2)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    [log] = (tmp_path / "results").rglob("training_log_*.txt")
    assert log.read_text().count("epoch 1: train loss") == 1
    assert {read_json(path)["method"] for path in (tmp_path / "out" / "runs").glob("*.json")} == {"unet", "empty"}

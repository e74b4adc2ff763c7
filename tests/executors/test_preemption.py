"""A job that is pre-empted goes on after its last whole epoch."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pandas as pd
import pytest

from benchmarks.kills import differences, outcome
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import run_cell
from spd_bench.executors.executor import CellWork
from spd_bench.executors.local import local_executor
from spd_bench.executors.settings import JobSettings
from spd_bench.training.checkpoints import LATEST
from spd_bench.training.settings import Budget

pytest.importorskip("submitit")

EPOCHS = 6


def noting_its_process() -> CellWork:
    """``run_cell`` in a process that is known: a nested function, as a job cannot import this file."""

    def run(cell: Cell, grid: Grid) -> None:
        import os

        from spd_bench.comparison import run_cell

        with (grid.output / "processes").open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        run_cell(cell, grid)

    return CellWork(run=run, is_finished=lambda cell, grid: False)


def test_a_pre_empted_job_ends_as_one_that_was_left_alone(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    [cell], budget = cells_of("unet"), Budget(epochs=EPOCHS, iterations_per_epoch=2, batch_size=4)
    whole = make_grid("whole", budget=budget)
    run_cell(cell, whole)
    grid = make_grid("pre-empted", budget=budget)
    grid.output.mkdir()
    epochs: list[str] = []

    def pre_empt() -> None:
        deadline = time.monotonic() + 60
        while not (grid.run(cell).folder / LATEST).is_file():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(int((grid.output / "processes").read_text()), signal.SIGUSR2)
        epochs.extend(path.read_text() for path in grid.run(cell).folder.glob("training_log_*.txt"))

    thread = threading.Thread(target=pre_empt)
    thread.start()
    assert local_executor(JobSettings()).run([cell], grid, noting_its_process()) == {}
    thread.join()
    [log] = epochs
    assert f"epoch {EPOCHS - 1}: train loss" not in log
    assert len((grid.output / "processes").read_text().split()) == 2
    assert differences(outcome(whole.run(cell).folder), outcome(grid.run(cell).folder)) == []
    frames = [pd.read_csv(one.folder(cell) / "slices.csv") for one in (whole, grid)]
    pd.testing.assert_frame_equal(*frames)
    [told] = (grid.output / "jobs").glob("*/*_log.out")
    assert "Requeued job" in told.read_text()

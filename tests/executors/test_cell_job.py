"""A cell as plain values, and its signals."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import run_cell
from spd_bench.executors.cell_job import cell_job

pytest.importorskip("submitit")


def status_of(body: Callable[[], bool]) -> int:
    """The exit status of a forked process: 0 where ``body`` says so."""
    process = os.fork()
    if process == 0:
        os._exit(0 if body() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_job_is_plain_values_and_equal_to_another_of_the_same_cell(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    grid, [cell] = make_grid("grid"), cells_of("unet")
    job = cell_job(cell, grid, run=run_cell, device="cpu")
    assert pickle.loads(pickle.dumps(job)) == job
    assert cell_job(cell, grid, run=run_cell, device="cpu") == job
    assert cell_job(cell, replace(grid, budget=replace(grid.budget, seed=1)), run=run_cell, device="cpu") != job


def test_a_job_s_cell_and_grid_are_those_it_was_made_of(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    grid, [cell] = make_grid("grid"), cells_of("unet")

    def same(other: Cell, found: Grid) -> None:
        assert other == cell
        assert replace(found, options=grid.options) == grid
        assert found.options("unet") == grid.options("unet")
        assert found.options("spd") == grid.options("spd")

    job = cell_job(cell, grid, run=same, device="cpu")
    assert status_of(lambda: job() is None) == 0


def test_processes_that_a_job_forks_do_not_take_its_signals(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    """Else each of nnU-Net's loading processes would put a pre-empted job back into the queue."""

    def handler(number: int, frame: object) -> None: ...

    def forking(cell: Cell, grid: Grid) -> None:
        handlers = {signal.SIGTERM: signal.SIG_DFL, signal.SIGUSR2: signal.SIG_IGN}
        assert status_of(lambda: all(signal.getsignal(one) == handlers[one] for one in handlers)) == 0

    job = cell_job(*cells_of("unet"), make_grid("grid"), run=forking, device="cpu")

    def in_a_process_with_handlers() -> bool:
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, handler)
        return job() is None

    assert status_of(in_a_process_with_handlers) == 0


def test_a_job_that_cannot_be_put_back_into_the_queue_ends(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    """Else the error would be taken for that of the test case that is being predicted, which then counts as empty."""

    def refused(number: int, frame: object) -> None:
        raise RuntimeError("scontrol: requeueing is disabled")

    def predicting(cell: Cell, grid: Grid) -> None:
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGUSR2)

    job = cell_job(*cells_of("unet"), make_grid("grid"), run=predicting, device="cpu")

    def ends() -> bool:
        signal.signal(signal.SIGUSR2, refused)
        try:
            job()
        except SystemExit as stop:
            return stop.code == 1
        return False

    assert status_of(ends) == 0

"""Cells as processes of this machine, by submitit's local executor."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare, is_finished
from spd_bench.errors import InputError
from spd_bench.executors.executor import CellWork
from spd_bench.executors.local import gpu_slots, local_executor
from spd_bench.executors.settings import JobSettings
from spd_bench.severity_settings import SeveritySettings

pytest.importorskip("submitit")

_PATIENCE = 60.0


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def process_of(grid: Grid) -> int:
    """The process that sleeps, once there is one."""
    path = grid.output / "process"
    return int(wait_for(lambda: path.is_file() and path.read_text()))


def sleeping() -> CellWork:
    """A cell notes its process and sleeps: a nested function, as a job cannot import this file."""

    def run(cell: Cell, grid: Grid) -> None:
        import os
        import time

        (grid.output / "process").write_text(str(os.getpid()))
        time.sleep(600)

    return CellWork(run=run, is_finished=lambda cell, grid: False)


def ended(process: int) -> bool:
    # Whoever takes over the processes of one that is killed may be slow to see their end.
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_processes_leave_what_one_process_leaves(
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    severities = SeveritySettings(severities=(2.0,))
    # Without weights of its own the row medsam_zero_shot fails.
    cells = cells_of("medsam_zero_shot", "sam_tuning")
    grids = [make_grid("jobs", severities=severities)]
    jobs = compare(cells, grids[0], executor=local_executor(JobSettings(jobs=2)))
    told = capsys.readouterr().err
    grids.append(make_grid("inline", severities=severities))
    inline = compare(cells, grids[1])
    for name in ("slices.csv", "volumes.csv", "severities.csv"):
        frames = [pd.read_csv(grid.output / name) for grid in grids]
        assert len(frames[0])
        pd.testing.assert_frame_equal(*frames)
    pd.testing.assert_frame_equal(jobs.summary, inline.summary)
    assert jobs.failures == inline.failures
    assert list(jobs.failures) == [cells[0].name]
    log = grids[0].folder(cells[0]) / "error.log"
    assert "MissingWeightsError" in log.read_text()
    assert f"failed: {cells[0].name}" in told
    assert "running 0, waiting 0, failed 1" in told
    assert f"logs of the jobs: {grids[0].output / 'jobs'}" in told
    [logs] = (grids[0].output / "jobs").iterdir()
    assert len(list(logs.glob("*_log.err"))) == 2
    assert [is_finished(cell, grids[0]) for cell in cells] == [False, True]


def test_a_killed_process_is_told_with_its_log(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    grid, [cell] = make_grid("killed"), cells_of("unet")
    grid.output.mkdir()
    killer = threading.Thread(target=lambda: os.kill(process_of(grid), signal.SIGKILL))
    killer.start()
    failures = local_executor(JobSettings()).run([cell], grid, sleeping())
    killer.join()
    reason = failures[cell.name]
    assert "ended without a result: see " in reason
    assert Path(reason.rpartition("see ")[2]).is_file()
    assert (grid.folder(cell) / "error.log").read_text() == f"{reason}\n"


@pytest.mark.parametrize("in_a_terminal", [False, True])
def test_an_interruption_ends_the_processes(
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    capfd: pytest.CaptureFixture[str],
    in_a_terminal: bool,
) -> None:
    grid, [cell] = make_grid("stopped"), cells_of("unet")
    grid.output.mkdir()
    processes: list[int] = []

    def interrupt() -> None:
        processes.append(process_of(grid))
        # A terminal sends Ctrl-C to all of its processes.
        for process in [*controllers(), *processes] if in_a_terminal else []:
            os.kill(process, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    def controllers() -> list[int]:
        return [int(path.name.split("_")[0]) for path in (grid.output / "jobs").glob("*/*_log.err")]

    stopper = threading.Thread(target=interrupt)
    stopper.start()
    with pytest.raises(KeyboardInterrupt):
        local_executor(JobSettings()).run([cell], grid, sleeping())
    stopper.join()
    assert len(controllers()) == 1
    wait_for(lambda: all(ended(process) for process in [*processes, *controllers()]))
    assert "Traceback" not in capfd.readouterr().err


def test_a_row_of_no_registry_is_refused(make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]) -> None:
    [cell] = cells_of("empty")
    other = replace(cell, method=replace(cell.method, title="Another"))
    with pytest.raises(InputError, match="the row 'empty' is not in the registry"):
        local_executor(JobSettings()).run([other], make_grid("other"), sleeping())


@pytest.mark.parametrize(
    ("device", "gpus", "jobs", "named", "slots"),
    [
        ("cpu", None, None, None, [[]]),
        ("cpu", None, 2, "0,1", [[], []]),
        ("cuda", 0, 2, "0,1", [[], []]),
        ("cuda", None, None, None, [["0"], ["1"], ["2"], ["3"]]),
        ("cuda", 2, None, None, [["0", "1"], ["2", "3"]]),
        ("cuda", None, 1, "GPU-a,GPU-b,GPU-c,GPU-d", [["GPU-a"]]),
        ("cuda", 3, 2, None, [["0", "1", "2"], ["3", "0", "1"]]),
        ("cuda:1", None, None, "4,5,6,7", [["5"]]),
    ],
)
def test_processes_share_the_gpus_out(
    device: str,
    gpus: int | None,
    jobs: int | None,
    named: str | None,
    slots: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpu_slots(torch.device(device), gpus=gpus, jobs=jobs) == slots


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="--gpus 1: there are 0 here for cpu: ask for fewer"):
        gpu_slots(torch.device("cpu"), gpus=1, jobs=None)

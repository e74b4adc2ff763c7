"""How jobs are submitted and waited for, with a cluster that only pretends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare, run_cell
from spd_bench.executors.executor import CellWork
from spd_bench.executors.jobs import JobExecutor

FOLD = "Dataset901_Tiny_{}_fold0"


@dataclass(kw_only=True)
class Pretended:
    """A job that ends at its third look."""

    job_id: str
    paths: Any
    reason: str | None
    state: str = "NODE_FAIL"
    looks: int = 0

    def done(self) -> bool:
        self.looks += 1
        return self.looks >= 3

    def exception(self) -> Exception | None:
        return RuntimeError("torn") if self.reason == "torn" else None

    def result(self) -> str | None:
        return self.reason


@dataclass(kw_only=True)
class PretendedCluster:
    """Notes what is submitted, and how many run then."""

    folder: Path
    at_once: int | None = None
    endings: Mapping[str, str | None] = field(default_factory=dict)
    device: str | None = None
    pause: float = 0.0
    patience: float = 0.0
    jobs: dict[str, Pretended] = field(default_factory=dict)
    running: list[set[str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def submit(self, name: str, job: Any) -> Pretended:
        self.running.append({other for other, one in self.jobs.items() if one.looks < 3} | {name})
        ending = self.endings.get(name)
        result = self.folder / ("missing" if ending == "lost" else "result")
        result.with_name("result").touch()
        paths = SimpleNamespace(result_pickle=result, stderr=self.folder / "stderr")
        self.jobs[name] = Pretended(job_id=str(len(self.jobs)), paths=paths, reason=ending)
        return self.jobs[name]

    def leave(self, jobs: Mapping[str, Any]) -> None:
        self.left.extend(jobs)


@pytest.fixture
def run(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]], tmp_path: Path
) -> Callable[..., tuple[PretendedCluster, dict[str, str], Grid]]:
    def run(*names: str, finished: str = "", **changes: Any) -> tuple[PretendedCluster, dict[str, str], Grid]:
        cluster, grid = PretendedCluster(folder=tmp_path, **changes), make_grid("grid")
        work = CellWork(run=run_cell, is_finished=lambda cell, grid: cell.method.name == finished)
        return cluster, JobExecutor(open_cluster=lambda _: cluster).run(cells_of(*names), grid, work), grid

    return run


def test_a_row_is_submitted_when_the_row_it_stands_on_has_ended(run: Callable[..., Any]) -> None:
    cluster, failures, _ = run("sam_refiner", "empty", "unet")
    assert failures == {}
    assert list(cluster.jobs) == [FOLD.format(name) for name in ("empty", "unet", "sam_refiner")]
    assert cluster.running[-1] == {FOLD.format("sam_refiner")}


def test_a_row_waits_for_nothing_that_is_finished(run: Callable[..., Any]) -> None:
    cluster, _, _ = run("sam_refiner", "empty", "unet", finished="unet")
    assert list(cluster.jobs) == [FOLD.format(name) for name in ("sam_refiner", "empty")]


def test_no_more_jobs_run_at_once_than_are_allowed(run: Callable[..., Any]) -> None:
    names = ("empty", "sam", "unet", "nnunet", "spd")
    assert max(len(running) for running in run(*names, at_once=2)[0].running) == 2


def test_any_number_of_jobs_runs_at_once_where_none_is_said(run: Callable[..., Any]) -> None:
    assert len(run("empty", "sam", "unet", "nnunet")[0].running[-1]) == 4


def test_how_jobs_ended_is_told(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    endings = {FOLD.format("sam"): "lost", FOLD.format("unet"): "torn", FOLD.format("spd"): "no prompt"}
    cluster, failures, grid = run("empty", "sam", "unet", "spd", endings=endings)
    see = f"see {cluster.folder / 'stderr'}"
    assert failures == {
        FOLD.format("sam"): f"job 1 ended without a result (NODE_FAIL): {see}",
        FOLD.format("unet"): f"job 2 failed outside of its cell: {see}",
        FOLD.format("spd"): "no prompt",
    }
    logs = {row: grid.output / "cells" / "Dataset901_Tiny" / row / "fold_0" / "error.log" for row in ("sam", "unet")}
    assert logs["sam"].read_text() == f"{failures[FOLD.format('sam')]}\n"
    assert logs["unet"].read_text() == "torn\n"
    assert cluster.left == []
    assert f"failed: {FOLD.format('spd')}" in capsys.readouterr().err


def test_jobs_are_left_to_the_cluster_when_waiting_is_interrupted(
    run: Callable[..., Any], tmp_path: Path, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    class Interrupted(PretendedCluster):
        def submit(self, name: str, job: Any) -> Pretended:
            if self.jobs:
                raise KeyboardInterrupt
            return super().submit(name, job)

    cluster = Interrupted(folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compare(cells_of("empty", "unet"), make_grid("grid"), executor=JobExecutor(open_cluster=lambda _: cluster))
    assert cluster.left == [FOLD.format("empty")]


def test_a_finished_grid_needs_no_job(make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]) -> None:
    grid, cells = make_grid("grid"), cells_of("empty", "unet")
    first = compare(cells, grid)
    again = compare(cells, grid, executor=JobExecutor(open_cluster=lambda _: pytest.fail("jobs were wanted")))
    assert again.summary.equals(first.summary)

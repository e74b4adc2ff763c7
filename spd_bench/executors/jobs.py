"""Cells as jobs: submitted when what they stand on is there, waited for, and their ends told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Never

from tqdm import tqdm

from spd_bench.cells import Cell, Grid
from spd_bench.executors.attempt import error_log
from spd_bench.executors.cell_job import cell_job
from spd_bench.executors.cluster import Cluster, Job
from spd_bench.executors.executor import CellWork
from spd_bench.executors.order import prerequisites
from spd_bench.storage import write_text


class JobExecutor:
    """Runs each cell that is not finished as a job of its own.

    Args:
        open_cluster: what takes the jobs of a grid.
    """

    def __init__(self, *, open_cluster: Callable[[Grid], Cluster]) -> None:
        self._open_cluster = open_cluster

    def run(self, cells: Sequence[Cell], grid: Grid, work: CellWork) -> dict[str, str]:
        """Run all of the cells; the reasons of those that failed by their names."""
        missing = [cell for cell in cells if not work.is_finished(cell, grid)]
        if not missing:
            return {}
        cluster = self._open_cluster(grid)
        jobs = {cell.name: cell_job(cell, grid, run=work.run, device=cluster.device) for cell in missing}
        tqdm.write(f"logs of the jobs: {cluster.folder}", file=sys.stderr)
        after = prerequisites(missing, grid)
        waiting = [cell.name for cell in missing]
        logs = {cell.name: error_log(cell, grid) for cell in missing}
        running: dict[str, Job] = {}
        failures: dict[str, str] = {}
        with tqdm(total=len(cells), initial=len(cells) - len(missing), desc="cells", unit="cell") as bar:
            try:
                while waiting or running:
                    for name in _ready(waiting, running, after=after, at_once=cluster.at_once):
                        running[name] = cluster.submit(name, jobs[name])
                        waiting.remove(name)
                    _show(bar, running=len(running), waiting=len(waiting), failed=len(failures))
                    time.sleep(cluster.pause)
                    for name in [name for name, job in running.items() if job.done()]:
                        reason, told = _ending(running.pop(name), cluster)
                        bar.update()
                        if told:
                            write_text(logs[name], f"{told}\n")
                        if reason is not None:
                            failures[name] = reason
                            tqdm.write(f"failed: {name}", file=sys.stderr)
                _show(bar, running=0, waiting=0, failed=len(failures))
            except BaseException:
                cluster.leave(running)
                raise
        return failures


def _show(bar: tqdm[Never], **numbers: int) -> None:
    """Draw the bar where its numbers have changed: into a file each drawing is a line."""
    text = ", ".join(f"{name} {number}" for name, number in numbers.items())
    if bar.postfix != text:
        bar.set_postfix_str(text)


def _ready(
    waiting: Sequence[str], running: Mapping[str, Job], *, after: Mapping[str, set[str]], at_once: int | None
) -> list[str]:
    """The cells to submit now: those whose prerequisites have ended, as many as there is room for."""
    unended = {*waiting, *running}
    ready = [name for name in waiting if not after[name] & unended]
    return ready if at_once is None else ready[: max(0, at_once - len(running))]


def _ending(job: Job, cluster: Cluster) -> tuple[str | None, str]:
    """Why the cell of a job that has ended failed, None where it did not; and what the cell itself could not tell."""
    deadline = time.monotonic() + cluster.patience
    while not job.paths.result_pickle.exists() and time.monotonic() < deadline:
        time.sleep(cluster.pause)
    if not job.paths.result_pickle.exists():
        state = "" if job.state == "FINISHED" else f" ({job.state})"
        reason = f"job {job.job_id} ended without a result{state}: see {job.paths.stderr}"
        return reason, reason
    error = job.exception()
    if error is not None:
        return f"job {job.job_id} failed outside of its cell: see {job.paths.stderr}", str(error)
    return job.result(), ""

"""``local``: cells as processes on this machine, by submitit's local executor, a bounded number at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from spd_bench.cells import Grid
from spd_bench.errors import InputError
from spd_bench.executors.cell_job import CellJob
from spd_bench.executors.cluster import Cluster, Job, import_submitit
from spd_bench.executors.executor import Executor
from spd_bench.executors.folders import jobs_folder
from spd_bench.executors.jobs import JobExecutor
from spd_bench.executors.settings import JobSettings

_NO_TIME_LIMIT = 60 * 24 * 365
_GRACE = 20.0
"""Seconds that a process has to end by itself, within which a training step should come to its end."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_CONTROLLERS_LOG = "controllers.err"
_STANDARD_ERROR = 2


class LocalCluster:
    """Processes of this machine.

    Args:
        folder: where submitit keeps jobs and logs.
        slots: for each process that may run at once the GPUs that it sees, as ``CUDA_VISIBLE_DEVICES`` names them.
    """

    pause = 0.5
    patience = 0.0

    def __init__(self, *, folder: Path, slots: Sequence[Sequence[str]]) -> None:
        self.folder = folder
        self._executor = import_submitit().LocalExecutor(folder)
        self._slots = slots
        self._jobs: dict[int, Job] = {}
        self.at_once: int | None = len(slots)
        self.device: str | None = "cuda" if slots[0] else "cpu"

    def submit(self, name: str, job: CellJob) -> Job:
        """Start a process."""
        slot = next(slot for slot in range(len(self._slots)) if slot not in self._jobs or self._jobs[slot].done())
        own = self._slots[slot]
        # Not by update_parameters, which takes numbers only: a GPU may be named by its UUID.
        self._executor.parameters.update(timeout_min=_NO_TIME_LIMIT, gpus_per_node=len(own), visible_gpus=tuple(own))
        with _errors_into(self.folder / _CONTROLLERS_LOG):
            self._jobs[slot] = self._executor.submit(job)
        return self._jobs[slot]

    def leave(self, jobs: Mapping[str, Job]) -> None:
        """End the processes, by force where they do not end by themselves."""
        for job in jobs.values():
            if not job.done():
                os.kill(int(job.job_id), signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while any(not job.done() for job in jobs.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for job in jobs.values():
            if not job.done():
                job.cancel()
        while any(not job.done() for job in jobs.values()):
            time.sleep(0.05)


@contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """Let processes that are started meanwhile write their errors into a file.

    A terminal sends Ctrl-C to all, and of each process submitit's controller would show the traceback.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(_STANDARD_ERROR)
    try:
        with path.open("ab") as log:
            os.dup2(log.fileno(), _STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)


def local_executor(settings: JobSettings) -> Executor:
    """Cells as processes of this machine.

    Raises:
        InputError: submitit is not installed.
    """
    import_submitit()

    def open_cluster(grid: Grid) -> Cluster:
        slots = gpu_slots(grid.device, gpus=settings.gpus, jobs=settings.jobs)
        return LocalCluster(folder=jobs_folder(grid), slots=slots)

    return JobExecutor(open_cluster=open_cluster)


def gpu_slots(device: torch.device, *, gpus: int | None, jobs: int | None) -> list[list[str]]:
    """The GPUs that each process sees that may run at once: as many processes as there are GPUs for, one on a CPU.

    Args:
        device: what was asked for, or the best there is.
        gpus: GPUs of a process, None for one where there is one.
        jobs: processes at once; with more than there are GPUs for, they share them.

    Raises:
        InputError: there are not as many GPUs.
    """
    named = os.environ.get(_VISIBLE)
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    visible = named.split(",")[:count] if named else [str(number) for number in range(count)]
    visible = visible if device.index is None else visible[device.index : device.index + 1]
    each = min(1, len(visible)) if gpus is None else gpus
    if each > len(visible):
        raise InputError(f"--gpus {each}: there are {len(visible)} here for {device}", remedy="ask for fewer")
    if each == 0:
        return [[] for _ in range(jobs or 1)]
    numbers = range(jobs or len(visible) // each)
    return [[visible[(slot * each + own) % len(visible)] for own in range(each)] for slot in numbers]

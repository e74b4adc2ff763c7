"""``slurm``: cells as jobs of a Slurm cluster, by submitit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from spd_bench.cells import Grid
from spd_bench.errors import InputError
from spd_bench.executors.cell_job import CellJob
from spd_bench.executors.cluster import Cluster, Job, import_submitit
from spd_bench.executors.executor import Executor
from spd_bench.executors.folders import jobs_folder, jobs_root
from spd_bench.executors.jobs import JobExecutor
from spd_bench.executors.settings import JobSettings
from spd_bench.storage import read_json, write_json

_MINUTES = 24 * 60
_GPUS = 1
_NO_LIMIT = 10**6
"""How often a job may run out of its time: as often as its epochs take, as it goes on each time."""


class SlurmCluster:
    """A Slurm cluster.

    Args:
        folder: where submitit keeps jobs and logs; every node must see it.
        known: where it is noted which job runs which cell.
        settings: what jobs ask for.
    """

    # Each look at a job asks the shared file system.
    pause = 2.0
    patience = 15.0

    def __init__(self, *, folder: Path, known: Path, settings: JobSettings) -> None:
        self.folder = folder
        self._submitit = import_submitit()
        self._executor = self._submitit.SlurmExecutor(folder, max_num_timeout=_NO_LIMIT)
        self._known = known
        self._settings = settings
        self.at_once = settings.jobs
        self.device = settings.device or (None if settings.gpus == 0 else "cuda")

    def submit(self, name: str, job: CellJob) -> Job:
        """Queue a job, unless an earlier call did and it has not ended."""
        note = self._known / f"{name}.json"
        found = self._queued(note, job)
        if found is not None:
            tqdm.write(f"{name}: job {found.job_id} of an earlier call has it", file=sys.stderr)
            return found
        utils = self._submitit.core.utils
        self._executor.update_parameters(**sbatch_parameters(self._settings, name=name))
        try:
            submitted = self._executor.submit(job)
        except (utils.FailedJobError, utils.FailedSubmissionError) as error:
            raise InputError(f"Slurm refused the job ({error})", remedy="correct the options of the jobs") from error
        write_json(note, {"job": submitted.job_id, "folder": str(self.folder)})
        return submitted

    def leave(self, jobs: Mapping[str, Job]) -> None:
        """Say that the jobs go on."""
        if jobs:
            numbers = " ".join(job.job_id for job in jobs.values())
            tqdm.write(
                f"{len(jobs)} job(s) stay with Slurm; give the same command again to wait for them, or end them with: "
                f"scancel {numbers}",
                file=sys.stderr,
            )

    def _queued(self, note: Path, job: CellJob) -> Job | None:
        """The job of an earlier call that does the very same and is waiting or running."""
        if not note.is_file():
            return None
        noted = read_json(note)
        found = self._submitit.SlurmJob(noted["folder"], noted["job"])
        # A job that Slurm knows nothing of may have ended long ago.
        if found.done(force_check=True) or found.state == "UNKNOWN" or found.submission().function != job:
            return None
        return found


def slurm_executor(settings: JobSettings) -> Executor:
    """Cells as jobs of a Slurm cluster.

    Raises:
        InputError: submitit is not installed, there is no Slurm here, or there is no such kind of device anywhere.
    """
    if import_submitit().SlurmExecutor.affinity() < 1:
        raise InputError(
            "there is no Slurm on this machine (no srun)", remedy="call it on a login node, or choose --executor local"
        )

    _check_device(settings)

    def open_cluster(grid: Grid) -> Cluster:
        return SlurmCluster(folder=jobs_folder(grid), known=jobs_root(grid), settings=settings)

    return JobExecutor(open_cluster=open_cluster)


def _check_device(settings: JobSettings) -> None:
    """Refuse what is no device; whether a node has it cannot be seen from here."""
    try:
        torch.device(settings.device or "cpu")
    except RuntimeError as error:
        raise InputError(f"unknown device {settings.device!r}", remedy="choose cuda or cpu") from error


def sbatch_parameters(settings: JobSettings, *, name: str) -> dict[str, Any]:
    """Submitit's parameters of a job."""
    gpus = _GPUS if settings.gpus is None else settings.gpus
    wanted = {
        "job_name": name,
        "partition": settings.partition,
        "gpus_per_node": gpus or None,
        "cpus_per_task": settings.cpus,
        # Since Slurm 22.05 a step does not inherit what its job asked for.
        "srun_args": None if settings.cpus is None else [f"--cpus-per-task={settings.cpus}"],
        "mem": None if settings.memory is None else f"{settings.memory}G",
        "time": settings.time or _MINUTES,
        # A cluster may be set up to drop what it pre-empts.
        "additional_parameters": {"requeue": True, **settings.slurm},
    }
    return {parameter: value for parameter, value in wanted.items() if value is not None}

"""What submits jobs and watches them: as much of submitit as is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from spd_bench.errors import InputError
from spd_bench.executors.cell_job import CellJob

Job = Any
"""submitit's ``Job``, which is only imported where jobs are wanted."""


class Cluster(Protocol):
    """Takes jobs."""

    @property
    def folder(self) -> Path:
        """Where jobs and their logs are kept."""

    @property
    def device(self) -> str | None:
        """Where its jobs train and predict; None for a GPU where a job has one."""

    @property
    def at_once(self) -> int | None:
        """Most jobs at once, None for any number."""

    @property
    def pause(self) -> float:
        """Seconds between two looks at its jobs."""

    @property
    def patience(self) -> float:
        """Seconds until the result of a job that has ended is seen here."""

    def submit(self, name: str, job: CellJob) -> Job:
        """Submit a job under a name.

        Raises:
            InputError: it was refused.
        """

    def leave(self, jobs: Mapping[str, Job]) -> None:
        """Called where these jobs have not ended and are waited for no longer."""


def import_submitit() -> ModuleType:
    """submitit; InputError where it is not installed."""
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "jobs are submitted by submitit, which is not installed", remedy="pip install 'spd_bench[slurm]'"
        ) from error
    return submitit

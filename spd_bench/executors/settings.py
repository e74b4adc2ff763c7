"""What a user says of the jobs that run cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_AT_LEAST = {"gpus": 0, "cpus": 1, "memory": 1, "time": 1, "jobs": 1}
_OWN_OPTIONS = {
    "partition": "--partition",
    "gpus-per-node": "--gpus",
    "gpus": "--gpus",
    "cpus-per-task": "--cpus",
    "mem": "--memory",
    "time": "--time",
}
_SUBMITITS = {
    "array",
    "error",
    "job-name",
    "nodes",
    "ntasks",
    "ntasks-per-node",
    "open-mode",
    "output",
    "requeue",
    "signal",
}


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Jobs and what each asks for; None leaves it to the executor. An executor takes some of them only.

    Attributes:
        partition: Slurm's partition.
        gpus: GPUs of a job.
        cpus: CPU cores of a job.
        memory: GB of main memory of a job.
        time: minutes of a job, after which it goes back into the queue and goes on.
        jobs: most jobs at once.
        slurm: further parameters of sbatch by their long names, True for one without a value.
        device: where a job trains and predicts.
    """

    partition: str | None = None
    gpus: int | None = None
    cpus: int | None = None
    memory: int | None = None
    time: int | None = None
    jobs: int | None = None
    slurm: Mapping[str, str | bool] = field(default_factory=dict)
    device: str | None = None

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                msg = f"{name} must be at least {least}, got {value}"
                raise ValueError(msg)
        for name in self.slurm:
            if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
                msg = f"{name!r} is no parameter of sbatch: give its long name without dashes before it"
                raise ValueError(msg)
            if name in _OWN_OPTIONS:
                msg = f"{name} has an option of its own, {_OWN_OPTIONS[name]}"
                raise ValueError(msg)
            if name in _SUBMITITS:
                msg = f"{name} is set for each job and cannot be chosen"
                raise ValueError(msg)

    @property
    def given(self) -> list[str]:
        """Names of the settings that the user made, but for the device, which every executor takes."""
        names = ("partition", *_AT_LEAST, "slurm")
        return [name for name in names if getattr(self, name) not in (None, {})]

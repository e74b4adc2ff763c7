"""All executors by name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spd_bench.errors import InputError
from spd_bench.executors.executor import Executor
from spd_bench.executors.inline import InlineExecutor
from spd_bench.executors.local import local_executor
from spd_bench.executors.settings import JobSettings
from spd_bench.executors.slurm import slurm_executor


@dataclass(frozen=True, kw_only=True)
class ExecutorKind:
    """One way to run cells.

    Attributes:
        build: makes the executor.
        takes: names of the settings that mean something to it.
        elsewhere: whether cells run on other machines, whose devices cannot be seen from here.
    """

    build: Callable[[JobSettings], Executor]
    takes: tuple[str, ...] = ()
    elsewhere: bool = False


EXECUTORS: dict[str, ExecutorKind] = {
    "inline": ExecutorKind(build=lambda _: InlineExecutor()),
    "local": ExecutorKind(build=local_executor, takes=("gpus", "jobs")),
    "slurm": ExecutorKind(
        build=slurm_executor, takes=("partition", "gpus", "cpus", "memory", "time", "jobs", "slurm"), elsewhere=True
    ),
}


def executor_kind(name: str) -> ExecutorKind:
    """The executor called ``name``.

    Raises:
        InputError: there is none.
    """
    if name not in EXECUTORS:
        raise InputError(f"unknown executor {name!r}", remedy=f"choose one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name]


def get_executor(name: str, settings: JobSettings) -> Executor:
    """An executor with its settings.

    Raises:
        InputError: there is none of that name, a setting means nothing to it, or it cannot be used here.
    """
    kind = executor_kind(name)
    for setting in settings.given:
        if setting not in kind.takes:
            others = " or ".join(other for other, one in EXECUTORS.items() if setting in one.takes)
            raise InputError(
                f"--{setting} means nothing with --executor {name}", remedy=f"leave it out, or choose {others}"
            )
    return kind.build(settings)

"""Options of where the cells of a comparison run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spd_bench.errors import InputError

if TYPE_CHECKING:
    from spd_bench.executors.executor import Executor
    from spd_bench.executors.settings import JobSettings

_DEFAULT = "inline"


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """``--executor`` and what its jobs ask for."""
    group = parser.add_argument_group(
        "where the cells run",
        "on a Slurm cluster, for instance: --executor slurm --partition gpu --gpus 1 --time 240 --slurm account=lab",
    )
    group.add_argument(
        "--executor",
        metavar="NAME",
        help="inline, one cell after another in this process; local, each in a process of its own; slurm, each as a "
        f"job ({_DEFAULT})",
    )
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="most jobs at once (local: as many as there are GPUs for, one on a CPU; slurm: any number)",
    )
    group.add_argument(
        "--gpus", type=int, metavar="N", help="GPUs of a job; a row trains on one of them (1; local: 0 on a CPU)"
    )
    group.add_argument("--partition", metavar="NAME", help="Slurm's partition (the cluster's default)")
    group.add_argument("--cpus", type=int, metavar="N", help="CPU cores of a job (the cluster's default)")
    group.add_argument("--memory", type=int, metavar="GB", help="main memory of a job (the cluster's default)")
    group.add_argument(
        "--time",
        type=int,
        metavar="MINUTES",
        help="time of a job; one that needs longer is queued again and goes on after its last whole epoch (1440)",
    )
    group.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="another parameter of sbatch by its long name, such as account=lab or qos=low (repeatable)",
    )


def executor_of(arguments: argparse.Namespace) -> Executor:
    """The executor that the options describe; InputError where it cannot be had."""
    from spd_bench.executors.registry import get_executor

    return get_executor(arguments.executor or _DEFAULT, _settings(arguments))


def runs_elsewhere(arguments: argparse.Namespace) -> bool:
    """Whether the cells run on other machines, whose devices cannot be seen from here."""
    from spd_bench.executors.registry import executor_kind

    return executor_kind(arguments.executor or _DEFAULT).elsewhere


def refuse_executor_options(arguments: argparse.Namespace) -> None:
    """Raise InputError where it is said where cells run in a call that runs none."""
    given = _settings(arguments).given
    if arguments.executor is not None or given:
        raise InputError(
            f"--rebuild runs nothing, and --{'executor' if arguments.executor is not None else given[0]} is given",
            remedy="leave it out, or give the datasets (-d) instead of --rebuild",
        )


def _settings(arguments: argparse.Namespace) -> JobSettings:
    from spd_bench.executors.settings import JobSettings

    try:
        return JobSettings(
            partition=arguments.partition,
            gpus=arguments.gpus,
            cpus=arguments.cpus,
            memory=arguments.memory,
            time=arguments.time,
            jobs=arguments.jobs,
            slurm=dict(_parameter(text) for text in arguments.slurm),
            device=arguments.device,
        )
    except ValueError as error:
        raise InputError(str(error), remedy="correct the option") from error


def _parameter(text: str) -> tuple[str, str | bool]:
    name, separator, value = text.partition("=")
    return name, value if separator else True

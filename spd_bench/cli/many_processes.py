"""A training command in several processes: started here, or by ``torchrun``, and speaking with one voice."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Never

import torch

from spd_bench.cli.command import EXIT_TERMINATED
from spd_bench.cli.options import budget_of, device_of
from spd_bench.errors import InputError
from spd_bench.methods.fitting import check_processes
from spd_bench.methods.registry import get_method
from spd_bench.training.distributed import joined, place_on_machine, started_by_torchrun, will_be_main
from spd_bench.training.launching import run_processes

# What is wrong for all processes is told by the main one, and torchrun ends the others while they wait for it.
_MAIN_TELLS_FIRST = 10.0

Body = Callable[[argparse.Namespace], int]


def launch(module: str, arguments: argparse.Namespace, given: Sequence[str]) -> int:
    """Start ``--num-gpus`` processes of a command on this machine, and return how they ended.

    Raises:
        InputError: there are fewer GPUs, or they cannot train the row together.
    """
    _check_gpus(arguments)
    check_processes(get_method(arguments.method), budget_of(arguments), arguments.num_gpus)
    return run_processes(module, given, count=arguments.num_gpus)


def _check_gpus(arguments: argparse.Namespace) -> None:
    count, available = arguments.num_gpus, torch.cuda.device_count()
    if count < 1:
        raise InputError(f"--num-gpus must be at least 1, got {count}", remedy="correct the option")
    if arguments.device is None and not available:
        raise InputError(
            f"--num-gpus {count}: there is no GPU here", remedy="leave it out, or give --device cpu for processes"
        )
    device = device_of(arguments)
    if ":" in str(device):
        raise InputError(f"--num-gpus {count}, but --device {device} is one", remedy="give --device cuda")
    if device.type == "cuda" and count > available:
        raise InputError(f"--num-gpus {count}: there are {available} here", remedy=f"give at most {available}")


def leave(status: int) -> Never:
    """End this process, the whole work of which is done, with an exit status.

    One of several ends at once: the threads of a process group that is still alive, as after an error, would abort an
    interpreter that takes its leave ("terminate called without an active exception").
    """
    if started_by_torchrun():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def run_among_others(body: Body, arguments: argparse.Namespace) -> int:
    """Run a command's body as one of the processes that ``torchrun`` started; the main one alone prints."""
    if will_be_main():
        return _run_joined(body, arguments)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return _run_after_main(body, arguments)
    except KeyboardInterrupt:
        return EXIT_TERMINATED


def _run_after_main(body: Body, arguments: argparse.Namespace) -> int:
    try:
        return _run_joined(body, arguments)
    except InputError:
        time.sleep(_MAIN_TELLS_FIRST)
        raise


def _run_joined(body: Body, arguments: argparse.Namespace) -> int:
    place, places = place_on_machine()
    if arguments.num_gpus not in (None, places):
        raise InputError(
            f"--num-gpus {arguments.num_gpus}, but torchrun started {places} process(es) here",
            remedy="leave it out beside torchrun",
        )
    if ":" in (arguments.device or ""):
        raise InputError(f"--device {arguments.device} is one GPU for all processes", remedy="give --device cuda")
    if device_of(arguments).type == "cuda":
        arguments.device = f"cuda:{place}"
    with joined(device_of(arguments)):
        return body(arguments)

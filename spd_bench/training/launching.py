"""One process for each GPU of this machine, started and watched by the agent of ``torchrun``.

The agent ends all of them when one fails. In process, unlike the command ``torchrun``, it tells how that one ended.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

_SIGNALLED = 128


def run_processes(module: str, arguments: Sequence[str], *, count: int) -> int:
    """Run ``python -m module`` with the same arguments in several processes, and return the exit status.

    Args:
        module: finds its place among the others in torchrun's environment variables.
        arguments: what each is given.
        count: how many.

    Returns:
        0, or the exit status of the process that failed first; 128 and more as a shell reports a signal.
    """
    # DDP's advice on parameters that its first step happened to use, among others.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Else each would take all cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    with _silent_agent(), tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)("-m", module, *arguments)
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            return int(failure.exitcode if failure.exitcode > 0 else _SIGNALLED - failure.exitcode)
        except SignalException as stop:
            return _SIGNALLED + int(stop.sigval)
    return 0


@contextmanager
def _silent_agent() -> Iterator[None]:
    """The processes tell what is wrong with them; the agent would tell it again, at length."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)

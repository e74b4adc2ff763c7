"""Training in several processes at once, as ``torchrun`` starts them: who this one is, and what they tell each other.

Every process draws the windows that one alone would draw and computes its share of each batch. What the network makes
of the shares is put together again (:func:`every_row`) and every process computes the loss of the whole batch: a loss
that is no mean over slices (Dice over the batch, consistency of pairs, a mean over slices with a point) is then exactly
that of one process. Only the main process writes, decides and measures; the others are told (:func:`on_main`).

Alone, a process is the main one of one, and nothing of this costs anything.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.locks import locked

Result = TypeVar("Result")
Item = TypeVar("Item")

# The main process may wait for another run, distil or measure for hours; torchrun notices one that died at once.
_PATIENCE = timedelta(days=7)


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them."""
    return dist.get_rank() if processes() > 1 else 0


def is_main() -> bool:
    """Whether this process writes, decides and reports."""
    return rank() == 0


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that ``torchrun`` has started, as its environment variables name them.

    Tensors of a GPU travel by NCCL, all others by gloo.

    Args:
        device: where this process trains; processes of one machine take different GPUs.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    yield
    # Not after an error: NCCL would wait for processes that no longer answer, and torchrun ends them all.
    # A trainer in a reference cycle holds on to the group, whose threads would then be ended with the interpreter's.
    gc.collect()
    # Nobody leaves while another is still talking.
    dist.barrier()
    dist.destroy_process_group()


def on_main(work: Callable[[], Result]) -> Result:
    """What ``work`` returns on the main process, which alone does it; the others wait and are told.

    Raises:
        InputError: the main process raised it; it is raised on all.
    """
    if processes() == 1:
        return work()
    outcome: list[Any] = [None]
    if is_main():
        try:
            outcome = [work()]
        except InputError as error:
            outcome = [error]
    dist.broadcast_object_list(outcome, src=0)
    if isinstance(outcome[0], InputError):
        raise outcome[0]
    result: Result = outcome[0]
    return result


def together(work: Callable[[], None]) -> None:
    """Do work on every process, each its own part, and go on when all have done it.

    Raises:
        InputError: a process raised it; it is raised on all.
    """
    failure: InputError | None = None
    try:
        work()
    except InputError as error:
        failure = error
    failures: list[InputError | None] = [failure]
    if processes() > 1:
        failures = [None] * processes()
        dist.all_gather_object(failures, failure)
    for error_of_one in failures:
        if error_of_one is not None:
            raise error_of_one


@contextmanager
def locked_by_main(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for all processes; the main one takes it, see :func:`spd_bench.locks.locked`."""
    with ExitStack() as stack:
        on_main(lambda: stack.enter_context(locked(folder)))
        yield


def own_share(items: Sequence[Item]) -> Sequence[Item]:
    """This process's part of a sequence: in order of the processes, the parts are the whole."""
    first, last = (len(items) * number // processes() for number in (rank(), rank() + 1))
    return items[first:last]


def every_row(values: Tensor) -> Tensor:
    """The rows of all processes in their order; each may have another number of them, also none.

    Gradients flow back to the own rows, for a loss that every process computes from the rows of all: they come
    multiplied by the number of processes, as ``DistributedDataParallel`` takes the mean over them where the gradient
    of the one loss is the sum.
    """
    if processes() == 1:
        return values
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(processes())]
    dist.all_gather(counts, torch.tensor([len(values)]))
    rows: Tensor = _EveryRow.apply(values, [int(count) for count in counts])
    return rows


class _EveryRow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, counts: list[int]) -> Tensor:
        start = sum(counts[: rank()])
        ctx.own = slice(start, start + len(values))
        # Gloo gathers equal shapes only.
        padded = values.new_zeros(max(counts), *values.shape[1:])
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.own] * processes(), None


def started_by_torchrun() -> bool:
    """Whether this is one of several processes that ``torchrun`` started."""
    return dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def will_be_main() -> bool:
    """Whether this process, one of those of ``torchrun``, is the main one once it has joined the others."""
    return os.environ["RANK"] == "0"


def place_on_machine() -> tuple[int, int]:
    """The number of this process among those on its machine, and how many they are."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))

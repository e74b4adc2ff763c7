"""The largest batch that a device holds, found by taking optimiser steps and looking at the memory.

Only sizes that divide the images of an epoch are taken, so that every row still sees exactly the images that it was
granted, in fewer steps. The learning rate stays as it is.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spd_bench.errors import InputError
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.records import peak_memory_mb

LARGEST_BATCH = 64
_SHARE = {"cuda": 0.9, "cpu": 0.5}
# A step of a large batch takes minutes on a CPU, where memory grows in proportion to the batch from the start.
_MEASURED_ON_CPU = 4

Measure = Callable[[int], float | None]


@dataclass(frozen=True, kw_only=True)
class BatchChoice:
    """The batch size that was chosen, and why.

    Attributes:
        batch_size: the largest size that fits.
        measured_mb: peak memory in MB of optimiser steps with batches of some sizes.
        limit_mb: the memory that a step may take.
    """

    batch_size: int
    measured_mb: dict[int, float]
    limit_mb: float

    def to_json(self) -> dict[str, Any]:
        """For the run record."""
        return {
            "batch_size": self.batch_size,
            "measured_mb": {str(size): round(peak) for size, peak in self.measured_mb.items()},
            "limit_mb": round(self.limit_mb),
        }


def possible_sizes(images_per_epoch: int, *, largest: int = LARGEST_BATCH) -> list[int]:
    """1 and the even numbers up to ``largest`` that divide the images of an epoch, rising."""
    return [
        size
        for size in range(1, min(largest, images_per_epoch) + 1)
        if (size == 1 or size % 2 == 0) and images_per_epoch % size == 0
    ]


def largest_batch(
    sizes: Sequence[int], measure: Measure, *, limit_mb: float, measured_up_to: int | None = None
) -> BatchChoice:
    """The largest size whose step stays within a limit.

    Sizes are tried in about doublings, and none whose memory, going on in a straight line, would be over the limit.

    Args:
        sizes: sizes to choose from, rising, the first one at least 1.
        measure: peak memory in MB of a step with batches of a size, or None where memory ran out.
        limit_mb: the memory that a step may take.
        measured_up_to: larger sizes are not tried but judged by the straight line; None tries what is chosen.

    Raises:
        InputError: even the first size does not fit.
    """
    measured: dict[int, float] = {}
    left = list(sizes)
    best = 0
    while left:
        size = max([other for other in left if other <= 2 * best] or left[:1])
        if measured_up_to is not None and best and size > measured_up_to:
            best = max([best, *(other for other in left if _expected(other, measured) <= limit_mb)])
            break
        expected = _expected(size, measured)
        peak = measure(size) if expected <= limit_mb else None
        if peak is not None:
            measured[size] = peak
        if peak is not None and peak <= limit_mb:
            best = size
            left = [other for other in left if other > size]
        else:
            left = [other for other in left if best < other < size]
    if not best:
        raise InputError(
            f"even a batch of {sizes[0]} does not fit into {limit_mb:.0f} MB",
            remedy="give --gradient-checkpointing, a smaller --backbone, or plan at a lower --resolution",
        )
    return BatchChoice(batch_size=best, measured_mb=measured, limit_mb=limit_mb)


def _expected(size: int, measured: dict[int, float]) -> float:
    """Memory of a size by the straight line through the smallest and the largest size measured; 0 where unknown."""
    if len(measured) < 2:
        return 0.0
    first, last = min(measured), max(measured)
    slope = max(0.0, (measured[last] - measured[first]) / (last - first))
    return measured[last] + slope * (size - last)


def choose_batch_size(build: Callable[[], Any], *, images_per_epoch: int, device: torch.device) -> BatchChoice:
    """Choose the batch size for a trainer, in a process of its own that leaves nothing behind.

    Args:
        build: makes the trainer; a picklable function without arguments, such as a partial.
        images_per_epoch: the budget that the size must divide.
        device: where training will run. 90 % of the free memory of a GPU may be taken, and half of the memory that
            is available beside a CPU, where other processes need the rest.

    Raises:
        InputError: not even one slice fits.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_choose, build, possible_sizes(images_per_epoch), device).result()


def _choose(build: Callable[[], PromptTrainer], sizes: Sequence[int], device: torch.device) -> BatchChoice:
    with tempfile.TemporaryDirectory() as results, contextlib.redirect_stdout(io.StringIO()):
        os.environ.update({"nnUNet_results": results})
        trainer = build()
        trainer.initialize()
        if device.type == "cuda":
            return largest_batch(sizes, lambda size: _gpu_peak_mb(trainer, size), limit_mb=_gpu_limit_mb(device))
        limit = peak_memory_mb(device) + _SHARE["cpu"] * _available_mb()
        return largest_batch(
            sizes, lambda size: _cpu_peak_mb(trainer, size), limit_mb=limit, measured_up_to=_MEASURED_ON_CPU
        )


def _gpu_limit_mb(device: torch.device) -> float:
    free, _ = torch.cuda.mem_get_info(device)
    return _SHARE["cuda"] * (free + torch.cuda.memory_reserved(device)) / 2**20


def _available_mb() -> float:
    """Memory that the system can give without swapping; where it does not tell, all there is."""
    information = Path("/proc/meminfo")
    if information.is_file():
        available = next(line for line in information.read_text().splitlines() if line.startswith("MemAvailable:"))
        return int(available.split()[1]) / 2**10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def _gpu_peak_mb(trainer: PromptTrainer, size: int) -> float | None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(trainer.device)
    try:
        trainer.trial_steps(size)
    except torch.OutOfMemoryError:
        return None
    return peak_memory_mb(trainer.device)


def _cpu_peak_mb(trainer: PromptTrainer, size: int) -> float:
    # The peak of a process never falls, which does not matter as long as sizes rise.
    trainer.trial_steps(size)
    return peak_memory_mb(trainer.device)

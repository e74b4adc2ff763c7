"""The batches that nnU-Net's loop takes one after the other, read as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from spd_bench.errors import InputError
from spd_bench.training.distributed import own_share
from spd_bench.training.loading import ErrorsAsItems, checked, collated, end_workers
from spd_bench.training.windows import Window, WindowBatch, WindowSampler, join_windows


class _OwnShares(Sampler[list[Window]]):
    """Of every batch the windows that this process computes: whole ones, so that neighbours stay together."""

    def __init__(self, whole: WindowSampler) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def __iter__(self) -> Iterator[list[Window]]:
        return (list(own_share(windows)) for windows in self._whole)


class BatchStream:
    """An endless iterator over a loader, as nnU-Net's loop wants it; each epoch is started by its number.

    Where several processes train, each reads its own share of the batches.
    """

    def __init__(self, *, dataset: Dataset[WindowBatch], sampler: WindowSampler, workers: int) -> None:
        self._sampler = sampler
        self._loader = DataLoader(
            ErrorsAsItems(dataset),
            batch_sampler=_OwnShares(sampler),
            num_workers=workers,
            collate_fn=collated(join_windows),
            # Starting workers can take as long as an epoch of Stage II.
            persistent_workers=workers > 0,
            pin_memory=workers > 0 and torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
        )
        self._iterator: Iterator[WindowBatch | InputError] = iter(())

    def start_epoch(self, epoch: int) -> None:
        """Begin the batches of an epoch."""
        self._sampler.epoch = epoch
        self._iterator = iter(self._loader)

    def __next__(self) -> WindowBatch:
        return checked(next(self._iterator))

    def close(self) -> None:
        """End the processes that read; a stream that is closed has no more batches."""
        end_workers(self._iterator)
        self._iterator = iter(())

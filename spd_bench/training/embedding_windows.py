"""Windows of slices that were encoded once, and the one pass that encodes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from spd_bench.training.augmentation import move_points
from spd_bench.training.distributed import is_main
from spd_bench.training.embedding_cache import EmbeddingCache
from spd_bench.training.embedding_views import DrawnSlices, View, view_of
from spd_bench.training.loading import ErrorsAsItems, batches_of
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import Points, Window, WindowBatch, WindowDataset, neighbouring_pairs


class EmbeddedWindowDataset(Dataset[WindowBatch]):
    """Reads a window's embeddings, masks and points in the view that its seed draws.

    Args:
        cache: the encoded slices.
        drawn: which slices of each view it holds.
        views: the number of augmented views.
        points: for each case its points on each slice, not augmented.
        settings: strength and seed of the augmentation.
    """

    def __init__(
        self,
        *,
        cache: EmbeddingCache,
        drawn: DrawnSlices,
        views: int,
        points: Mapping[str, Points],
        settings: TrainingSettings,
    ) -> None:
        self._cache = cache
        self._drawn = drawn
        self._views = views
        self._points = points
        self._settings = settings

    def __getitem__(self, window: Window) -> WindowBatch:
        size = self._cache.resolution
        view = view_of(window, self._views)
        embeddings, masks = self._cache.read(view, np.searchsorted(self._drawn[view], window.slices))
        points = [self._points[window.case][z] for z in window.slices]
        augmentation = view.augmentation(self._settings)
        if augmentation is not None:
            points = [move_points(slice_points, augmentation, size) for slice_points in points]
        return WindowBatch(
            images=torch.empty(len(points), 0, size, size),
            masks=masks,
            points=points,
            pairs=neighbouring_pairs(window.slices),
            embeddings=embeddings,
        )


def encode_views(
    cache: EmbeddingCache,
    drawn: DrawnSlices,
    *,
    images: WindowDataset,
    settings: TrainingSettings,
    encode: Callable[[Tensor], Tensor],
    workers: int,
) -> None:
    """Encode what a cache lacks, under a progress bar.

    Args:
        cache: where the encoded slices go.
        drawn: the slices of each view.
        images: reads the slices.
        settings: strength and seed of the augmentation, and the size of a batch.
        encode: embeddings (N, C, h, w) of images (N, 3, R, R).
        workers: processes that read and augment.

    Raises:
        InputError: the folder cannot be written to, or there is no space left.
    """
    missing = {view: slices for view, slices in drawn.items() if not cache.holds(view, len(slices))}
    parts = _Parts(missing, images=images, settings=settings)
    loader = DataLoader(ErrorsAsItems(parts), batch_size=None, num_workers=workers)
    total = sum(map(len, missing.values()))
    with (
        batches_of(loader) as batches,
        tqdm(total=total, desc="encoding slices", unit="slice", leave=False, disable=not is_main()) as progress,
    ):

        def encoded(count: int) -> Iterator[tuple[Tensor, Tensor]]:
            for slices, masks in islice(batches, count):
                yield encode(slices), masks
                progress.update(len(slices))

        for view, slices in missing.items():
            cache.write(view, len(slices), encoded(parts.of(view)))


class _Parts(Dataset[tuple[Tensor, Tensor]]):
    """The slices of views in batches of one view each: images (N, 3, R, R) and masks (N, R, R)."""

    def __init__(self, drawn: DrawnSlices, *, images: WindowDataset, settings: TrainingSettings) -> None:
        size = settings.batch_size
        self._count = {view: math.ceil(len(slices) / size) for view, slices in drawn.items()}
        self._parts: list[tuple[View, Sequence[int]]] = [
            (view, slices[start : start + size])
            for view, slices in drawn.items()
            for start in range(0, len(slices), size)
        ]
        self._images = images
        self._settings = settings

    def __len__(self) -> int:
        return len(self._parts)

    def of(self, view: View) -> int:
        """The number of batches of a view."""
        return self._count[view]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        view, slices = self._parts[index]
        batch = self._images.read(view.case, slices, view.augmentation(self._settings))
        return batch.images, batch.masks

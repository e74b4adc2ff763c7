"""From the slices that Stage II will draw to a dataset of their embeddings, or to none where the disk is too small."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.training.distributed import on_main, own_share, together
from spd_bench.training.embedding_cache import EmbeddingCache
from spd_bench.training.embedding_views import (
    DrawnSlices,
    ViewChoice,
    allowed_bytes,
    choose_views,
    drawn_slices,
    windows_of_epochs,
)
from spd_bench.training.embedding_windows import EmbeddedWindowDataset, encode_views
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import Points, WindowDataset, WindowSampler


@dataclass(frozen=True, kw_only=True)
class SlicesToEmbed:
    """What Stage II draws, and how it is encoded.

    Attributes:
        training: draws the training windows of an epoch.
        validation: draws the validation windows, the same in every epoch.
        epochs: the numbers of all epochs of Stage II, whichever of them are still to come.
        images: reads the slices.
        points: for each case its points on each slice.
        settings: strength and seed of the augmentation, and the size of a batch.
        encode: embeddings (N, C, h, w) of images (N, 3, R, R), by the frozen encoder.
        workers: processes that read and augment.
    """

    training: WindowSampler
    validation: WindowSampler
    epochs: Iterable[int]
    images: WindowDataset
    points: Mapping[str, Points]
    settings: TrainingSettings
    encode: Callable[[Tensor], Tensor]
    workers: int

    def drawn(self, views: int) -> DrawnSlices:
        """The slices that are drawn out of a number of views: never more than Stage II has use for."""
        windows = chain(windows_of_epochs(self.training, self.epochs), windows_of_epochs(self.validation, [0]))
        return drawn_slices(windows, views)


def embed_slices(
    task: SlicesToEmbed, cache: EmbeddingCache, *, views: int, gigabytes: float, tell: Callable[[str], None]
) -> tuple[ViewChoice, EmbeddedWindowDataset | None]:
    """Fill a cache with what it lacks.

    A continued run follows the choice that the cache was begun with, however full the disk is now. Several processes
    share the views: each encodes its own for all.

    Args:
        task: what is encoded.
        cache: where it goes.
        views: the number of augmented views that is asked for.
        gigabytes: what they may take.
        tell: is given the choice in one line before the encoding begins, and the reason if it fails.

    Returns:
        The choice, and the encoded slices: None where none are kept.
    """
    drawn = functools.cache(task.drawn)

    def choose() -> ViewChoice:
        cache.remove_others()
        return cache.choice() or choose_views(
            drawn,
            wanted=views,
            bytes_per_slice=cache.bytes_per_slice,
            allowed_bytes=allowed_bytes(cache.folder, gigabytes=gigabytes),
        )

    def encode() -> None:
        encode_views(
            cache,
            dict(own_share(list(drawn(choice.views).items()))),
            images=task.images,
            settings=task.settings,
            encode=task.encode,
            workers=task.workers,
        )

    choice = on_main(choose)
    tell(choice.sentence(cache.folder))
    try:
        on_main(lambda: cache.keep_choice(choice))
        if choice.views:
            together(encode)
    except InputError as error:
        tell(f"no embeddings for Stage II, slices are encoded whenever they are drawn: {error}")
        choice = replace(choice, views=0, slices=0, gigabytes=0.0)
        on_main(lambda: _give_up(cache, choice))
    if not choice.views:
        return choice, None
    dataset = EmbeddedWindowDataset(
        cache=cache, drawn=drawn(choice.views), views=choice.views, points=task.points, settings=task.settings
    )
    return choice, dataset


def _give_up(cache: EmbeddingCache, choice: ViewChoice) -> None:
    cache.remove()
    with suppress(InputError):
        cache.keep_choice(choice)

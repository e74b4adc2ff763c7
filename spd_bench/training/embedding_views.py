"""The augmented views of slices that Stage II will draw, and how many of them the disk may hold."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spd_bench.training.augmentation import Augmentation, draw_augmentation
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import Window, WindowSampler

_KEPT_FREE = 2e9
"""Bytes of the disk that are left for checkpoints and for others."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A case as one augmentation shows it, the same for all its slices; number None: as it is."""

    case: str
    number: int | None

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.case}_plain" if self.number is None else f"{self.case}_view_{self.number}"

    def augmentation(self, settings: TrainingSettings) -> Augmentation | None:
        """What the view does to its slices: drawn by (seed, case, number) alone."""
        if self.number is None:
            return None
        case = int.from_bytes(hashlib.sha256(self.case.encode()).digest()[:8], "little")
        return draw_augmentation(np.random.default_rng((settings.seed, case, self.number)), settings)


DrawnSlices = dict[View, tuple[int, ...]]
"""For each view its slices in rising order."""


def view_of(window: Window, views: int) -> View:
    """The view that a window is shown in, drawn by the seed that would draw its augmentation."""
    if window.seed is None:
        return View(case=window.case, number=None)
    return View(case=window.case, number=int(np.random.default_rng(window.seed).integers(views)))


def drawn_slices(windows: Iterable[Window], views: int) -> DrawnSlices:
    """The slices of each view that some windows hold."""
    drawn: dict[View, set[int]] = defaultdict(set)
    for window in windows:
        drawn[view_of(window, views)].update(window.slices)
    return {view: tuple(sorted(drawn[view])) for view in sorted(drawn, key=lambda view: view.name)}


def windows_of_epochs(sampler: WindowSampler, epochs: Iterable[int]) -> Iterator[Window]:
    """Every window that a sampler draws in some epochs: what it draws follows from their numbers."""
    for epoch in epochs:
        sampler.epoch = epoch
        for batch in sampler:
            yield from batch


@dataclass(frozen=True, kw_only=True)
class ViewChoice:
    """How many augmented views of each slice are kept on disk, and what they take.

    Attributes:
        views: number of views; 0 where slices are encoded whenever they are drawn.
        slices: slices to encode, each view counted, validation included.
        gigabytes: what they take, in 10^9 bytes.
        wanted_views: the number of views that was asked for.
        wanted_gigabytes: what those would take.
        allowed_gigabytes: what may be used.
    """

    views: int
    slices: int
    gigabytes: float
    wanted_views: int
    wanted_gigabytes: float
    allowed_gigabytes: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    def sentence(self, folder: Path) -> str:
        """The choice in one line."""
        if self.views == self.wanted_views:
            what = f"{self.views} views, "
        else:
            what = (
                f"{self.wanted_views} views need {self.wanted_gigabytes:.2f} GB, {self.allowed_gigabytes:.2f} GB "
                f"may be used (spd.cache_gb, free disk space): {self.views or 'no'} views, "
            )
        if not self.views:
            return f"embeddings for Stage II: {what}slices are encoded whenever they are drawn, which is slower"
        each = 1e6 * self.gigabytes / self.slices
        return (
            f"embeddings for Stage II: {what}{self.slices} slices x {each:.0f} kB = {self.gigabytes:.2f} GB in {folder}"
        )


def choose_views(
    draw: Callable[[int], DrawnSlices], *, wanted: int, bytes_per_slice: int, allowed_bytes: int
) -> ViewChoice:
    """As many views as are wanted, or as fit; none where not even two fit, as a single one is learned by heart.

    Args:
        draw: the slices that training and validation draw out of a number of views.
        wanted: the number of views that is asked for.
        bytes_per_slice: what an encoded slice with its mask takes.
        allowed_bytes: what may be used.
    """
    counts: dict[int, int] = {}
    for views in range(wanted, min(wanted, 2) - 1, -1):
        counts[views] = sum(map(len, draw(views).values()))
        if counts[views] * bytes_per_slice <= allowed_bytes:
            break
    else:
        views = counts[0] = 0
    slices = counts[views]
    return ViewChoice(
        views=views,
        slices=slices,
        gigabytes=slices * bytes_per_slice / 1e9,
        wanted_views=wanted,
        wanted_gigabytes=counts[wanted] * bytes_per_slice / 1e9,
        allowed_gigabytes=allowed_bytes / 1e9,
    )


def allowed_bytes(folder: Path, *, gigabytes: float) -> int:
    """What may be written below ``folder``: no more than the bound, and not the last of the disk's free space."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    return max(0, int(min(gigabytes * 1e9, free - _KEPT_FREE)))

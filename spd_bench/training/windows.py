"""Windows of consecutive slices with their points, chosen by (seed, epoch, position) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from spd_bench.errors import InputError
from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.planning.preprocessing import slice_index_folder
from spd_bench.storage import read_json
from spd_bench.training.augmentation import Augmentation, augment_slices, draw_augmentation
from spd_bench.training.settings import TrainingSettings

Points = list[NDArray[np.int64]]
Neighbours = Literal["none", "next", "previous", "both"]
_OFFSETS: dict[str, tuple[int, ...]] = {"none": (0,), "next": (0, 1), "previous": (-1, 0), "both": (-1, 0, 1)}


@dataclass(frozen=True, kw_only=True)
class SliceIndex:
    """What is known of a preprocessed case without opening its images.

    Attributes:
        points: for each slice an integer array (N, 2) of (x, y) pixels.
        has_target: bool array (Z,).
    """

    points: Points
    has_target: NDArray[np.bool_]


def read_slice_index(folder: Path, case: str) -> SliceIndex:
    """What is known of a case in a folder of preprocessed cases.

    Raises:
        InputError: the file is missing or holds something else.
    """
    path = slice_index_folder(folder) / f"{case}.json"
    content = read_json(path)
    try:
        index = SliceIndex(
            points=[np.asarray(points, dtype=np.int64).reshape(-1, 2) for points in content["points"]],
            has_target=np.asarray(content["target_pixels"], dtype=np.int64) > 0,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"no list of slices ({error})", file=path, remedy="run spd_plan_and_preprocess again"
        ) from error
    if index.has_target.shape != (len(index.points),):
        raise InputError("points and targets of another number of slices", file=path, remedy="plan the dataset again")
    return index


@dataclass(frozen=True, kw_only=True)
class Window:
    """Consecutive slices of one case, and the seed of their augmentation (None: none)."""

    case: str
    slices: tuple[int, ...]
    seed: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a loss compares the network's answers with.

    Attributes:
        masks: (N, R, R), 0 or 1.
        pairs: (P, 2) indices of slices that are neighbours in their volume, lower slice first.
    """

    masks: Tensor
    pairs: Tensor


@dataclass(frozen=True, kw_only=True)
class WindowBatch(Targets):
    """Windows side by side.

    Attributes:
        masks: (N, R, R), 0 or 1.
        pairs: (P, 2) indices of slices that are neighbours in their volume, lower slice first.
        images: (N, 3, R, R) in [-1, 1].
        points: for each of the N slices (N_i, 2) integer (x, y).
        embeddings: (N, C, h, w) of slices that were encoded before, in half precision; ``images`` is then without
            channels, (N, 0, R, R). None where the network is to encode the images.
    """

    images: Tensor
    points: Points
    embeddings: Tensor | None = None

    def to(self, device: torch.device) -> WindowBatch:
        """The batch on a device; points stay where they are."""
        return WindowBatch(
            images=self.images.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
            points=self.points,
            pairs=self.pairs.to(device, non_blocking=True),
            embeddings=None if self.embeddings is None else self.embeddings.to(device, non_blocking=True),
        )

    def pin_memory(self) -> WindowBatch:
        """The batch in page-locked memory, from where a GPU copies while it computes; a DataLoader calls this."""
        return replace(
            self,
            images=self.images.pin_memory(),
            masks=self.masks.pin_memory(),
            pairs=self.pairs.pin_memory(),
            embeddings=None if self.embeddings is None else self.embeddings.pin_memory(),
        )


class WindowDataset(Dataset[WindowBatch]):
    """Reads a window; everything random about it is in the window itself.

    Args:
        folder: preprocessed cases.
        channels: image channels that become the network's three.
        points: for each case its points on each slice.
        settings: strength of the augmentation.
    """

    def __init__(
        self, *, folder: Path, channels: Sequence[int], points: Mapping[str, Points], settings: TrainingSettings
    ) -> None:
        self._cases = PreprocessedCases(str(folder), sorted(points))
        self._channels = list(channels)
        self._points = points
        self._settings = settings

    def __getitem__(self, window: Window) -> WindowBatch:
        if window.seed is None:
            return self.read(window.case, window.slices)
        augmentation = draw_augmentation(np.random.default_rng(window.seed), self._settings)
        return self.read(window.case, window.slices, augmentation)

    def read(self, case: str, slices: Sequence[int], augmentation: Augmentation | None = None) -> WindowBatch:
        """Slices of a case, given in rising order, as they are or all augmented alike."""
        volume, labels = self._cases.read_slices(case, slices)
        images = torch.from_numpy(volume[self._channels]).transpose(0, 1).contiguous()
        masks = torch.from_numpy(labels.astype(np.float32))
        points = [self._points[case][z] for z in slices]
        if augmentation is not None:
            images, masks, points = augment_slices(images, masks, points, augmentation)
        return WindowBatch(images=images, masks=masks, points=points, pairs=neighbouring_pairs(slices))


def neighbouring_pairs(slices: Sequence[int]) -> Tensor:
    """Positions (P, 2) of neighbours among slices given in rising order, lower slice first."""
    lower = torch.from_numpy(np.flatnonzero(np.diff(slices) == 1))
    return torch.stack([lower, lower + 1], dim=1)


def join_windows(windows: Sequence[WindowBatch]) -> WindowBatch:
    """Put windows side by side in one batch; either all of them have been encoded or none."""
    starts = np.cumsum([0, *(len(window.points) for window in windows)])
    embeddings = [window.embeddings for window in windows if window.embeddings is not None]
    return WindowBatch(
        images=torch.cat([window.images for window in windows]),
        masks=torch.cat([window.masks for window in windows]),
        points=[points for window in windows for points in window.points],
        pairs=torch.cat([window.pairs + int(start) for window, start in zip(windows, starts, strict=False)]),
        embeddings=torch.cat(embeddings) if embeddings else None,
    )


def windows_in_batch(batch_size: int, neighbours: Neighbours) -> int:
    """How many windows make a batch of so many slices, at least one."""
    return max(1, batch_size // len(_OFFSETS[neighbours]))


class WindowSampler(Sampler[list[Window]]):
    """Draws an epoch's batches; the same (seed, epoch) gives the same batches in every process.

    Args:
        candidates: for each case the slices that may be a window's own slice.
        indices: what is known of each case.
        neighbours: which neighbours come with the slice (at a volume's border there is none).
        batches: batches in an epoch.
        settings: batch size, share of foreground, seed.
        augment: whether windows carry a seed for augmentation.

    Raises:
        InputError: there is no candidate at all.
    """

    def __init__(
        self,
        *,
        candidates: Mapping[str, NDArray[np.int64]],
        indices: Mapping[str, SliceIndex],
        neighbours: Neighbours,
        batches: int,
        settings: TrainingSettings,
        augment: bool,
    ) -> None:
        flat = [(case, int(z)) for case in sorted(candidates) for z in candidates[case]]
        if not flat:
            raise InputError(
                f"none of the slices of {len(candidates)} case(s) can be trained on",
                remedy="check that the cases have prompts and targets",
            )
        self._with_target = [(case, z) for case, z in flat if indices[case].has_target[z]]
        self._without_target = [(case, z) for case, z in flat if not indices[case].has_target[z]]
        self._depths = {case: len(index.has_target) for case, index in indices.items()}
        self._neighbours = neighbours
        self._batches = batches
        self._settings = settings
        self._augment = augment
        self.epoch = 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[Window]]:
        seed = (self._settings.seed, self.epoch, int(self._augment))
        generator = np.random.default_rng(seed)
        count = windows_in_batch(self._settings.batch_size, self._neighbours)
        for batch in range(self._batches):
            with_target = self._with_target_until(batch + 1, count) - self._with_target_until(batch, count)
            windows = []
            for position in range(count):
                preferred, other = self._with_target, self._without_target
                if position >= with_target:
                    preferred, other = other, preferred
                pool = preferred or other
                case, z = pool[int(generator.integers(len(pool)))]
                windows.append(self._window(case, z, (*seed, batch, position)))
            yield windows

    def _with_target_until(self, batch: int, count: int) -> int:
        """Windows with target before ``batch``: rounded over the epoch, so that batches of one keep the share too."""
        return math.floor(batch * count * self._settings.foreground_share + 0.5)

    def _window(self, case: str, z: int, seed: tuple[int, ...]) -> Window:
        slices = tuple(z + offset for offset in _OFFSETS[self._neighbours] if 0 <= z + offset < self._depths[case])
        return Window(case=case, slices=slices, seed=seed if self._augment else None)

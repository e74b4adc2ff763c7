"""What became of each point: kept, dropped, or added from a neighbouring slice."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from spd_bench.planning.grid import resized_index


class Fate(StrEnum):
    """What distillation made of a point."""

    GIVEN = "given"
    """A raw point of a case without a consensus."""
    KEPT = "kept"
    """A raw point that is in the consensus of its slice."""
    DROPPED = "dropped"
    """A raw point that is not."""
    ADDED = "added"
    """A consensus point that is no raw point of its slice: it came from a neighbour."""


def point_fates(
    raw: NDArray[np.int64],
    consensus: NDArray[np.int64] | None,
    *,
    shape: Sequence[int],
    transpose: Sequence[int],
    resolution: int,
) -> tuple[NDArray[np.int64], list[Fate]]:
    """Tell the fate of every raw point and add the points that only the consensus has.

    A consensus point has been to the fixed-size slices and back, where raw points that share a pixel became one.
    So points are the same here when they share a pixel there.

    Args:
        raw: voxels (N, 3: z y x) of the points as they were given.
        consensus: voxels (M, 3: z y x) of the points that were decoded from; None where nothing is known of them.
        shape: the volume's shape (z, y, x).
        transpose: axis order of the planned arrays; the first axis runs through the slices.
        resolution: side of the fixed-size slices in pixels.

    Returns:
        Voxels (K, 3: z y x), the raw ones first, and the fate of each.
    """
    if consensus is None:
        return raw, [Fate.GIVEN] * len(raw)
    given = _pixels(raw, shape=shape, transpose=transpose, resolution=resolution)
    agreed = _pixels(consensus, shape=shape, transpose=transpose, resolution=resolution)
    kept, known = set(agreed), set(given)
    new = [index for index, pixel in enumerate(agreed) if pixel not in known]
    fates = [Fate.KEPT if pixel in kept else Fate.DROPPED for pixel in given]
    return np.concatenate([raw, consensus[new]]), fates + [Fate.ADDED] * len(new)


def _pixels(
    voxels: NDArray[np.int64], *, shape: Sequence[int], transpose: Sequence[int], resolution: int
) -> list[tuple[int, int, int]]:
    """(slice, row, column) of each voxel on the fixed-size slices."""
    ordered = voxels[:, list(transpose)]
    _, height, width = (shape[axis] for axis in transpose)
    rows = resized_index(ordered[:, 1], height, resolution)
    columns = resized_index(ordered[:, 2], width, resolution)
    return list(zip(ordered[:, 0].tolist(), rows.tolist(), columns.tolist(), strict=True))

"""Whether a label map holds the values that ``dataset.json`` announces, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spd_bench.errors import InputError

_WHITE = 255


def are_consecutive(label_values: Sequence[int]) -> bool:
    """Whether these are 0, 1, 2, ... as nnU-Net demands; planning refuses others."""
    return tuple(label_values) == tuple(range(len(label_values)))


def check_label_values(file: Path, voxels: NDArray[Any], label_values: Sequence[int]) -> None:
    """Raise InputError where a label map holds other values than these.

    Args:
        file: the label file.
        voxels: the label map, of any shape.
        label_values: the values that ``dataset.json`` announces, sorted, background included.

    Raises:
        InputError: a value is no whole number, or is not announced.
    """
    # Hashing is ten times as quick as numpy's sorting, and needs no copy of the volume.
    found = np.sort(pd.unique(voxels.reshape(-1)))
    fractions = [float(value) for value in found if not np.isfinite(value) or value != np.rint(value)]
    if fractions:
        raise InputError(
            f"label value {fractions[0]:g} is not a whole number",
            file=file,
            remedy="save labels as integers, resampled with nearest neighbour only",
        )
    unknown = [int(value) for value in found if int(value) not in label_values]
    if unknown:
        raise InputError(
            f"label value(s) {unknown[:5]} are not in dataset.json", file=file, remedy=_remedy(unknown, label_values)
        )


def _remedy(unknown: Sequence[int], label_values: Sequence[int]) -> str:
    there = list(label_values)
    if list(unknown) == [_WHITE]:
        return f"a label holds values, not grey levels: store one of {there} instead of {_WHITE}"
    # Values that leave a gap cannot be declared: planning would refuse the dataset next.
    declared = are_consecutive(sorted({*label_values, *unknown}))
    return f"map them to {there}{', or declare them in dataset.json' if declared else ''}"

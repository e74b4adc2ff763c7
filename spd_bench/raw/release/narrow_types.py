"""Doubles, which most releases hold whole numbers in, as the smallest type that holds the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WHOLE = np.iinfo(np.int16)


def narrow(parts: Iterable[NDArray[Any]], shape: Sequence[int]) -> NDArray[Any]:
    """Join parts of a volume of doubles, of which one at a time is in memory.

    Args:
        parts: consecutive runs of slices (k, y, x).
        shape: the volume's shape (z, y, x).

    Returns:
        int16 where all values are whole and fit in, else float32, which rounds them by less than one in 10 million.
    """
    joined: NDArray[Any] = np.empty(tuple(shape), np.int16)
    at = 0
    for part in parts:
        if joined.dtype == np.int16 and not _is_whole(part):
            before = joined[:at]
            joined = np.empty(tuple(shape), np.float32)
            joined[:at] = before
        with np.errstate(over="ignore"):
            joined[at : at + len(part)] = part
        at += len(part)
    return joined


def _is_whole(values: NDArray[Any]) -> bool:
    inside = np.isfinite(values).all() and _WHOLE.min <= values.min() and values.max() <= _WHOLE.max
    return bool(inside) and np.array_equal(values.astype(np.int16), values)

"""Dice and IoU from pixel counts, for slices and whole volumes alike.

Where both masks are empty the :class:`~spd_bench.evaluation.empty_policy.EmptyPolicy` says what they score; exactly
one empty mask scores 0 by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spd_bench.evaluation.empty_policy import PAPER, EmptyPolicy


def dice_score(
    *, reference: ArrayLike, prediction: ArrayLike, overlap: ArrayLike, policy: EmptyPolicy = PAPER
) -> NDArray[np.float64]:
    """Dice coefficient, 2 |A and B| / (|A| + |B|).

    Args:
        reference: numbers of pixels in the reference masks, any shape.
        prediction: numbers of pixels in the predicted masks, same shape.
        overlap: numbers of pixels in both, same shape.
        policy: what two empty masks score.

    Returns:
        Scores in 0..1 of that shape.

    Example:
        >>> dice_score(reference=[4, 0, 3], prediction=[2, 0, 0], overlap=[1, 0, 0]).round(3).tolist()
        [0.333, 1.0, 0.0]
    """
    return _ratio(2 * np.asarray(overlap), np.add(reference, prediction), policy)


def iou_score(
    *, reference: ArrayLike, prediction: ArrayLike, overlap: ArrayLike, policy: EmptyPolicy = PAPER
) -> NDArray[np.float64]:
    """Intersection over union, |A and B| / |A or B|; arguments as in :func:`dice_score`."""
    return _ratio(np.asarray(overlap), np.subtract(np.add(reference, prediction), overlap), policy)


def _ratio(
    numerator: NDArray[np.integer], denominator: NDArray[np.integer], policy: EmptyPolicy
) -> NDArray[np.float64]:
    return np.where(denominator == 0, policy.both_empty, numerator / np.maximum(denominator, 1))

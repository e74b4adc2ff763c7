"""Dice and IoU from pixel counts, and the one rule for empty masks.

The rule of the benchmark, for a slice and for a whole volume alike:

* both masks empty: Dice = IoU = 1, the method was right to stay silent;
* exactly one mask empty: Dice = IoU = 0;
* HD95 and ASD exist only where both masks are non-empty (:mod:`spd_bench.evaluation.surface`), NaN elsewhere.

Libraries differ here (nnU-Net and torchmetrics return NaN for empty against empty, panoptica 0, KiTS23 1), so
no library's overlap score is used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOTH_EMPTY_SCORE = 1.0


def dice_score(*, reference: ArrayLike, prediction: ArrayLike, overlap: ArrayLike) -> NDArray[np.float64]:
    """Dice coefficient, 2 |A and B| / (|A| + |B|), with the module's rule for empty masks.

    Args:
        reference: numbers of pixels in the reference masks, any shape.
        prediction: numbers of pixels in the predicted masks, same shape.
        overlap: numbers of pixels in both, same shape.

    Returns:
        Scores in 0..1 of that shape.

    Example:
        >>> dice_score(reference=[4, 0, 3], prediction=[2, 0, 0], overlap=[1, 0, 0]).round(3).tolist()
        [0.333, 1.0, 0.0]
    """
    return _ratio(2 * np.asarray(overlap), np.add(reference, prediction))


def iou_score(*, reference: ArrayLike, prediction: ArrayLike, overlap: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union, |A and B| / |A or B|; arguments and empty rule as in :func:`dice_score`."""
    return _ratio(np.asarray(overlap), np.subtract(np.add(reference, prediction), overlap))


def _ratio(numerator: NDArray[np.integer], denominator: NDArray[np.integer]) -> NDArray[np.float64]:
    # Only two empty masks give a zero denominator; one empty mask gives 0 by itself.
    return np.where(denominator == 0, BOTH_EMPTY_SCORE, numerator / np.maximum(denominator, 1))

"""Holm's correction of p-values for the number of comparisons (Scandinavian Journal of Statistics 6, 1979).

scipy has no correction of the family-wise error rate (``false_discovery_control`` is Benjamini's), and statsmodels
would be a large dependency for these lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values of one family of tests, to be compared with the level of the whole family.

    Args:
        p_values: p-values; NaN stands for a test that could not be made, stays NaN and counts for nothing.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    ascending = tested[np.argsort(given[tested], kind="stable")]
    scaled = given[ascending] * np.arange(len(tested), 0, -1)
    # A larger p-value never gets the smaller adjusted one.
    adjusted[ascending] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted

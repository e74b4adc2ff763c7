"""Wilcoxon's signed-rank test of paired differences, with the matched-pairs rank-biserial correlation.

Zero differences are treated as Pratt proposed (1959): they are ranked with the others and then left out, since two
methods that are silent on the same empty slice are evidence of no difference; dropping them before ranking would
hide that. Equal differences share their mean rank.

With up to 50 pairs that differ the p-value is exact, ties and zeros included: the distribution of the rank sum over
all assignments of signs. scipy's test is exact without ties only; with them it enumerates 2^n signs (2 s for 13
pairs) or falls back on the normal approximation, the one thing it is used for here, beyond 50 pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from spd_bench.evaluation.better import LEVEL

EXACT_PAIRS = 50
_DECIMALS = 12
"""Differences closer than this are ties: means of the same scores differ in their last digits."""


class SignedRank(NamedTuple):
    """Outcome of a signed-rank test.

    Attributes:
        p: two-sided p-value; NaN without pairs, 1 where all differences are zero.
        effect_size: rank sum of the positive differences minus that of the negative ones, over the sum of all ranks,
            -1..1 (Kerby 2014); zero differences count for neither side.
        note: why the p-value says little, empty where there is nothing to say.
    """

    p: float
    effect_size: float
    note: str


def signed_rank_test(differences: NDArray[np.float64]) -> SignedRank:
    """Test whether paired differences are symmetric about zero.

    Args:
        differences: one finite value a pair.
    """
    values: NDArray[np.float64] = np.round(np.asarray(differences, dtype=np.float64), _DECIMALS).astype(np.float64)
    if not values.size:
        return SignedRank(np.nan, np.nan, "no pair has a value in both methods")
    if not values.any():
        return SignedRank(1.0, 0.0, "no pair differs")
    ranks = rankdata(np.abs(values))
    effect = float(np.sum(np.sign(values) * ranks) / ranks.sum())
    smallest = 2.0 ** (1 - np.count_nonzero(values))
    note = f"too few pairs that differ: p cannot be less than {smallest:.2g}" if smallest >= LEVEL else ""
    return SignedRank(_p_value(values, ranks), effect, note)


def _p_value(values: NDArray[np.float64], ranks: NDArray[np.float64]) -> float:
    if np.count_nonzero(values) > EXACT_PAIRS:
        return float(wilcoxon(values, zero_method="pratt").pvalue)
    # Twice a mean rank is a whole number.
    weights = np.rint(2 * ranks[values != 0]).astype(int)
    ways = np.zeros(weights.sum() + 1)
    ways[0] = 1
    for weight in weights:
        ways[weight:] += ways[:-weight].copy()
    observed = int(np.rint(2 * ranks[values > 0]).sum())
    tail = min(ways[: observed + 1].sum(), ways[observed:].sum())
    return float(min(1.0, 2 * tail / ways.sum()))

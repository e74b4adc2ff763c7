"""When one method counts as better than another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spd_bench.evaluation.metrics import METRICS

LEVEL = 0.05
"""p-values below it are called significant."""


def better_method(row: Mapping[Any, Any]) -> str | None:
    """The method that a row of ``significance.csv`` favours, by mean and by ranks; None where these disagree."""
    sign = 1 if METRICS[row["metric"]].larger_is_better else -1
    directions = {np.sign(sign * row["difference"]), np.sign(sign * row["effect_size"])}
    if directions == {1.0}:
        return str(row["method_a"])
    return str(row["method_b"]) if directions == {-1.0} else None

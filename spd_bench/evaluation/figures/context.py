"""Dice against the context n, the neighbouring slices on each side: the paper's Figure 1."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from spd_bench.evaluation.figures.curve import CurveSettings, setting_curve

PAPER_CONTEXT: Mapping[float, float] = {0: 66.95, 1: 73.78, 2: 73.58, 3: 71.53}
"""The paper's Average Dice on TI in %, by n."""
CONTEXT_CURVE = CurveSettings(
    title="How many neighbouring slices help", setting="context n (neighbouring slices on each side)", default=2
)
"""Words and marks of the figure; ``dataclasses.replace(CONTEXT_CURVE, paper=PAPER_CONTEXT)`` adds the paper's line."""


def context_curve(
    scores: pd.DataFrame, *, patients: Mapping[str, str] | None = None, settings: CurveSettings = CONTEXT_CURVE
) -> Figure:
    """Draw Dice against n; ``value`` of the scores is n. See :func:`.curve.setting_curve`."""
    return setting_curve(scores, patients=patients, settings=settings)

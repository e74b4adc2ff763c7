"""Dice against the threshold tau above which the saliency map confirms a point."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from spd_bench.evaluation.figures.curve import CurveSettings, setting_curve

THRESHOLD_CURVE = CurveSettings(
    title="How much the threshold matters",
    setting="threshold tau (a point is kept where the saliency is above it)",
    default=0.5,
)
"""Words and marks of the figure."""


def threshold_curve(
    scores: pd.DataFrame, *, patients: Mapping[str, str] | None = None, settings: CurveSettings = THRESHOLD_CURVE
) -> Figure:
    """Draw Dice against tau; ``value`` of the scores is tau. See :func:`.curve.setting_curve`."""
    return setting_curve(scores, patients=patients, settings=settings)

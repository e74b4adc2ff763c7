"""Figures of a comparison: pure functions from result frames to matplotlib figures, written as PNG and SVG.

Every figure says below itself what its numbers stand on and what was left out. None depends on colour alone.
"""

from spd_bench.evaluation.figures.bars import BarSettings, dice_bars
from spd_bench.evaluation.figures.components import PAPER_COMPONENTS, ComponentSettings, component_bars
from spd_bench.evaluation.figures.context import CONTEXT_CURVE, PAPER_CONTEXT, context_curve
from spd_bench.evaluation.figures.curve import CurveSettings
from spd_bench.evaluation.figures.histogram import (
    PAPER_SHARES,
    HistogramSettings,
    saliency_counts,
    saliency_histogram,
)
from spd_bench.evaluation.figures.rankings import RankingSettings, rank_blobs, significance_squares
from spd_bench.evaluation.figures.robustness import RobustnessSettings, robustness_curves
from spd_bench.evaluation.figures.strips import StripSettings, dice_strips
from spd_bench.evaluation.figures.style import caption_of, save_figure
from spd_bench.evaluation.figures.threshold import THRESHOLD_CURVE, threshold_curve

__all__ = [
    "CONTEXT_CURVE",
    "PAPER_COMPONENTS",
    "PAPER_CONTEXT",
    "PAPER_SHARES",
    "THRESHOLD_CURVE",
    "BarSettings",
    "ComponentSettings",
    "CurveSettings",
    "HistogramSettings",
    "RankingSettings",
    "RobustnessSettings",
    "StripSettings",
    "caption_of",
    "component_bars",
    "context_curve",
    "dice_bars",
    "dice_strips",
    "rank_blobs",
    "robustness_curves",
    "saliency_counts",
    "saliency_histogram",
    "save_figure",
    "significance_squares",
    "threshold_curve",
]

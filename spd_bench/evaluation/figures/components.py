"""What each part of SPD adds: the component ablation, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spd_bench.errors import InputError
from spd_bench.evaluation.figures.checks import check_dice, check_one_each, check_rows
from spd_bench.evaluation.figures.style import BLUE, DICE_TITLES, legend_above, new_figure, styled, write_caption

STEPS: Mapping[str, str] = {
    "sam_tuning": "raw points",
    "spd_local": "+ local validation",
    "spd_cpd": "+ CPD",
    "spd": "+ PSC",
}
"""The rows of the ablation from the first to the whole method, and what each of them adds."""
PAPER_COMPONENTS: Mapping[str, float] = {"sam_tuning": 62.50, "spd_local": 66.95, "spd_cpd": 70.32, "spd": 73.58}
"""The paper's Average Dice on TI in %, by row."""
_COLUMNS = ("dataset", "method", "metric", "mean", "ci_low", "ci_high")
_BAR = 0.38
_RIGHT = 118.0  # beyond 100 %, so that numbers fit beside the longest bar


@dataclass(frozen=True, kw_only=True)
class ComponentSettings:
    """How the ablation is drawn.

    Attributes:
        title: above the figure.
        metric: the Dice that is drawn.
        steps: method name to what it adds, first step first.
        paper: the paper's Average Dice in %, by method name; empty draws ours alone.
    """

    title: str = "What each part of SPD adds"
    metric: str = "average_dice"
    steps: Mapping[str, str] = field(default_factory=lambda: dict(STEPS))
    paper: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.metric not in DICE_TITLES:
            msg = f"metric must be one of {', '.join(DICE_TITLES)}, got {self.metric!r}"
            raise ValueError(msg)
        if self.paper and self.metric != "average_dice":
            msg = f"the paper's ablation is in Average Dice and cannot stand beside {self.metric}"
            raise ValueError(msg)


@styled
def component_bars(summary: pd.DataFrame, *, settings: ComponentSettings | None = None) -> Figure:
    """Draw one Dice of each step as horizontal bars, its gain over the step before written beside it.

    Args:
        summary: rows of ``summary.csv`` of one dataset (Dice in 0..1); methods that are no step are passed over.
        settings: title, metric, steps and the paper's numbers.

    Returns:
        Figure with one axes, Dice in %, first step on top.

    Raises:
        InputError: a ValueError in one line: no rows, a column is missing, several datasets, Dice outside 0..1, or a
            row is there twice.
    """
    settings = settings or ComponentSettings()
    check_rows(summary, what="summary.csv", columns=_COLUMNS)
    chosen = summary["method"].isin(list(settings.steps)) & (summary["metric"] == settings.metric)
    rows = summary[chosen]
    check_rows(rows, what=f"{settings.metric} of {', '.join(settings.steps)}", columns=_COLUMNS)
    check_dice(rows, ["mean"], what="summary.csv")
    datasets = sorted(rows["dataset"].unique())
    if len(datasets) > 1:
        raise InputError(f"an ablation of {', '.join(datasets)}", remedy="give the rows of one dataset")
    check_one_each(rows, ["method"], what="summary.csv")
    ours = 100 * rows.set_index("method")[["mean", "ci_low", "ci_high"]].astype(float).reindex(list(settings.steps))
    paper = pd.Series(dict(settings.paper), dtype=float).reindex(list(settings.steps))
    figure = new_figure(8.2, 1.9 + 0.62 * len(settings.steps), title=f"{settings.title}: {datasets[0]}")
    axes = figure.add_subplot()
    places = np.arange(len(settings.steps), dtype=np.float64)
    shift = _BAR / 2 if settings.paper else 0.0
    _draw_bars(axes, places - shift, ours["mean"], ours, label="ours", color=BLUE)
    if settings.paper:
        _draw_bars(axes, places + shift, paper, None, label="the paper's, on TI", color="white", hatch="///")
        legend_above(axes)
    axes.set_yticks(places, list(settings.steps.values()))
    axes.set(
        xlabel=f"{DICE_TITLES[settings.metric]} (%)",
        xlim=(0, _RIGHT),
        xticks=range(0, 101, 20),
        ylim=(len(places) - 0.5, -0.5),
    )
    axes.grid(axis="x", alpha=0.3)
    absent = [step for name, step in settings.steps.items() if np.isnan(ours["mean"][name])]
    unbounded = ours["mean"].notna() & ours[["ci_low", "ci_high"]].isna().any(axis=1)
    write_caption(
        figure,
        [
            "Lines on our bars: 95 % intervals from a bootstrap over patients.",
            "In brackets the gain over the step above.",
            "No interval where there are not two patients." if unbounded.any() else "",
            f"Without a value of ours: {', '.join(absent)}." if absent else "",
        ],
    )
    return figure


def _draw_bars(
    axes: Axes, places: np.ndarray, means: pd.Series[float], bounds: pd.DataFrame | None, *, label: str, **look: Any
) -> None:
    values = means.to_numpy(np.float64)
    there = ~np.isnan(values)
    axes.barh(places[there], values[there], _BAR, label=label, gid=label, edgecolor="black", linewidth=0.8, **look)
    ends = values.copy()
    if bounds is not None:
        low, high = bounds["ci_low"].to_numpy(np.float64), bounds["ci_high"].to_numpy(np.float64)
        known = there & ~np.isnan(low) & ~np.isnan(high)
        axes.hlines(places[known], low[known], high[known], color="black", linewidth=1.6)
        ends[known] = np.maximum(values, high)[known]
    gains = np.diff(values, prepend=np.nan)
    for place, value, gain, end in zip(places, values, gains, ends, strict=True):
        if not np.isnan(value):
            text = f"{value:.2f}" if np.isnan(gain) else f"{value:.2f} ({gain:+.2f})"
            axes.text(float(end) + 0.8, float(place), text, ha="left", va="center", fontsize=8)

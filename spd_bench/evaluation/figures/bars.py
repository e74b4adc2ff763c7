"""Average and Volumetric Dice of every method as bars, one panel a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from spd_bench.evaluation.figures.checks import check_dice, check_one_each, check_rows, left_out
from spd_bench.evaluation.figures.style import (
    BLUE,
    DICE_TITLES,
    HIGHLIGHTED,
    PALE,
    legend_above,
    name_methods,
    new_figure,
    styled,
    write_caption,
)

_METRICS = {"average_dice": (PALE, "///"), "volumetric_dice": (BLUE, "")}
_BAR = 0.4
_TOP = 126.0  # above 100 %, so that upright numbers fit over the highest bar
_COLUMNS = ("dataset", "method", "metric", "mean", "ci_low", "ci_high")


@dataclass(frozen=True, kw_only=True)
class BarSettings:
    """How the bars are drawn.

    Attributes:
        title: above the figure.
        highlight: name of the method that is brought out.
    """

    title: str = "How well each method segments"
    highlight: str = HIGHLIGHTED


@styled
def dice_bars(summary: pd.DataFrame, *, titles: Mapping[str, str], settings: BarSettings | None = None) -> Figure:
    """Draw Average and Volumetric Dice with their 95 % intervals, the exact values over the bars.

    Args:
        summary: rows of ``summary.csv`` (Dice in 0..1); rows of other metrics are passed over.
        titles: method name to title; a method that is not named keeps its name.
        settings: title and highlight.

    Returns:
        Figure with one axes a dataset (gid: the dataset), methods in the order of the rows, Dice in %.

    Raises:
        InputError: a ValueError in one line: no rows, a column is missing, Dice lies outside 0..1, or a row is there
            twice.
    """
    settings = settings or BarSettings()
    check_rows(summary, what="summary.csv", columns=_COLUMNS)
    rows = summary[summary["metric"].isin(list(_METRICS))]
    check_rows(rows, what="Average and Volumetric Dice", columns=_COLUMNS)
    check_dice(rows, ["mean"], what="summary.csv")
    check_one_each(rows, ["dataset", "method", "metric"], what="summary.csv")
    datasets = list(dict.fromkeys(rows["dataset"]))
    methods = list(dict.fromkeys(rows["method"]))
    figure = new_figure(max(6.0, 1.4 + 0.72 * len(methods)), 1.5 + 2.5 * len(datasets), title=settings.title)
    panels = figure.subplots(len(datasets), 1, squeeze=False)[:, 0]
    for axes, dataset in zip(panels, datasets, strict=True):
        _draw_panel(axes, rows[rows["dataset"] == dataset], methods)
        axes.set_title(dataset, loc="left")
        axes.set(ylabel="Dice (%)", ylim=(0, _TOP), yticks=range(0, 101, 20), gid=str(dataset))
        name_methods(axes, methods, titles, settings.highlight)
        axes.tick_params(labelbottom=axes is panels[-1])
    shown = [metric for metric in _METRICS if metric in set(rows["metric"])]
    legend_above(panels[0], [Patch(**_look(metric), label=DICE_TITLES[metric]) for metric in shown])
    pairs = pd.MultiIndex.from_product([datasets, methods, dict.fromkeys(rows["metric"])])
    absent = len(pairs) - len(rows)
    without = int((rows["mean"].notna() & rows[["ci_low", "ci_high"]].isna().any(axis=1)).sum())
    write_caption(
        figure,
        [
            "Lines on the bars: 95 % intervals from a bootstrap over patients.",
            f"Without an interval, which takes two patients: {without} of {len(rows)} bars." if without else "",
            left_out(rows.rename(columns={"mean": "the mean"}), ["the mean"]),
            f"Not in the results: {absent} of {len(pairs)} bars." if absent else "",
        ],
    )
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    axes.grid(axis="y", alpha=0.3)
    for number, metric in enumerate(_METRICS):
        of_metric = rows[rows["metric"] == metric].set_index("method")
        table = 100 * of_metric[["mean", "ci_low", "ci_high"]].astype(float).reindex(methods)
        places = np.arange(len(methods)) + (number - 0.5) * _BAR
        mean, low, high = (table[name].to_numpy() for name in ("mean", "ci_low", "ci_high"))
        there = ~np.isnan(mean)
        axes.bar(places[there], mean[there], _BAR, label=DICE_TITLES[metric], **_look(metric))
        known = there & ~np.isnan(low) & ~np.isnan(high)
        axes.vlines(places[known], low[known], high[known], color="black", linewidth=1.4)
        for place, value, upper in zip(places, mean, high, strict=True):
            if not np.isnan(value):
                above = np.nanmax([value, upper]) + 1.5
                axes.text(place, above, f"{value:.2f}", ha="center", va="bottom", rotation=90, fontsize=8)


def _look(metric: str) -> dict[str, Any]:
    colour, hatch = _METRICS[metric]
    return {"facecolor": colour, "hatch": hatch, "edgecolor": "black", "linewidth": 0.8}

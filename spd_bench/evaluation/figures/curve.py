"""Dice against the values of one setting of SPD: what the figures of context and threshold have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings
from spd_bench.evaluation.figures.checks import check_dice, check_rows, left_out, numbers_of
from spd_bench.evaluation.figures.intervals import about_means, mean_dice
from spd_bench.evaluation.figures.style import (
    BLACK,
    BLUE,
    DICE_TITLES,
    GREEN,
    VERMILLION,
    Look,
    legend_beside,
    new_figure,
    styled,
    write_caption,
)

_LOOKS = {
    "average_dice": Look(colour=BLUE, marker="s", line="--", width=1.6),
    "volumetric_dice": Look(colour=VERMILLION, marker="o", line="-", width=2.0),
    "foreground_dice": Look(colour=GREEN, marker="^", line=":", width=1.6),
}
_SPREAD = 0.12


@dataclass(frozen=True, kw_only=True)
class CurveSettings:
    """How a curve is drawn.

    Attributes:
        title: above the figure.
        setting: label of the horizontal axis.
        default: the paper's value of the setting, which is marked; None marks none.
        paper: Average Dice on TI in % that the paper prints, by value of the setting; empty draws none.
        bootstrap: of the intervals.
    """

    title: str
    setting: str
    default: float | None
    paper: Mapping[float, float] = field(default_factory=dict)
    bootstrap: BootstrapSettings = DEFAULT_SETTINGS


@styled
def setting_curve(scores: pd.DataFrame, *, patients: Mapping[str, str] | None, settings: CurveSettings) -> Figure:
    """Draw every Dice that the frame has against the setting, with intervals from a bootstrap over patients.

    Args:
        scores: one row a value of the setting and a case (and ``seed``, where there are several), with the columns
            ``value``, ``case`` and one or more of ``average_dice``, ``volumetric_dice``, ``foreground_dice`` (in 0..1);
            NaN left out. Averages as :func:`.intervals.mean_dice` makes them.
        patients: case to patient; a case not named is its own patient.
        settings: words, marks and bootstrap.

    Returns:
        Figure with one axes and one line a Dice (gid: the column; "paper" for the paper's), Dice in %.

    Raises:
        InputError: a ValueError in one line: no rows, a column is missing, no Dice, Dice outside 0..1, a value
            of the setting is no number, or a row is there twice.
    """
    check_rows(scores, what="scores", columns=("value", "case"))
    columns = [name for name in _LOOKS if name in scores.columns]
    check_rows(scores, what="scores", columns=columns or ["volumetric_dice"])
    check_dice(scores, columns, what="the scores")
    scores = scores.assign(value=numbers_of(scores, "value", what="the scores"))
    figure = new_figure(8.6, 4.4, title=settings.title)
    axes = figure.add_subplot()
    places = sorted({*scores["value"], *settings.paper})
    tables = [
        mean_dice(scores, by=("value",), column=column, patients=patients, settings=settings.bootstrap)
        for column in columns
    ]
    step = min(np.diff(places), default=1.0)
    for number, (column, table) in enumerate(zip(columns, tables, strict=True)):
        _draw_line(axes, table, column, shift=_SPREAD * step * (number - (len(columns) - 1) / 2))
    if settings.paper:
        printed = sorted(settings.paper.items())
        style: dict[str, Any] = {"color": BLACK, "marker": "D", "markerfacecolor": "white", "linestyle": "-."}
        axes.plot(*zip(*printed, strict=True), label="Average Dice on TI\nin the paper", gid="paper", **style)
    axes.set(xlabel=settings.setting, ylabel="Dice (%)")
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.margins(y=0.12)
    axes.grid(axis="y", alpha=0.3)
    if settings.default is not None:
        axes.axvline(settings.default, color="#555555", linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        place = axes.get_xaxis_transform()
        words = f"the paper's default, {settings.default:g}"
        axes.text(settings.default, 1.01, words, transform=place, ha="center", va="bottom", fontsize=8)
    legend_beside(axes, axes.get_legend_handles_labels()[0], handlelength=3.5)
    moved = "Points are moved a little sideways to stay apart." if len(columns) > 1 else ""
    about = about_means(scores, columns, pd.concat(tables), settings.bootstrap)
    write_caption(figure, [*about, moved, left_out(scores, columns)])
    return figure


def _draw_line(axes: Axes, table: pd.DataFrame, column: str, *, shift: float) -> None:
    look = _LOOKS[column]
    places = table.index.to_numpy(np.float64) + shift
    mean, low, high = (100 * table[name].to_numpy(np.float64) for name in ("mean", "ci_low", "ci_high"))
    axes.vlines(places, low, high, color=look.colour, linewidth=1.4)
    (line,) = axes.plot(places, mean, color=look.colour, marker=look.marker, linestyle=look.line)
    line.set(linewidth=look.width, label=DICE_TITLES[column], gid=column)

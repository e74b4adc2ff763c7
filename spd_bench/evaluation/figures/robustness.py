"""Dice of every promptable method against the severity of the prompts' noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, BootstrapSettings
from spd_bench.evaluation.figures.checks import check_dice, check_rows, left_out, numbers_of
from spd_bench.evaluation.figures.intervals import about_means, mean_dice
from spd_bench.evaluation.figures.style import (
    DICE_TITLES,
    HIGHLIGHTED,
    Look,
    legend_beside,
    method_looks,
    new_figure,
    styled,
    write_caption,
)

_DICE = ("volumetric_dice", "foreground_dice")
_WORDS = {0.0: "clean", 1.0: "default", 2.0: "drifting"}
_SPREAD = 0.3


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings:
    """How the curves are drawn.

    Attributes:
        title: above the figure.
        highlight: name of the method that is brought out.
        bootstrap: of the intervals.
    """

    title: str = "How much noisy prompts cost"
    highlight: str = HIGHLIGHTED
    bootstrap: BootstrapSettings = DEFAULT_SETTINGS


@styled
def robustness_curves(
    scores: pd.DataFrame,
    *,
    titles: Mapping[str, str],
    patients: Mapping[str, str] | None = None,
    settings: RobustnessSettings | None = None,
) -> Figure:
    """Draw Volumetric and Foreground Dice against severity, with intervals from a bootstrap over patients.

    Args:
        scores: one row a method, case and severity (and ``seed``, where there are several), with the columns
            ``method``, ``case``, ``severity``, ``volumetric_dice`` and ``foreground_dice`` (of the case, in 0..1);
            NaN left out. Seeds are averaged per case first. Averages as :func:`.intervals.mean_dice` makes them.
        titles: method name to title; a method that is not named keeps its name.
        patients: case to patient; a case not named is its own patient.
        settings: title, highlight and bootstrap.

    Returns:
        Figure with one axes for each Dice (gid: the column), one line a method (gid: its name), Dice in %. The lines
        are moved a little sideways, so that their intervals do not hide each other.

    Raises:
        InputError: a ValueError in one line: no rows, a column is missing, Dice lies outside 0..1, a severity is no
            number, or a row is there twice.
    """
    settings = settings or RobustnessSettings()
    check_rows(scores, what="scores at severities", columns=("method", "case", "severity", *_DICE))
    check_dice(scores, _DICE, what="the scores")
    scores = scores.assign(severity=numbers_of(scores, "severity", what="the scores"))
    methods = list(dict.fromkeys(scores["method"]))
    looks = method_looks(methods, settings.highlight)
    figure = new_figure(10.5, max(4.6, 1.8 + 0.24 * len(methods)), title=settings.title)
    panels = figure.subplots(1, 2, sharey=True)
    shifts = _shifts(methods, sorted(scores["severity"].unique()))
    numbers = []
    for axes, column in zip(panels, _DICE, strict=True):
        table = mean_dice(
            scores, by=("method", "severity"), column=column, patients=patients, settings=settings.bootstrap
        )
        numbers.append(table)
        for method in methods:
            if method in table.index.get_level_values("method"):
                points = table.loc[method]
                _draw_line(axes, points, looks[method], shifts[method], label=titles.get(method, method), gid=method)
        severities = sorted(scores["severity"].unique())
        ticks = [f"{value:g}\n{_WORDS.get(value, ' ')}" for value in severities]
        axes.set(title=DICE_TITLES[column], xlabel="severity of the prompts' noise", gid=column)
        axes.set_xticks(severities, ticks)
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("Dice (%)")
    legend_beside(panels[1], panels[0].get_lines(), handlelength=4.0)
    moved = "Points are moved a little sideways to stay apart." if len(methods) > 1 else ""
    about = about_means(scores, _DICE, pd.concat(numbers), settings.bootstrap)
    write_caption(figure, [*about, moved, left_out(scores, _DICE)])
    return figure


def _shifts(methods: list[str], severities: list[float]) -> dict[str, float]:
    """How far each method's line is moved sideways, in units of severity."""
    step = min([1.0, *np.diff(severities)])
    places = np.linspace(-0.5, 0.5, len(methods)) if len(methods) > 1 else np.zeros(1)
    return dict(zip(methods, (_SPREAD * step * places).tolist(), strict=True))


def _draw_line(axes: Axes, points: pd.DataFrame, look: Look, shift: float, *, label: str, gid: str) -> None:
    places = points.index.to_numpy(np.float64) + shift
    mean, low, high = (100 * points[name].to_numpy(np.float64) for name in ("mean", "ci_low", "ci_high"))
    order = 3 if look.line == "-" else 2
    axes.vlines(places, low, high, color=look.colour, linewidth=look.width * 0.7, alpha=0.8, zorder=order)
    (line,) = axes.plot(places, mean, color=look.colour, marker=look.marker, linestyle=look.line, label=label)
    line.set(linewidth=look.width, markersize=6.0, markeredgecolor="white", markeredgewidth=0.5, zorder=order + 1)
    line.set_gid(gid)

"""Volumetric Dice of every patient, one column a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spd_bench.evaluation.figures.checks import check_dice, check_rows, counted, left_out
from spd_bench.evaluation.figures.style import (
    BLUE,
    HIGHLIGHTED,
    VERMILLION,
    name_methods,
    new_figure,
    styled,
    write_caption,
)
from spd_bench.evaluation.frames import require_one_row_each
from spd_bench.evaluation.patients import patient_of

_COLUMNS = ("dataset", "method", "case", "volumetric_dice")
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, kw_only=True)
class StripSettings:
    """How the strips are drawn.

    Attributes:
        title: above the figure.
        highlight: name of the method that is brought out.
        join: whether lines join the points of one patient.
        joined_at_most: number of patients of a dataset above which lines would only hide the points and are left out.
        spread: width over which the points of a column lie, 1 being the distance of two columns.
    """

    title: str = "Every patient's Volumetric Dice"
    highlight: str = HIGHLIGHTED
    join: bool = True
    joined_at_most: int = 30
    spread: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.spread < 1:
            msg = f"spread must lie in 0..1, columns would meet otherwise, got {self.spread}"
            raise ValueError(msg)


@styled
def dice_strips(
    volumes: pd.DataFrame,
    *,
    titles: Mapping[str, str],
    patients: Mapping[str, str] | None = None,
    settings: StripSettings | None = None,
) -> Figure:
    """Draw a point for each patient and method, the medians marked and written above.

    Args:
        volumes: rows of ``volumes.csv`` (Dice in 0..1); NaN left out. Several volumes of a patient are averaged.
        titles: method name to title; a method that is not named keeps its name.
        patients: case to patient; a case not named is its own patient. Case names are looked up in every dataset
            alike.
        settings: title, highlight, lines and spread.

    Returns:
        Figure with one axes a dataset (gid: the dataset), methods in the order of the rows, Dice in %. A patient lies
        at the same place of every column, so that the same frame gives the same figure.

    Raises:
        InputError: a ValueError in one line: no rows, a column is missing, Dice lies outside 0..1, or a volume of a
            run is there twice.
    """
    settings = settings or StripSettings()
    check_rows(volumes, what="volumes.csv", columns=_COLUMNS)
    check_dice(volumes, ["volumetric_dice"], what="volumes.csv")
    require_one_row_each(volumes)
    datasets = list(dict.fromkeys(volumes["dataset"]))
    methods = list(dict.fromkeys(volumes["method"]))
    figure = new_figure(max(6.0, 1.4 + 0.72 * len(methods)), 1.5 + 2.8 * len(datasets), title=settings.title)
    panels = figure.subplots(len(datasets), 1, squeeze=False)[:, 0]
    people, joined = [], False
    for axes, dataset in zip(panels, datasets, strict=True):
        rows = volumes[volumes["dataset"] == dataset]
        keys = [patient_of(rows["case"], patients).rename("patient"), rows["method"]]
        values = 100 * rows["volumetric_dice"].astype(float).groupby(keys).mean().unstack().reindex(columns=methods)
        people.append(f"{dataset} {len(values)}")
        joins = settings.join and len(values) <= settings.joined_at_most
        joined = joined or joins
        _draw_panel(axes, values, settings, joins=joins)
        axes.set(ylabel="Volumetric Dice (%)", ylim=(-3, 103), yticks=range(0, 101, 20), gid=str(dataset))
        axes.set_title(dataset, loc="left", pad=18)
        name_methods(axes, methods, titles, settings.highlight)
        axes.tick_params(labelbottom=axes is panels[-1])
    write_caption(
        figure,
        [
            "A point is a patient, the mean over the patient's volumes; bars and the numbers above them are medians.",
            "Thin lines join the points of one patient." if joined else "",
            f"Patients: {', '.join(people)}; {counted(len(volumes), 'row')} of volumes.",
            left_out(volumes, ["volumetric_dice"]),
        ],
    )
    return figure


def _draw_panel(axes: Axes, values: pd.DataFrame, settings: StripSettings, *, joins: bool) -> None:
    """Draw one dataset; values in %, patients x methods."""
    axes.grid(axis="y", alpha=0.3)
    table: NDArray[np.float64] = values.to_numpy(np.float64)
    # Multiples of the golden ratio fill a column evenly and need no dice.
    shifts = settings.spread * ((np.arange(1, len(table) + 1) * _GOLDEN) % 1 - 0.5)
    places = np.arange(table.shape[1]) + shifts[:, None]
    if joins:
        segments = [np.column_stack(line) for line in zip(places, table, strict=True)]
        axes.add_collection(LineCollection(segments, colors="#888888", linewidths=0.6, alpha=0.5, zorder=1))
    for number, method in enumerate(values.columns):
        there = ~np.isnan(table[:, number])
        style: dict[str, Any] = {"color": BLUE, "marker": "o", "s": 18}
        if method == settings.highlight:
            style = {"color": VERMILLION, "marker": "D", "s": 22}
        marks = axes.scatter(places[there, number], table[there, number], linewidths=0.6, zorder=3, **style)
        marks.set(edgecolor="white", gid=str(method))
        median = np.median(table[there, number]) if there.any() else np.nan
        if not np.isnan(median):
            # Behind the points: those at the median would be hidden.
            axes.hlines(median, number - 0.4, number + 0.4, color="black", linewidth=2.2, zorder=2)
            above = axes.get_xaxis_transform()
            axes.text(number, 1.01, f"{median:.2f}", transform=above, ha="center", va="bottom", fontsize=8)

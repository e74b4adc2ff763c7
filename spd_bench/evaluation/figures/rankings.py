"""How far a ranking can be trusted: ranks under bootstrap as blobs, and which method beats which as squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from spd_bench.errors import InputError
from spd_bench.evaluation.better import LEVEL
from spd_bench.evaluation.figures.checks import check_rows
from spd_bench.evaluation.figures.style import (
    BLACK,
    BLUE,
    DICE_TITLES,
    HIGHLIGHTED,
    PALE,
    SKY,
    VERMILLION,
    legend_beside,
    name_methods,
    new_figure,
    styled,
    write_caption,
)
from spd_bench.evaluation.frames import SIGNIFICANCE_COLUMNS
from spd_bench.evaluation.ranking import RankingStability
from spd_bench.evaluation.significance import significance_map

_LARGEST = 620.0  # square points of the blob of a method that always has one rank
_SHOWN = (0.1, 0.5, 1.0)
_UNITS = {"volume": "volumes", "slice": "slices"}


@dataclass(frozen=True, kw_only=True)
class RankingSettings:
    """How both figures are drawn.

    Attributes:
        title: above the figure; empty takes words of the figure's own.
        dataset: named in the title of the blobs; empty names none.
        highlight: name of the method that is brought out.
        confidence: level of the rank intervals that the stability was made with, for the caption.
    """

    title: str = ""
    dataset: str = ""
    highlight: str = HIGHLIGHTED
    confidence: float = 0.95


@styled
def rank_blobs(
    stability: RankingStability, *, titles: Mapping[str, str], settings: RankingSettings | None = None
) -> Figure:
    """Draw the share of the draws in which each method has each rank as the area of a blob.

    Args:
        stability: from :func:`spd_bench.evaluation.ranking.ranking_stability`.
        titles: method name to title; a method that is not named keeps its name.
        settings: words and highlight.

    Returns:
        Figure with one axes: methods from best to worst, rank 1 on top, a cross at the rank of all data and a line for
        the interval of the rank; each method's blobs have the method's name as gid.

    Raises:
        InputError: a ValueError in one line: the ranking is empty.
    """
    settings = settings or RankingSettings()
    methods = [str(method) for method in stability.ranks.index]
    check_rows(stability.ranks, what="the ranking", columns=("mean", "rank", "rank_low", "rank_high"))
    title = settings.title or f"How stable the ranking is{f': {settings.dataset}' if settings.dataset else ''}"
    figure = new_figure(max(7.0, 2.6 + 0.66 * len(methods)), max(4.2, 2.4 + 0.4 * len(methods)), title=title)
    axes = figure.add_subplot()
    name_methods(axes, methods, titles, settings.highlight)
    ranks = stability.frequencies.columns.to_numpy(np.float64)
    for number, method in enumerate(methods):
        shares = stability.frequencies.loc[method].to_numpy(np.float64)
        taken = shares > 0
        colour = VERMILLION if method == settings.highlight else SKY
        places = np.full(taken.sum(), number)
        blobs = axes.scatter(places, ranks[taken], s=_LARGEST * shares[taken], color=colour, zorder=2)
        blobs.set(edgecolor=BLACK, linewidth=0.6, gid=method)
    everywhere = np.arange(len(methods))
    low, high = stability.ranks["rank_low"], stability.ranks["rank_high"]
    axes.vlines(everywhere, low, high, color=BLACK, linewidth=1.2, zorder=3)
    axes.scatter(everywhere, stability.ranks["rank"], marker="x", color=BLACK, s=34, zorder=4, gid="all data")
    axes.set(ylabel="rank (1 is the best)", ylim=(len(ranks) + 0.7, 0.3), yticks=ranks)
    axes.set_yticks(ranks, [f"{rank:g}" for rank in ranks])
    axes.grid(axis="y", alpha=0.3)
    shown = [Line2D([], [], linestyle="", marker="o", color=SKY, markeredgecolor=BLACK) for _ in _SHOWN]
    for share, handle in zip(_SHOWN, shown, strict=True):
        handle.set(markersize=np.sqrt(_LARGEST * share), label=f"{100 * share:g} % of the draws")
    handles = [
        *shown,
        Line2D([], [], linestyle="", marker="x", color=BLACK, label="rank of all data"),
        Line2D([], [], color=BLACK, label=f"{100 * settings.confidence:g} % interval"),
    ]
    legend_beside(axes, handles, labelspacing=1.6, handlelength=2.6, borderpad=0.9)
    unranked = int(np.isnan(stability.ranks["mean"].to_numpy(np.float64)).sum())
    write_caption(figure, [*_about_ranking(stability), f"Last for want of a value: {unranked}." if unranked else ""])
    return figure


@styled
def significance_squares(
    significance: pd.DataFrame,
    *,
    dataset: str,
    metric: str,
    titles: Mapping[str, str],
    unit: str = "volume",
    order: Sequence[str] = (),
    settings: RankingSettings | None = None,
) -> Figure:
    """Draw which method beats which, with the p-values after Holm's correction.

    Args:
        significance: rows of ``significance.csv``.
        dataset: which one of its datasets.
        metric: which one of its metrics.
        titles: method name to title; a method that is not named keeps its name.
        unit: "volume", or "slice" as in the paper.
        order: methods from top to bottom, for instance ``stability.ranks.index``; empty takes that of the rows.
        settings: words and highlight.

    Returns:
        Figure with one axes: the row's method beats the column's where the square is dark, and is better by chance
        where it is pale. Squares have the gid ``row/column``.

    Raises:
        InputError: a ValueError in one line: a column is missing, there is no such row, or ``order`` lacks a method.
    """
    settings = settings or RankingSettings()
    check_rows(significance, what="significance.csv", columns=SIGNIFICANCE_COLUMNS)
    chosen = (significance["dataset"] == dataset) & (significance["metric"] == metric) & (significance["unit"] == unit)
    check_rows(significance[chosen], what=f"{metric} per {unit} on {dataset}", columns=())
    square = significance_map(significance, dataset=dataset, metric=metric, unit=unit)
    lacking = [method for method in square.index if order and method not in order]
    if lacking:
        raise InputError(f"the order lacks {', '.join(lacking)}", remedy="name every method that is compared")
    methods = [method for method in order if method in square.index] if order else list(square.index)
    words = DICE_TITLES.get(metric, metric)
    title = settings.title or f"Which method beats which: {words}, {dataset}"
    figure = new_figure(max(6.6, 3.4 + 0.58 * len(methods)), max(4.0, 2.6 + 0.42 * len(methods)), title=title)
    axes = figure.add_subplot()
    name_methods(axes, methods, titles, settings.highlight)
    values = square.loc[methods, methods].to_numpy(np.float64)
    for row, winner in enumerate(methods):
        for column, loser in enumerate(methods):
            p = values[row, column]
            face = "#BBBBBB" if winner == loser else "white" if np.isnan(p) else BLUE if p < LEVEL else PALE
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=face, gid=f"{winner}/{loser}"))
            axes.patches[-1].set(edgecolor="#777777", linewidth=0.6, zorder=2)
            if not np.isnan(p):
                ink = "white" if p < LEVEL else BLACK
                text = "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
                axes.text(column, row, text, ha="center", va="center", fontsize=7, zorder=3, color=ink)
    axes.set_yticks(range(len(methods)), [titles.get(method, method) for method in methods])
    for method, label in zip(methods, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if method == settings.highlight else "normal")
    axes.set(ylim=(len(methods) - 0.5, -0.5), xlabel="... than this method", ylabel="This method is better ...")
    handles = [
        Patch(facecolor=BLUE, edgecolor="#777777", label=f"better, p < {LEVEL:g}"),
        Patch(facecolor=PALE, edgecolor="#777777", label="better, may be chance"),
        Patch(facecolor="white", edgecolor="#777777", label="not better"),
    ]
    legend_beside(axes, handles)
    write_caption(figure, _about_tests(significance[chosen], unit))
    return figure


def _about_ranking(stability: RankingStability) -> list[str]:
    taus = stability.tau[~np.isnan(stability.tau)]
    words = DICE_TITLES.get(stability.metric, stability.metric)
    agreement = f"Kendall's tau with the ranking of all data: median {np.median(taus):.2f}." if len(taus) else ""
    return [f"Methods ranked by {words}, patients drawn anew {len(stability.tau):,} times.", agreement]


def _about_tests(rows: pd.DataFrame, unit: str) -> list[str]:
    untested = int(rows["p_holm"].isna().sum())
    most = f"at most {rows['n'].max()} {_UNITS.get(unit, unit)}"
    return [
        f"Wilcoxon's signed-rank test over {most} a pair, p after Holm's correction over all pairs.",
        "A method is better where its mean and its ranks say so.",
        "Slices of one volume are not independent, so these p-values are too small." if unit == "slice" else "",
        f"Pairs without a test are left white: {untested} of {len(rows)}." if untested else "",
    ]

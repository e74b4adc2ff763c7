"""How polarised a saliency map is: a histogram over ten bins, the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from spd_bench.errors import InputError
from spd_bench.evaluation.figures.style import BLACK, BLUE, legend_above, new_figure, styled, write_caption

BINS = 10
# Tenths as they are written: steps of 0.1 miss them in the last digit, and 0.3 would fall below its own bin.
EDGES: NDArray[np.float64] = np.arange(BINS + 1) / BINS
PAPER_SHARES: Mapping[int, float] = {1: 97.88, 8: 0.66, 9: 0.89}
"""The paper's shares of pixels on TI in %, by bin, as far as it prints them."""


@dataclass(frozen=True, kw_only=True)
class HistogramSettings:
    """How the histogram is drawn.

    Attributes:
        title: above the figure.
        paper: shares in % by bin (0..9) that the paper prints; empty draws none.
        threshold: tau, which is marked; None marks none.
    """

    title: str = "How sure the saliency map is"
    paper: Mapping[int, float] = field(default_factory=dict)
    threshold: float | None = 0.5


def saliency_counts(values: ArrayLike) -> NDArray[np.int64]:
    """Count saliency values in bins of 0.1; counts of several maps can be added.

    Args:
        values: array of any shape in [0, 1]; NaN is not counted.

    Returns:
        Int array (10,): values in [0, 0.1), [0.1, 0.2) and so on, the last one with 1.

    Raises:
        InputError: a ValueError in one line: a value lies outside [0, 1].
    """
    found = np.asarray(values).ravel()
    found = found[~np.isnan(found)]
    if len(found) and not (found.min() >= 0 and found.max() <= 1):
        wrong = found.min() if found.min() < 0 else found.max()
        raise InputError(f"saliency {wrong:g}", remedy="give values in 0..1, after the sigmoid")
    return np.histogram(found, bins=EDGES)[0].astype(np.int64)


@styled
def saliency_histogram(
    counts: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    values: ArrayLike | None = None,
    settings: HistogramSettings | None = None,
) -> Figure:
    """Draw the number of pixels in each bin on a log scale, the share in % over each bin.

    Args:
        counts: ten whole numbers, as :func:`saliency_counts` gives them.
        values: in their place the saliency itself, an array of any shape in [0, 1]; NaN left out.
        settings: title, the paper's shares and tau.

    Returns:
        Figure with one axes.

    Raises:
        InputError: a ValueError in one line: there is nothing to count, or a value is out of range.
        ValueError: not exactly one of counts and values is given, or counts are not ten whole numbers of at least 0.
    """
    settings = settings or HistogramSettings()
    if (counts is None) == (values is None):
        msg = "a histogram is drawn from counts or from values, give one of them"
        raise ValueError(msg)
    pixels = _checked(counts) if counts is not None else saliency_counts(np.asarray(values))
    lost = 0 if values is None else int(np.isnan(np.asarray(values)).sum())
    if pixels.sum() == 0:
        raise InputError("no saliency value to count", remedy="there is nothing to draw without them")
    figure = new_figure(9.2, 4.6, title=settings.title)
    axes = figure.add_subplot()
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    axes.bar(middles, pixels, 1 / BINS, color=BLUE, edgecolor="white", linewidth=1.0, gid="counts")
    shares = 100 * pixels / pixels.sum()
    for middle, count, share in zip(middles, pixels, shares, strict=True):
        axes.text(middle, max(count, 1) * 1.15, _share(share), ha="center", va="bottom", fontsize=8)
    if settings.paper:
        bins = sorted(settings.paper)
        heights = [settings.paper[number] / 100 * pixels.sum() for number in bins]
        style: dict[str, Any] = {"marker": "D", "facecolor": "white", "edgecolor": BLACK, "s": 34, "zorder": 4}
        # On a bar's left shoulder, where it hides no number.
        axes.scatter(middles[bins] - 0.041, heights, label="the paper's share on TI", gid="paper", **style)
    if settings.threshold is not None:
        label = f"threshold tau = {settings.threshold:g}"
        axes.axvline(settings.threshold, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
    if settings.paper or settings.threshold is not None:
        legend_above(axes)
    axes.set_yscale("log")
    axes.set(xlabel="saliency (bins of 0.1)", ylabel="pixels (log scale)", xlim=(0, 1), xticks=EDGES)
    axes.set_ylim(0.7, pixels.max() * 4)
    axes.grid(axis="y", alpha=0.3)
    write_caption(
        figure,
        [
            f"Over each bin its share of the {pixels.sum():,} pixels.",
            f"Values that are not a number are left out: {lost:,}." if lost else "",
        ],
    )
    return figure


def _checked(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.asarray(counts)
    if found.shape != (BINS,) or not np.issubdtype(found.dtype, np.integer) or (found < 0).any():
        msg = f"counts are {BINS} whole numbers of at least 0, one a bin of 0.1, got {found.tolist()}"
        raise ValueError(msg)
    return found.astype(np.int64)


def _share(share: float) -> str:
    return "0 %" if share == 0 else "< 0.01 %" if share < 0.005 else f"{share:.2f} %"

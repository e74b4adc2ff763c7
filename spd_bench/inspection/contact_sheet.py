"""The contact sheet: a row of slices for each case, with the target's contour and the points drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from spd_bench.inspection.tiles import ROLES, Tile
from spd_bench.storage import atomic_path

# Okabe and Ito's colours that people with any colour vision tell apart; the marks differ in shape as well.
CONTOUR, INSIDE, OUTSIDE = "#F0E442", "#009E73", "#D55E00"
_DARK_HALO = [withStroke(linewidth=2.0, foreground="black")]
_CELL, _CAPTION, _GAP, _HEAD, _LEFT = 2.4, 0.36, 0.1, 1.15, 0.12  # inches
_LEGEND, _TITLE_LETTER, _SUBTITLE_LETTER = 8.0, 0.15, 0.066  # inches that the legend and a letter are wide
_DPI = 110
_SCALES = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True, kw_only=True)
class SheetText:
    """What is written above the tiles.

    Attributes:
        title: one line, large.
        subtitle: one line below it.
        prompted: whether the legend explains points.
    """

    title: str
    subtitle: str
    prompted: bool


def contact_sheet(rows: Sequence[Sequence[Tile]], text: SheetText) -> Figure:
    """Draw the sheet: one row a case, one column a role; roles that no case has are left out.

    Every tile is one axes with the gid ``<case>/<role>``. Where a case has no slice of a role, a few words say
    so in place of a picture.
    """
    roles = [role for role in ROLES if any(tile.role == role for row in rows for tile in row)]
    width = 2 * _LEFT + len(roles) * _CELL + (len(roles) - 1) * _GAP
    heights = [_row_height(row) for row in rows]
    height = _HEAD + sum(heights) + len(rows) * (_CAPTION + _GAP)
    width = max(width, _LEGEND, len(text.title) * _TITLE_LETTER, len(text.subtitle) * _SUBTITLE_LETTER)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _write_head(figure, text, roles)
    top = height - _HEAD
    for row, cell in zip(rows, heights, strict=True):
        tiles = {tile.role: tile for tile in row}
        for column, role in enumerate(roles):
            left = _LEFT + column * (_CELL + _GAP)
            if role in tiles:
                tile = tiles[role]
                box = (left / width, (top - cell) / height, _CELL / width, cell / height)
                draw_tile(figure.add_axes(box, gid=f"{tile.case}/{role}"), tile)
                _caption(figure, tile, left, top - min(cell, _tile_height(tile)))
            else:
                _absent(figure, absence(role, row), left + _CELL / 2, top - cell / 2)
        top -= cell + _CAPTION + _GAP
    return figure


def save_sheet(path: Path, figure: Figure) -> None:
    """Write the sheet as PNG, atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def draw_tile(axes: Axes, tile: Tile) -> None:
    """Draw one slice: image, contour along the pixels' borders, points, scale bar."""
    height, width = tile.pixel
    low, high = tile.window
    axes.imshow(tile.image, cmap="gray", vmin=low, vmax=high, aspect=height / width, interpolation="antialiased")
    lines = LineCollection(list(outline(tile.mask)), colors=CONTOUR, linewidths=1.1, capstyle="round")
    axes.add_collection(lines)
    if tile.points is not None:
        # Smaller marks on a whole slice, where a small target would vanish beneath them.
        size = 20.0 if tile.role == "whole" else 30.0
        for points, colour, marker in (
            (tile.points[tile.inside], INSIDE, "o"),
            (tile.points[~tile.inside], OUTSIDE, "X"),
        ):
            axes.scatter(
                points[:, 1],
                points[:, 0],
                s=size,
                c=colour,
                marker=marker,
                edgecolors="white",
                linewidths=0.6,
                zorder=3,
            )
    if tile.frame is not None:
        top, bottom, left, right = tile.frame
        box = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top)
        box.set(fill=False, edgecolor="white", linestyle="--", linewidth=0.8)
        axes.add_patch(box)
    top, bottom, left, right = tile.crop
    axes.set_xlim(left - 0.5, right - 0.5)
    axes.set_ylim(bottom - 0.5, top - 0.5)
    axes.set_anchor("N")
    axes.set_axis_off()
    _scale_bar(axes, (right - left) * width, width)
    _write_sides(axes, tile.sides)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The borders between target and the rest as segments (N, 2, 2), each end (x, y) at a pixel's corner."""
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    horizontal = np.stack([np.stack([columns, rows], 1), np.stack([columns + 1, rows], 1)], 1)
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    vertical = np.stack([np.stack([columns, rows], 1), np.stack([columns, rows + 1], 1)], 1)
    return np.concatenate([horizontal, vertical]) - 0.5


def caption(tile: Tile) -> str:
    """Two lines: the case and what is special; the slice and its points."""
    if tile.points is None:
        points = "no prompts"
    else:
        points = f"points {int(tile.inside.sum())} in, {int((~tile.inside).sum())} out"
    name = tile.case if len(tile.case) <= 34 else f"{tile.case[:16]}...{tile.case[-15:]}"
    note = f" ({tile.note})" if tile.note else ""
    return f"{name}{note}\nslice {tile.index} of 0..{tile.depth - 1}, {points}"


def absence(role: str, row: Sequence[Tile]) -> str:
    """Why a case has no tile of this role, in words."""
    if not any(tile.mask.any() for tile in row):
        return "no target in this case"
    if role in ("missed", "stray", "overrun") and all(tile.points is None for tile in row):
        return "no prompts"
    return ROLES[role][1]


def _row_height(row: Sequence[Tile]) -> float:
    """Inches of a row: its tallest tile, within limits that keep odd slices from bursting the page."""
    return float(np.clip(max(_tile_height(tile) for tile in row), 0.4 * _CELL, 1.4 * _CELL))


def _tile_height(tile: Tile) -> float:
    """Inches that a tile is high when it is as wide as its column."""
    top, bottom, left, right = tile.crop
    return _CELL * (bottom - top) * tile.pixel[0] / ((right - left) * tile.pixel[1])


def _scale_bar(axes: Axes, field: float, pixel: float) -> None:
    """A bar of a round number of mm, about a quarter of the field wide."""
    length = max([scale for scale in _SCALES if scale <= field / 3] or [_SCALES[0]])
    end, share = 0.96, length / field
    bar = Line2D([end - share, end], [0.045, 0.045], transform=axes.transAxes, color="white", linewidth=2)
    bar.set_path_effects([withStroke(linewidth=3.5, foreground="black")])
    axes.add_line(bar)
    label = axes.text(end - share / 2, 0.065, f"{length} mm", transform=axes.transAxes, color="white", fontsize=6.5)
    label.set(ha="center", va="bottom", path_effects=_DARK_HALO)


def _write_sides(axes: Axes, sides: tuple[str, str]) -> None:
    for (x, y), side in zip(((0.5, 0.98), (0.02, 0.5)), sides, strict=True):
        text = axes.text(x, y, side, transform=axes.transAxes, color="white", fontsize=7)
        text.set(ha="center" if x == 0.5 else "left", va="top" if x == 0.5 else "center", path_effects=_DARK_HALO)


def _caption(figure: Figure, tile: Tile, left: float, bottom: float) -> None:
    width, height = figure.get_size_inches()
    figure.text(left / width, (bottom - 0.04) / height, caption(tile), fontsize=7.5, va="top", linespacing=1.25)


def _absent(figure: Figure, why: str, x: float, y: float) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, why, fontsize=8, color="0.5", ha="center", va="center")


def _mark(colour: str, marker: str, label: str) -> Line2D:
    return Line2D(
        [], [], linestyle="none", color=colour, marker=marker, markersize=7, markeredgecolor="0.3", label=label
    )


def _write_head(figure: Figure, text: SheetText, roles: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    left = _LEFT / width
    figure.text(left, 1 - 0.12 / height, text.title, fontsize=13, fontweight="bold", va="top")
    figure.text(left, 1 - 0.38 / height, text.subtitle, fontsize=8.5, va="top", color="0.25")
    handles = [Line2D([], [], color=CONTOUR, linewidth=2.5, label="border of the target")]
    if text.prompted:
        handles += [_mark(INSIDE, "o", "point inside the target"), _mark(OUTSIDE, "X", "point outside the target")]
    if "zoomed" in roles:
        handles.append(Line2D([], [], color="0.5", linestyle="--", linewidth=1, label="part shown zoomed"))
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left, 1 - 0.56 / height),
        ncols=len(handles),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.6,
    )
    for column, role in enumerate(roles):
        x = (_LEFT + column * (_CELL + _GAP)) / width
        figure.text(x, 1 - (_HEAD - 0.06) / height, ROLES[role][0], fontsize=8.5, fontweight="bold", va="bottom")

"""What all figures share: colours, fonts, how methods are told apart, the caption, and how a figure is written."""

from __future__ import annotations

import contextlib
import functools
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spd_bench.storage import atomic_path

P = ParamSpec("P")

# Okabe and Ito's colours that people with any colour vision tell apart; marks differ in shape or hatch as well. Their
# yellow is left out: thin yellow lines vanish on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
PALE, BAND = "#C9E2F2", "#ECECEC"
HIGHLIGHTED = "spd"
"""The method that figures bring out where nothing else is asked for."""
DICE_TITLES: Mapping[str, str] = {
    "average_dice": "Average Dice",
    "volumetric_dice": "Volumetric Dice",
    "foreground_dice": "Foreground Dice",
}
"""Names of the Dice columns and metrics in words."""

_DPI = 120
_LETTERS_PER_INCH = 16
_OTHER_COLOURS = (BLUE, ORANGE, GREEN, BLACK, SKY, PURPLE)
_OTHER_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h", "d", "8")
_OTHER_LINES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_SETTINGS: Any = {
    # matplotlib brings this font along, so that a figure has the same letters on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.h_pad": 0.07,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "spd_bench",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one method is drawn among others.

    Attributes:
        colour: of its line and marks.
        marker: matplotlib's shape of its marks.
        line: matplotlib's style of its line.
        width: of its line, in points.
    """

    colour: str
    marker: str
    line: Any
    width: float


@contextlib.contextmanager
def _house_style() -> Iterator[None]:
    """Matplotlib's defaults with the house's settings on them: nnU-Net's logger leaves seaborn's, in huge letters."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the house's fonts and lines, and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _house_style():
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float, *, title: str) -> Figure:
    """An empty figure of so many inches with a title, without pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(_wrapped(title, width * 0.62), fontsize=12)
    return figure


def method_looks(methods: Sequence[str], highlight: str) -> dict[str, Look]:
    """A look for each method; no two of them share both a shape and a kind of line up to 50 methods."""
    looks = {}
    others = [method for method in methods if method != highlight]
    for number, method in enumerate(others):
        looks[method] = Look(
            colour=_OTHER_COLOURS[number % len(_OTHER_COLOURS)],
            marker=_OTHER_MARKERS[number % len(_OTHER_MARKERS)],
            line=_OTHER_LINES[number % len(_OTHER_LINES)],
            width=1.2,
        )
    if highlight in methods:
        looks[highlight] = Look(colour=VERMILLION, marker="o", line="-", width=2.6)
    return looks


def name_methods(axes: Axes, methods: Sequence[str], titles: Mapping[str, str], highlight: str) -> None:
    """Put one method at each whole number of the horizontal axis; the highlighted one's title is bold on a band."""
    slanted = len(methods) > 5
    axes.set_xticks(range(len(methods)), [titles.get(method, method) for method in methods])
    for method, label in zip(methods, axes.get_xticklabels(), strict=True):
        if slanted:
            label.set(rotation=35, ha="right", rotation_mode="anchor")
        if method == highlight:
            label.set_fontweight("bold")
    if highlight in methods:
        place = list(methods).index(highlight)
        axes.axvspan(place - 0.5, place + 0.5, color=BAND, zorder=0, linewidth=0)
    axes.set_xlim(-0.5, len(methods) - 0.5)


def legend_above(axes: Axes, handles: Sequence[Artist] = ()) -> None:
    """Put the legend above the right end of an axes, below the figure's title; no handles take what it shows."""
    shown = list(handles) or axes.get_legend_handles_labels()[0]
    labels = [str(handle.get_label()) for handle in shown]
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    axes.legend(shown, labels, ncols=max(1, len(labels)), **place)


def legend_beside(axes: Axes, handles: Sequence[Artist], **spacing: Any) -> None:
    """Put the legend to the right of an axes, where it hides nothing."""
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0), "borderaxespad": 0.0}
    axes.legend(list(handles), [str(handle.get_label()) for handle in handles], **place, **spacing)


def write_caption(figure: Figure, sentences: Sequence[str]) -> None:
    """Write what a reader has to know below the figure; empty sentences are left out."""
    text = _wrapped(" ".join(sentence for sentence in sentences if sentence), figure.get_figwidth())
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color="#333333")


def caption_of(figure: Figure) -> str:
    """The caption below a figure in one line, for a page that shows it."""
    return " ".join(figure.get_supxlabel().split())


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.svg``, each whole or not at all, the same bytes for the same figure.

    Returns:
        The two paths.

    Raises:
        InputError: the folder cannot be written to.
        ValueError: the name is empty or leads to another folder.
    """
    if not name or Path(name).name != name:
        msg = f"a figure's name is a plain file name without a folder, got {name!r}"
        raise ValueError(msg)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    # The date would make every file new.
    metadata: list[dict[str, Any]] = [{}, {"Date": None}]
    with _house_style():
        for path, facts in zip(paths, metadata, strict=True):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=_DPI, metadata=facts)
    return paths


def _wrapped(text: str, inches: float) -> str:
    return textwrap.fill(text, max(20, int(inches * _LETTERS_PER_INCH)))

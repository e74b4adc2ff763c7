"""The figures of a comparison as they stand inside the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from spd_bench.report.encoding import data_uri

# What the comparison's own figures show, by the first word of their names.
_SHOWN = {
    "dice": "Dice of every method on every dataset",
    "patients": "Volumetric Dice of every patient and method",
    "ranking": "How often each method takes each rank when patients are drawn anew",
    "significance": "Which methods are significantly better than which others",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture inside the page.

    Attributes:
        title: what it shows, or else its file's name in words; also what is read out instead of the picture.
        address: the whole file as a ``data:`` address.
        width: in pixels.
        height: in pixels.
    """

    title: str
    address: str
    width: int
    height: int


def read_figures(folder: Path, *, room: int) -> tuple[list[Figure], list[str]]:
    """The PNG files of a folder, sorted by name; a folder that is not there has none.

    Args:
        folder: where the figures are.
        room: bytes that all of them together may take on the page.

    Returns:
        The figures, and a sentence for each file that is no PNG image or found no room.
    """
    figures: list[Figure] = []
    left_out = []
    for path in sorted(folder.glob("*.png")):
        if path.name.startswith("."):
            continue
        try:
            figure = _read(path)
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's words for a broken file
            left_out.append(f"figure {path.name}: not readable as PNG ({type(error).__name__})")
            continue
        if _bytes([*figures, figure]) > room:
            left_out.append(f"figure {path.name}: too large for this page, see the folder {folder.name}")
        else:
            figures.append(figure)
    return figures, left_out


def _read(path: Path) -> Figure:
    with Image.open(path, formats=["PNG"]) as image:
        width, height = image.size
        image.load()
    return Figure(
        title=_title(path.stem),
        address=data_uri(path.read_bytes(), "image/png"),
        width=width,
        height=height,
    )


def _title(name: str) -> str:
    kind, _, dataset = name.partition("_")
    if kind not in _SHOWN:
        return name.replace("_", " ").strip()
    return f"{_SHOWN[kind]}: {dataset}" if dataset else _SHOWN[kind]


def _bytes(figures: Sequence[Figure]) -> int:
    return sum(len(figure.address) for figure in figures)

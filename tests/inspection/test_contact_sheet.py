from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import ndimage

from spd_bench.inspection.contact_sheet import (
    CONTOUR,
    INSIDE,
    OUTSIDE,
    SheetText,
    absence,
    caption,
    contact_sheet,
    outline,
    save_sheet,
)
from spd_bench.inspection.tiles import CaseSlices, Tile, case_tiles

TEXT = SheetText(title="Dataset901_Tiny", subtitle="MR", prompted=True)


def _tiles(
    case: str = "a", *, points: list[list[int]] | None = None, pixel: tuple[float, float] = (1.0, 1.0), depth: int = 4
) -> list[Tile]:
    """Target in rows 30..49 and columns 20..39 of slices 1 and 2 of 100 x 80, brighter than what surrounds it."""
    mask = np.zeros((depth, 100, 80), bool)
    mask[1:3, 30:50, 20:40] = True
    mask[2, 49] = False
    slices = CaseSlices(
        case=case,
        image=np.where(mask, 100.0, 40.0),
        mask=mask,
        points=None if points is None else np.array(points, np.int64).reshape(-1, 3),
        pixel=pixel,
        window=(0.0, 120.0),
        top="A",
        left="R",
    )
    return case_tiles(slices)


def _rendered(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255.0


def _axes(figure: Figure, gid: str) -> Axes:
    [found] = [axes for axes in figure.axes if axes.get_gid() == gid]
    return found


def _colour_at(figure: Figure, gid: str, row: float, column: float) -> np.ndarray:
    image = _rendered(figure)
    x, y = _axes(figure, gid).transData.transform((column, row))
    return image[len(image) - 1 - int(y), int(x)]


def _is_marked(figure: Figure, gid: str, row: float, column: float, colour: str) -> bool:
    """Whether a pixel of this colour, which borders and antialiasing may thin out, lies within two of the place."""
    image = _rendered(figure)
    x, y = _axes(figure, gid).transData.transform((column, row))
    top, left = len(image) - 1 - int(y), int(x)
    return _has(image[top - 2 : top + 3, left - 2 : left + 3], colour)


def _has(image: np.ndarray, colour: str) -> bool:
    return bool((np.abs(image - to_rgb(colour)).max(axis=-1) < 0.02).any())


def test_points_lie_where_they_belong_in_the_colour_of_their_kind() -> None:
    figure = contact_sheet([_tiles(points=[[1, 35, 25], [1, 60, 50], [3, 10, 70]])], TEXT)
    for role in ("whole", "zoomed"):
        assert _is_marked(figure, f"a/{role}", 35, 25, INSIDE)
        assert _is_marked(figure, f"a/{role}", 60, 50, OUTSIDE)
        assert not _is_marked(figure, f"a/{role}", 25, 35, INSIDE)
        assert not _is_marked(figure, f"a/{role}", 35, 25, OUTSIDE)
    assert _is_marked(figure, "a/overrun", 10, 70, OUTSIDE)


def test_the_contour_runs_along_the_target_s_border_and_the_image_shows_within() -> None:
    figure = contact_sheet([_tiles()], TEXT)
    for row, column in ((29.5, 30.0), (49.5, 30.0), (40.0, 19.5), (40.0, 39.5)):
        red, green, blue = _colour_at(figure, "a/zoomed", row, column)
        assert min(red, green) > blue + 0.2
    assert _colour_at(figure, "a/zoomed", 40, 30) == pytest.approx([100 / 120] * 3, abs=0.02)
    assert _colour_at(figure, "a/zoomed", 40, 42) == pytest.approx([40 / 120] * 3, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_the_outline_is_every_border_between_target_and_the_rest(seed: int) -> None:
    mask = ndimage.binary_dilation(np.random.default_rng(seed).random((9, 11)) < 0.1)
    mask[0, :3] = True
    expected = set()
    for row, column in np.argwhere(mask):
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            y, x = row + down, column + right
            if not (0 <= y < 9 and 0 <= x < 11 and mask[y, x]):
                expected.add((column + right / 2, row + down / 2))
    segments = outline(mask)
    assert {tuple(middle) for middle in segments.mean(axis=1)} == expected
    assert len(segments) == len(expected)
    np.testing.assert_allclose(np.abs(segments[:, 1] - segments[:, 0]).sum(axis=1), 1.0)


def test_an_empty_mask_has_no_outline() -> None:
    assert outline(np.zeros((3, 4), bool)).shape == (0, 2, 2)


def test_every_tile_is_one_axes_and_no_axes_is_empty() -> None:
    rows = [_tiles("a", points=[[1, 35, 25], [0, 1, 1]]), _tiles("b", points=[[1, 35, 25], [2, 35, 25]])]
    figure = contact_sheet(rows, TEXT)
    assert len(figure.axes) == sum(map(len, rows))
    assert sorted(str(axes.get_gid()) for axes in figure.axes) == sorted(
        f"{t.case}/{t.role}" for row in rows for t in row
    )
    assert all(axes.images for axes in figure.axes)
    # Case b has no point on a slice without target: words stand there, at the height of its row.
    [words] = [text for text in figure.texts if text.get_text() == "no point on a slice\nwithout target"]
    box = _axes(figure, "b/whole").get_position(original=True)
    assert box.y0 < words.get_position()[1] < box.y1


def test_rows_and_columns_do_not_overlap() -> None:
    figure = contact_sheet([_tiles("a"), _tiles("b", pixel=(3.0, 1.0))], TEXT)
    figure.canvas.draw()
    boxes = [axes.get_position() for axes in figure.axes]
    for number, one in enumerate(boxes):
        assert 0 <= one.x0 < one.x1 <= 1
        assert 0 <= one.y0 < one.y1 <= 1
        for other in boxes[number + 1 :]:
            apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
            assert apart


def test_no_text_runs_off_the_page() -> None:
    text = SheetText(title="Dataset901_" + "W" * 60, subtitle="a long list of labels " * 12, prompted=True)
    figure = contact_sheet([_tiles("a", points=[[1, 35, 25]])], text)
    figure.canvas.draw()
    page = figure.bbox
    boxes = [written.get_window_extent() for written in (*figure.texts, *figure.legends)]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (0.5, 1.5), (2.0, 1.0)])
def test_the_aspect_is_that_of_millimetres(pixel: tuple[float, float]) -> None:
    figure = contact_sheet([_tiles(pixel=pixel)], TEXT)
    figure.canvas.draw()
    box = _axes(figure, "a/whole").get_window_extent()
    assert box.height / box.width == pytest.approx(100 * pixel[0] / (80 * pixel[1]), rel=0.02)


def test_every_tile_is_captioned_with_case_slice_and_points() -> None:
    tiles = _tiles("case_7", points=[[1, 35, 25], [1, 36, 25], [1, 60, 50]])
    figure = contact_sheet([tiles], TEXT)
    shown = [text.get_text() for text in figure.texts]
    assert caption(tiles[0]) == "case_7\nslice 1 of 0..3, points 2 in, 1 out"
    assert all(caption(tile) in shown for tile in tiles)
    assert caption(_tiles()[0]).endswith("no prompts")
    assert len(caption(_tiles("long" * 30)[0]).splitlines()[0]) <= 34


def test_the_legend_speaks_of_points_only_where_there_are_prompts() -> None:
    def legend(prompted: bool) -> list[str]:
        text = SheetText(title="", subtitle="", prompted=prompted)
        [found] = contact_sheet([_tiles()], text).legends
        return [entry.get_text() for entry in found.get_texts()]

    assert "point inside the target" in legend(prompted=True)
    assert legend(prompted=False) == ["border of the target", "part shown zoomed"]


def test_a_case_without_target_says_so() -> None:
    slices = CaseSlices(
        case="a",
        image=np.ones((2, 9, 9)),
        mask=np.zeros((2, 9, 9), bool),
        points=None,
        pixel=(1.0, 1.0),
        window=(0.0, 1.0),
        top="",
        left="",
    )
    row = case_tiles(slices)
    assert caption(row[0]).startswith("a (no target in this case)")
    assert {absence(role, row) for role in ("zoomed", "end", "missed")} == {"no target in this case"}
    assert absence("missed", _tiles()) == "no prompts"


def test_the_saved_picture_holds_contour_and_points(tmp_path: Path) -> None:
    save_sheet(tmp_path / "sheet.png", contact_sheet([_tiles(points=[[1, 35, 25], [1, 60, 50]])], TEXT))
    picture = imread(tmp_path / "sheet.png")[..., :3]
    assert all(_has(picture, colour) for colour in (CONTOUR, INSIDE, OUTSIDE))
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]

from __future__ import annotations

import numpy as np
import pytest

from spd_bench.inspection.tiles import CaseSlices, case_tiles, choose_slices, evenly, zoom_crop


def _mask(*pixels: int) -> np.ndarray:
    """Slices of 12 x 10 with so many target pixels each, from the upper left corner on."""
    mask = np.zeros((len(pixels), 120), bool)
    for index, count in enumerate(pixels):
        mask[index, :count] = True
    return mask.reshape(-1, 12, 10)


INSIDE, OUTSIDE = (0, 0), (11, 9)


def _points(*points: tuple[int, tuple[int, int]]) -> np.ndarray:
    return np.array([(index, *place) for index, place in points], np.int64).reshape(-1, 3)


def test_slices_are_chosen_by_their_roles() -> None:
    mask = _mask(0, 3, 9, 8, 7, 2, 0, 0)
    points = _points((1, INSIDE), (2, INSIDE), (4, INSIDE), (4, OUTSIDE), (5, OUTSIDE), (5, OUTSIDE), (6, OUTSIDE))
    assert choose_slices(mask, points) == {"whole": 2, "end": 1, "missed": 3, "stray": 5, "overrun": 6}


def test_no_slice_is_shown_in_two_roles() -> None:
    # The largest slice is the first one, has no point, and the only stray point lies on the last.
    assert choose_slices(_mask(9, 3), _points((1, OUTSIDE))) == {"whole": 0, "end": 1}


def test_without_prompts_nothing_is_missed() -> None:
    assert choose_slices(_mask(0, 3, 9), None) == {"whole": 2, "end": 1}
    assert choose_slices(_mask(0, 3, 9, 4), _points()) == {"whole": 2, "end": 1}


def test_without_target_the_slice_with_most_points_or_the_middle_is_shown() -> None:
    assert choose_slices(_mask(0, 0, 0, 0), _points((3, INSIDE), (0, INSIDE), (3, OUTSIDE))) == {"whole": 3}
    assert choose_slices(_mask(0, 0, 0, 0, 0), None) == {"whole": 2}


def test_a_lone_target_slice_has_no_other_end() -> None:
    assert choose_slices(_mask(0, 5, 0), None) == {"whole": 1}


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, [*range(10)]), (99, [*range(10)])]
)
def test_cases_are_spread_evenly(count: int, chosen: list[int]) -> None:
    assert evenly(range(10), count) == chosen


@pytest.mark.parametrize("seed", range(20))
def test_a_crop_holds_target_and_points_and_lies_in_the_slice(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = np.zeros((90, 130), bool)
    row, column = generator.integers(0, (80, 120))
    mask[row : row + 7, column : column + 5] = True
    points = generator.integers(0, mask.shape, (seed % 3, 2))
    pixel = (1.5, 0.5)
    top, bottom, left, right = zoom_crop(mask, points, pixel)
    assert 0 <= top < bottom <= 90
    assert 0 <= left < right <= 130
    cropped = mask[top:bottom, left:right]
    assert cropped.sum() == mask.sum()
    assert all(top <= y < bottom and left <= x < right for y, x in points)
    height, width = (bottom - top) * pixel[0], (right - left) * pixel[1]
    assert height == pytest.approx(width, abs=1.5) or width == 130 * pixel[1] or bottom - top == 90


def test_a_slice_without_target_and_points_is_shown_whole() -> None:
    assert zoom_crop(np.zeros((7, 9), bool), None, (1.0, 1.0)) == (0, 7, 0, 9)


def _slices(mask: np.ndarray, points: np.ndarray | None) -> CaseSlices:
    image = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    return CaseSlices(
        case="a", image=image, mask=mask, points=points, pixel=(1.0, 1.0), window=(0.0, 1.0), top="A", left="R"
    )


def test_a_small_target_is_shown_whole_and_zoomed() -> None:
    mask = np.zeros((3, 100, 100), bool)
    mask[1, 40:44, 60:63] = True
    whole, zoomed = case_tiles(_slices(mask, _points((1, (41, 61)), (1, (50, 50)), (0, (1, 1)))))[:2]
    assert (whole.role, whole.crop, whole.index, whole.depth) == ("whole", (0, 100, 0, 100), 1, 3)
    assert (zoomed.role, zoomed.crop, zoomed.index) == ("zoomed", whole.frame, 1)
    assert whole.points is not None
    assert whole.points.tolist() == [[41, 61], [50, 50]]
    assert whole.inside.tolist() == [True, False]
    np.testing.assert_array_equal(whole.image, np.arange(10000, 20000, dtype=np.float32).reshape(100, 100))


def test_a_large_target_is_not_shown_twice() -> None:
    mask = np.ones((1, 50, 50), bool)
    [tile] = case_tiles(_slices(mask, None))
    assert (tile.role, tile.frame, tile.points) == ("whole", None, None)


def test_notes_say_which_end_it_is_and_that_there_is_no_target() -> None:
    assert [tile.note for tile in case_tiles(_slices(_mask(3, 9), None)) if tile.role == "end"] == ["first with target"]
    assert [tile.note for tile in case_tiles(_slices(_mask(9, 3), None)) if tile.role == "end"] == ["last with target"]
    assert [tile.note for tile in case_tiles(_slices(_mask(0, 0), None))] == ["no target in this case"]


def test_tiles_do_not_keep_the_volume_in_memory() -> None:
    slices = _slices(_mask(3, 9), None)
    assert not any(np.shares_memory(tile.image, slices.image) for tile in case_tiles(slices))

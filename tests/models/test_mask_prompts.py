"""The prompts of a mask, against the rules written out pixel by pixel."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spd_bench.models.mask_prompts import prompts_of_mask

SIDE = 16
PIXELS = list(itertools.product(range(SIDE), range(SIDE)))


def _blobs(seed: int, share: float) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 1.0)
    return field > np.quantile(field, 1 - share)


def _distances(mask: np.ndarray) -> dict[tuple[int, int], float]:
    """From every pixel of the mask to the nearest one outside it, in row-major order."""
    outside = [pixel for pixel in PIXELS if not mask[pixel]]
    return {pixel: min(math.dist(pixel, other) for other in outside) if mask[pixel] else 0.0 for pixel in PIXELS}


def _farthest(distances: dict[tuple[int, int], float]) -> list[int]:
    row, column = max(distances, key=lambda pixel: distances[pixel])
    return [column, row]


MASKS = pytest.mark.parametrize("mask", [_blobs(seed, share) for seed in range(6) for share in (0.05, 0.3, 0.8)])


@MASKS
def test_points_and_box(mask: np.ndarray) -> None:
    prompts = prompts_of_mask(mask, side=SIDE // 4)
    inside = [pixel for pixel in PIXELS if mask[pixel]]
    top, bottom = min(row for row, _ in inside), max(row for row, _ in inside)
    left, right = min(column for _, column in inside), max(column for _, column in inside)
    outside = {
        (row, column): value if top <= row < bottom and left <= column < right else 0.0
        for (row, column), value in _distances(~mask).items()
    }
    assert prompts.points.tolist() == [_farthest(_distances(mask)), _farthest(outside)]
    assert prompts.box.tolist() == [left, top, right, bottom]


@MASKS
def test_the_mask_prompt_is_30_inside_and_weaker_towards_the_border(mask: np.ndarray) -> None:
    """Bilinear sampling at a quarter of the size takes the mean of the four pixels in the middle of each 4 x 4."""
    depth = _distances(mask)
    deepest, area = max(depth.values()), max(mask.sum() / 4, 1)
    weights = np.array([math.exp(-((depth[p] - deepest) ** 2) / area) if mask[p] else 0.0 for p in PIXELS])
    expected = np.empty((4, 4))
    for row, column in itertools.product(range(4), range(4)):
        middle = np.s_[4 * row + 1 : 4 * row + 3, 4 * column + 1 : 4 * column + 3]
        weight = weights.reshape(SIDE, SIDE)[middle].mean()
        expected[row, column] = (30 if mask[middle].sum() > 2 else -30) * (weight if weight > 0 else 1)
    np.testing.assert_allclose(prompts_of_mask(mask, side=4).mask.numpy(), expected, rtol=1e-5)


def test_far_from_the_mask_the_prompt_is_full_strength() -> None:
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    prompt = prompts_of_mask(mask, side=8).mask
    assert prompt[0, 0] == -30
    assert prompt[4, 4] > prompt[2, 2] > 0
    assert prompt.max() <= 30


def test_a_mask_that_fills_its_box_gets_the_image_s_corner_as_its_negative_point() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[5:8, 6:11] = True
    prompts = prompts_of_mask(mask, side=4)
    assert prompts.points[1].tolist() == [0, 0]
    assert prompts.box.tolist() == [6, 5, 10, 7]


@pytest.mark.parametrize("mask", [np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)])
def test_a_mask_without_inside_or_outside_has_no_prompts(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="target and background"):
        prompts_of_mask(mask, side=4)

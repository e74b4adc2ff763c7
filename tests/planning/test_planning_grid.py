from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric import dc
from PIL import Image
from scipy.ndimage import map_coordinates

from spd_bench.planning.grid import (
    masks_on_own_grid,
    points_on_slices,
    resize_images,
    resize_masks,
    voxels_of_points,
)

TRANSPOSES = list(permutations(range(3)))
SIZES = st.integers(1, 40)


def _pixel(index: int, length: int, resized: int) -> int:
    """The pixel of ``resized`` that holds the centre of pixel ``index`` of ``length``, in whole numbers."""
    return (2 * index + 1) * resized // (2 * length)


def _nearest(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = [_pixel(row, height, mask.shape[-2]) for row in range(height)]
    columns = [_pixel(column, width, mask.shape[-1]) for column in range(width)]
    return mask[..., rows, :][..., columns]


def _bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = (np.arange(height) + 0.5) * image.shape[0] / height - 0.5
    columns = (np.arange(width) + 0.5) * image.shape[1] / width - 0.5
    return map_coordinates(image, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")


@given(SIZES, SIZES, st.integers(0, 40), st.integers(0, 1000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_enlarged_mask_comes_back_unchanged(height: int, width: int, more: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (2, height, width))
    side = max(height, width) + more
    np.testing.assert_array_equal(resize_masks(resize_masks(mask, (side, side)), (height, width)), mask)


@given(SIZES, SIZES, SIZES, SIZES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_mask_takes_the_pixel_that_holds_each_centre(height: int, width: int, rows: int, columns: int) -> None:
    mask = np.random.default_rng(0).integers(0, 100, (height, width))
    np.testing.assert_array_equal(resize_masks(mask, (rows, columns)), _nearest(mask, rows, columns))


@pytest.mark.parametrize(("own", "resized"), [((24, 20), (32, 32)), ((17, 31), (33, 64)), ((5, 7), (5, 7))])
def test_enlarged_images_are_linear_between_pixel_centres(own: tuple[int, int], resized: tuple[int, int]) -> None:
    images = np.random.default_rng(1).normal(size=(2, 3, *own))
    expected = np.stack([_bilinear(image, *resized) for image in images.reshape(-1, *own)])
    result = resize_images(images, resized)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected.reshape(2, 3, *resized), atol=1e-5)


@pytest.mark.parametrize("resized", [(16, 16), (10, 33), (31, 7)])
def test_images_that_shrink_are_antialiased_as_pillow_does(resized: tuple[int, int]) -> None:
    image = np.random.default_rng(2).normal(size=(41, 37)).astype(np.float32)
    expected = Image.fromarray(image).resize(resized[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize_images(image, resized), np.asarray(expected), atol=1e-5)


@pytest.mark.parametrize("transpose", TRANSPOSES)
@pytest.mark.parametrize("resolution", [32, 8])
def test_points_go_to_the_pixel_that_holds_their_voxels_centre(transpose: tuple[int, ...], resolution: int) -> None:
    shape = (6, 24, 20)
    voxels = np.random.default_rng(3).integers(0, shape, (40, 3))
    depth, height, width = (shape[axis] for axis in transpose)
    expected: list[set[tuple[int, int]]] = [set() for _ in range(depth)]
    for voxel in voxels.tolist():
        z, row, column = (voxel[axis] for axis in transpose)
        expected[z].add((_pixel(column, width, resolution), _pixel(row, height, resolution)))

    points = points_on_slices(voxels, shape=shape, transpose=transpose, resolution=resolution)
    assert [found.tolist() for found in points] == [sorted(map(list, pixels)) for pixels in expected]
    assert all(found.shape == (len(found), 2) for found in points)
    assert all(found.dtype == np.int64 for found in points)


@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_a_point_lies_on_its_voxel_in_the_enlarged_mask(transpose: tuple[int, ...]) -> None:
    shape = (6, 24, 20)
    for voxel in np.random.default_rng(4).integers(0, shape, (20, 3)):
        mask = np.zeros(shape, np.int16)
        mask[tuple(voxel)] = 1
        slices = resize_masks(mask.transpose(transpose), (32, 32))
        points = points_on_slices(voxel[None], shape=shape, transpose=transpose, resolution=32)
        [index] = np.flatnonzero([len(found) for found in points])
        [(x, y)] = points[index]
        assert slices[index, y, x] == 1


@pytest.mark.parametrize("transpose", TRANSPOSES)
@pytest.mark.parametrize("resolution", [24, 32, 57])
def test_voxels_come_back_from_enlarged_slices(transpose: tuple[int, ...], resolution: int) -> None:
    shape = (6, 24, 20)
    voxels = np.unique(np.random.default_rng(5).integers(0, shape, (50, 3)), axis=0)
    points = points_on_slices(voxels, shape=shape, transpose=transpose, resolution=resolution)
    back = voxels_of_points(points, shape=shape, transpose=transpose, resolution=resolution)
    np.testing.assert_array_equal(np.unique(back, axis=0), voxels)
    assert len(back) == len(voxels)


def test_no_points_are_no_points_on_any_slice() -> None:
    points = points_on_slices(np.zeros((0, 3), np.int64), shape=(3, 4, 5), transpose=(0, 1, 2), resolution=8)
    assert [found.shape for found in points] == [(0, 2)] * 3
    assert voxels_of_points(points, shape=(3, 4, 5), transpose=(0, 1, 2), resolution=8).shape == (0, 3)


@pytest.mark.parametrize("transpose", TRANSPOSES)
@pytest.mark.parametrize("resolution", [24, 32, 41])
def test_blocky_masks_return_to_their_own_grid(transpose: tuple[int, ...], resolution: int) -> None:
    blocks = np.random.default_rng(6).integers(0, 2, (2, 6, 5))
    mask = np.kron(blocks, np.ones((3, 4, 4), int))
    logits = 10.0 * _nearest(mask.transpose(transpose), resolution, resolution) - 5.0
    result = masks_on_own_grid(logits, shape=mask.shape, transpose=transpose)
    assert result.dtype == np.uint8
    assert result.shape == mask.shape
    assert dc(result, mask) == 1.0


@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 30), st.integers(0, 1000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_mask_returns_from_slices_twice_as_large(height: int, width: int, more: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (2, height, width))
    side = 2 * max(height, width) + more
    logits = 2.0 * _nearest(mask, side, side) - 1.0
    np.testing.assert_array_equal(masks_on_own_grid(logits, shape=mask.shape, transpose=(0, 1, 2)), mask)


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_logits_are_read_between_their_pixel_centres(threshold: float) -> None:
    logits = np.random.default_rng(7).normal(size=(2, 32, 32))
    shape = (40, 2, 23)
    expected = np.stack([_bilinear(slice_logits, 40, 23) for slice_logits in logits]) > threshold
    result = masks_on_own_grid(logits, shape=shape, transpose=(1, 0, 2), threshold=threshold)
    np.testing.assert_array_equal(result, expected.transpose(1, 0, 2))

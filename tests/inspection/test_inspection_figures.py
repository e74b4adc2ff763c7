from __future__ import annotations

import numpy as np
import pytest

from spd_bench.inspection.figures import on_slices, point_figures, target_figures
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import plane_geometry


def _mask(seed: int, shape: tuple[int, int, int] = (4, 5, 6)) -> np.ndarray:
    mask = np.random.default_rng(seed).random(shape) < 0.1
    mask[1] = False
    mask[:, 2] = False
    mask[:, :, 3] = False
    return mask


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_target_figures_are_those_of_a_loop_over_slices(axis: int) -> None:
    mask = _mask(3)
    geometry = VolumeGeometry(shape=mask.shape, spacing=(5.0, 0.5, 2.0))
    found = target_figures(mask, geometry, slice_axis=axis, resolution=64)
    counts = [int(mask.take(index, axis=axis).sum()) for index in range(mask.shape[axis])]
    assert found.slices == mask.shape[axis]
    assert found.target_slices == sum(count > 0 for count in counts)
    assert found.largest_slice == counts.index(max(counts))
    assert found.millilitres == pytest.approx(sum(counts) * 5.0 * 0.5 * 2.0 / 1000)
    assert found.slice_shape == tuple(size for other, size in enumerate(mask.shape) if other != axis)
    assert found.lost_slices == 0


def test_slices_that_resizing_leaves_without_a_pixel_are_counted() -> None:
    mask = np.zeros((4, 64, 64), bool)
    mask[0, 0, 0] = True  # between the centres that 32 pixels take
    mask[1, 1:3, 1:3] = True  # four pixels become one
    mask[2, 1, 1] = True  # survives, but a quarter of a pixel is left
    geometry = VolumeGeometry(shape=mask.shape, spacing=(1.0, 1.0, 1.0))
    assert mask[:, 1::2, 1::2].any(axis=(1, 2)).tolist() == [False, True, True, False]
    assert target_figures(mask, geometry, slice_axis=0, resolution=32).lost_slices == 2
    assert target_figures(mask, geometry, slice_axis=0, resolution=64).lost_slices == 0


def test_an_empty_target_has_no_largest_slice() -> None:
    mask = np.zeros((2, 3, 4), bool)
    geometry = VolumeGeometry(shape=mask.shape, spacing=(1.0, 1.0, 1.0))
    found = target_figures(mask, geometry, slice_axis=0, resolution=32)
    assert (found.target_slices, found.largest_slice, found.millilitres) == (0, None, 0.0)


def test_a_2d_image_has_no_volume() -> None:
    mask = np.ones((1, 3, 4), bool)
    assert target_figures(mask, plane_geometry((3, 4)), slice_axis=0, resolution=32).millilitres is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_point_figures_are_those_of_a_loop_over_points(axis: int) -> None:
    mask = _mask(5)
    voxels = np.random.default_rng(6).integers(0, mask.shape, (12, 3))
    voxels[-2:] = np.argwhere(mask)[:2]
    found = point_figures(mask, voxels, slice_axis=axis, provenance={"reader": "A"})
    with_target = {index for index in range(mask.shape[axis]) if mask.take(index, axis=axis).any()}
    by_slice: dict[int, int] = {}
    for voxel in voxels.tolist():
        by_slice[voxel[axis]] = by_slice.get(voxel[axis], 0) + 1
    quality = found.quality
    assert quality.points == 12
    assert quality.points_inside == sum(bool(mask[tuple(voxel)]) for voxel in voxels.tolist())
    assert quality.points_inside >= 2
    assert quality.target_slices_with_point == len(with_target & by_slice.keys())
    assert quality.empty_slices_with_point == len(by_slice.keys() - with_target)
    assert found.per_slice == tuple(by_slice[index] for index in sorted(by_slice))
    assert found.provenance == {"reader": "A"}


def test_no_points_are_figures_too() -> None:
    found = point_figures(_mask(1), np.zeros((0, 3), np.int64), slice_axis=0, provenance={})
    assert (found.quality.points, found.per_slice) == (0, ())


def test_voxels_on_slices_keep_the_order_of_the_other_axes() -> None:
    assert on_slices(np.array([[7, 8, 9]]), 1).tolist() == [[8, 7, 9]]

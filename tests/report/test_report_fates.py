from __future__ import annotations

import numpy as np
import pytest

from spd_bench.planning.grid import points_on_slices, voxels_of_points
from spd_bench.report.fates import Fate, point_fates


def _brute_force(raw: np.ndarray, consensus: np.ndarray) -> list[tuple[tuple[int, ...], str]]:
    """Fates where every voxel is a pixel of its own."""
    told = [
        (tuple(point), "kept" if any((point == other).all() for other in consensus) else "dropped") for point in raw
    ]
    return told + [(tuple(point), "added") for point in consensus if not any((point == other).all() for other in raw)]


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_fates_agree_with_brute_force(transpose: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(3)
    shape = (3, 4, 5)
    raw, consensus = (np.unique(generator.integers(0, shape, (12, 3)), axis=0) for _ in range(2))
    voxels, fates = point_fates(raw, consensus, shape=shape, transpose=transpose, resolution=60)
    assert list(zip(map(tuple, voxels), map(str, fates), strict=True)) == _brute_force(raw, consensus)
    assert set(fates) == {Fate.KEPT, Fate.DROPPED, Fate.ADDED}


@pytest.mark.parametrize("resolution", [8, 24, 64])
def test_points_that_went_through_the_fixed_size_slices_are_still_known(resolution: int) -> None:
    shape, transpose = (2, 24, 20), (0, 1, 2)
    raw = np.unique(np.random.default_rng(0).integers(0, shape, (20, 3)), axis=0)
    on_slices = points_on_slices(raw, shape=shape, transpose=transpose, resolution=resolution)
    back = voxels_of_points(on_slices, shape=shape, transpose=transpose, resolution=resolution)
    voxels, fates = point_fates(raw, back, shape=shape, transpose=transpose, resolution=resolution)
    np.testing.assert_array_equal(voxels, raw)
    assert set(fates) == {Fate.KEPT}


def test_a_point_of_a_neighbour_is_added_although_it_is_raw_there() -> None:
    raw = np.array([[0, 2, 3]])
    voxels, fates = point_fates(
        raw, np.array([[0, 2, 3], [1, 2, 3]]), shape=(2, 8, 8), transpose=(0, 1, 2), resolution=8
    )
    np.testing.assert_array_equal(voxels, [[0, 2, 3], [1, 2, 3]])
    assert fates == [Fate.KEPT, Fate.ADDED]


def test_without_a_consensus_points_are_as_given() -> None:
    raw = np.array([[0, 2, 3], [1, 1, 1]])
    voxels, fates = point_fates(raw, None, shape=(2, 8, 8), transpose=(0, 1, 2), resolution=8)
    np.testing.assert_array_equal(voxels, raw)
    assert fates == [Fate.GIVEN, Fate.GIVEN]


def test_an_empty_consensus_drops_everything() -> None:
    raw = np.array([[0, 2, 3]])
    _, fates = point_fates(raw, np.zeros((0, 3), np.int64), shape=(2, 8, 8), transpose=(0, 1, 2), resolution=8)
    assert fates == [Fate.DROPPED]

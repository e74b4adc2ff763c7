import numpy as np
import pytest

from spd_bench.prompts.trace_flips import check_flips, flip_voxels
from spd_bench.raw.geometry import VolumeGeometry

GEOMETRY = VolumeGeometry(shape=(12, 60, 40), spacing=(5.0, 1.0, 1.5), origin=(4.0, -9.0, 30.0))


def target_in_a_corner() -> np.ndarray:
    target = np.zeros(GEOMETRY.shape, dtype=bool)
    target[1:3, 5:12, 4:9] = True
    return target


@pytest.mark.parametrize(("flip", "axis"), [("", None), ("x", 2), ("y", 1), ("z", 0)])
def test_the_flip_that_was_made_is_found(flip: str, axis: int | None) -> None:
    target = target_in_a_corner()
    drawn = np.argwhere(np.flip(target, axis)) if axis is not None else np.argwhere(target)
    check = check_flips(drawn.astype(float), target, GEOMETRY)
    assert check.best == flip
    assert check.shares[flip] == 1.0
    assert check.agrees(flip)
    assert check.disagrees("") == bool(flip)


def test_near_is_measured_in_mm_and_not_in_voxels() -> None:
    target = target_in_a_corner()
    # 10 mm are two slices, ten rows or six columns and a bit.
    near, far = [(4, 8, 6), (2, 21, 6), (2, 8, 14)], [(5, 8, 6), (2, 22, 6), (2, 8, 15)]
    assert check_flips(np.array(near, float), target, GEOMETRY).shares[""] == 1.0
    assert check_flips(np.array(far, float), target, GEOMETRY).shares[""] == 0.0


def test_noisy_points_do_not_disagree() -> None:
    points = np.array([(2, 8, 6)] + [(10, 50, 30)] * 8, float)
    check = check_flips(points, target_in_a_corner(), GEOMETRY)
    assert not check.disagrees("")
    assert not check.agrees("")


def test_flipping_twice_changes_nothing() -> None:
    points = np.array([[0.0, 59.0, 3.25], [11.0, 0.0, 39.0]])
    for flip in "xyz":
        there = flip_voxels(points, flip=flip, shape=GEOMETRY.shape)
        assert not np.array_equal(there, points)
        np.testing.assert_array_equal(flip_voxels(there, flip=flip, shape=GEOMETRY.shape), points)


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 points"):
        check_flips(np.zeros((0, 3)), target_in_a_corner(), GEOMETRY)
    with pytest.raises(ValueError, match="0 voxels"):
        check_flips(np.zeros((1, 3)), np.zeros(GEOMETRY.shape, bool), GEOMETRY)

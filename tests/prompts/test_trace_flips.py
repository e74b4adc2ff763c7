import numpy as np
import pytest
from numpy.typing import NDArray

from spd_bench.phantoms import make_phantom
from spd_bench.phantoms.ti_release import trace_voxels
from spd_bench.prompts.trace_flips import check_flips, flip_voxels

SHAPE = (12, 60, 40)
AXES = {"": None, "x": 2, "y": 1, "z": 0}


def target_at(*, z: int, y: int, x: int) -> NDArray[np.bool_]:
    """A winding target of 2 x 7 x 5 voxels in a corner of which two voxels are missing."""
    target = np.zeros(SHAPE, dtype=bool)
    target[z : z + 2, y : y + 7, x : x + 5] = True
    target[z, y : y + 2, x] = False
    return target


def drawn_flipped(target: NDArray[np.bool_], flip: str) -> NDArray[np.float64]:
    axis = AXES[flip]
    return np.argwhere(target if axis is None else np.flip(target, axis)).astype(float)


@pytest.mark.parametrize("flip", AXES)
def test_the_flip_that_was_made_is_found(flip: str) -> None:
    target = target_at(z=1, y=5, x=4)
    check = check_flips(drawn_flipped(target, flip), target)
    assert check.best_of() == flip
    assert check.shares[flip] == 1.0
    assert all(check.lead(flip, over=other) == 1.0 for other in AXES if other != flip)


@pytest.mark.parametrize("flip", ["x", "y", "z"])
def test_near_the_midline_it_is_found_as_well(flip: str) -> None:
    # Mirror images overlap: along x columns 18-22 and 17-21, along y rows 24-30 and 29-35, along z slices 5-6 and 5-6.
    target = target_at(z=5, y=24, x=18)
    check = check_flips(drawn_flipped(target, flip), target)
    assert check.best_of() == flip
    assert 0 < check.lead(flip, over="") < 1


@pytest.mark.parametrize("flip", AXES)
def test_shares_are_those_of_the_points_inside_the_flipped_target(flip: str) -> None:
    generator = np.random.default_rng(1)
    target = generator.random(SHAPE) < 0.3
    points = generator.integers((0, 0, 0), SHAPE, (50, 3))
    axis = AXES[flip]
    flipped = target if axis is None else np.flip(target, axis)
    assert check_flips(points.astype(float), target).shares[flip] == flipped[tuple(points.T)].mean()


def test_points_between_voxels_and_outside_the_image() -> None:
    target = target_at(z=1, y=5, x=4)
    points = np.array([(1.4, 7.6, 5.5), (2.6, 8, 6), (-3, 8, 6), (1, 80, 6)])
    assert check_flips(points, target).shares[""] == 0.25


def test_a_lead_is_a_difference_of_shares() -> None:
    target = target_at(z=1, y=5, x=4)
    inside, outside, inside_along_x = (1, 8, 6), (10, 50, 2), (1, 8, 33)
    check = check_flips(np.array([inside] * 7 + [inside_along_x] * 5 + [outside] * 8, float), target)
    assert (check.shares[""], check.shares["x"]) == (0.35, 0.25)
    assert check.lead("", over="x") == 0.1
    assert check.lead("x", over="") == -0.1
    assert check.best_of("y", "z") == "y"
    assert check.best_of("y", "x") == "x"
    assert not check.fits_nowhere
    assert check_flips(np.array([inside] + [(6, 30, 20)] * 19, float), target).fits_nowhere


def test_flips_of_traced_phantoms_are_found_and_lead_clearly() -> None:
    for number in range(3):
        phantom = make_phantom("TI", seed=0, case_number=number, size=64)
        trace = trace_voxels(phantom).astype(float)
        first_fifth = trace[: len(trace) // 5]
        for flip in AXES:
            drawn = flip_voxels(first_fifth, flip=flip, shape=phantom.geometry.shape)
            check = check_flips(drawn, phantom.label > 0)
            assert check.best_of() == flip
            assert flip == "" or check.lead(flip, over="") >= 0.2


def test_flipping_twice_changes_nothing() -> None:
    points = np.array([[0.0, 59.0, 3.25], [11.0, 0.0, 39.0]])
    for flip in "xyz":
        there = flip_voxels(points, flip=flip, shape=SHAPE)
        assert not np.array_equal(there, points)
        np.testing.assert_array_equal(flip_voxels(there, flip=flip, shape=SHAPE), points)


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 points"):
        check_flips(np.zeros((0, 3)), target_at(z=1, y=5, x=4))
    with pytest.raises(ValueError, match="0 voxels"):
        check_flips(np.zeros((1, 3)), np.zeros(SHAPE, bool))

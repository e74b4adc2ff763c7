from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.inspection.orientation import Display, axis_codes, obliquity_degrees, slice_plane
from spd_bench.raw.geometry import VolumeGeometry

# Every way in which three index axes can lie along a patient's axes.
CODES = sorted(
    "".join(letters) for pairs in itertools.permutations(["RL", "AP", "IS"]) for letters in itertools.product(*pairs)
)


def _volume(codes: str) -> sitk.Image:
    """A volume of distinct voxels whose x, y and z index grow along ``codes``."""
    image = sitk.GetImageFromArray(np.arange(2 * 3 * 4).reshape(2, 3, 4))
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetDirection(sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(codes))
    return image


@pytest.mark.parametrize("codes", CODES)
def test_axis_codes_are_those_of_simpleitk(codes: str) -> None:
    geometry = VolumeGeometry.of_image(_volume(codes))
    assert axis_codes(geometry) == codes
    assert obliquity_degrees(geometry) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_are_shown_as_simpleitk_reorients_them(codes: str, slice_axis: int) -> None:
    image = _volume(codes)
    display = Display.of(codes, slice_axis)
    shown = display.stack(np.moveaxis(sitk.GetArrayFromImage(image), slice_axis, 0))
    # Columns to the left, rows to the back and the feet, then cut across the plane's own normal.
    upright = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPI"))
    normal = {"axial": 0, "coronal": 1, "sagittal": 2}[slice_plane(codes, slice_axis)]
    expected = np.moveaxis(upright, normal, 0)
    assert sorted(map(np.ndarray.tolist, shown)) == sorted(map(np.ndarray.tolist, expected))
    sides = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}
    assert (display.top, display.left) == sides[slice_plane(codes, slice_axis)]


@pytest.mark.parametrize("codes", ["LPS", "RAS", "IPL", "PIR", "SRA"])
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_points_follow_the_turned_slices(codes: str, slice_axis: int) -> None:
    stack = np.moveaxis(np.arange(2 * 3 * 4).reshape(2, 3, 4), slice_axis, 0)
    display = Display.of(codes, slice_axis)
    points = np.argwhere(stack >= 0)
    turned = display.points(points, stack.shape)
    np.testing.assert_array_equal(display.stack(stack)[tuple(turned.T)], stack[tuple(points.T)])


def test_pixel_sizes_change_places_with_the_axes() -> None:
    assert Display.of("LPS", 0).pixel((2.0, 1.0)) == (2.0, 1.0)
    assert Display.of("PLS", 0).pixel((2.0, 1.0)) == (1.0, 2.0)


def test_obliquity_is_the_angle_of_the_rotation() -> None:
    tilt = np.deg2rad(17.0)
    direction = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt), 0, np.sin(tilt), np.cos(tilt))
    geometry = VolumeGeometry(shape=(2, 2, 2), spacing=(8.0, 1.0, 1.0), direction=direction)
    assert obliquity_degrees(geometry) == pytest.approx(17.0)
    assert axis_codes(geometry) == "LPS"

"""Against SimpleITK's own index-to-point transforms, on made-up and on real grids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from spd_bench.raw.geometry import VolumeGeometry

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL = [
    "sunnybrook/imagesTr/SCD0000101_ED_0000.nii.gz",
    "sunnybrook/imagesTr/SCD0000201_ES_0000.nii.gz",
    "spinalcord/t1_image.nii.gz",
    "spinalcord/t2_image.nii.gz",
    "spinalcord/t2_centerline-manual.nii.gz",
    "pyradiomics/breast1_image.nrrd",
    "kidney_ct/example_ct_sm.nii.gz",
]
OBLIQUE = Rotation.from_euler("xyz", [17, -31, 64], degrees=True).as_matrix()
DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "oblique": OBLIQUE,
    "oblique and left-handed": OBLIQUE @ np.diag([1.0, 1.0, -1.0]),
    "axes swapped": np.eye(3)[[2, 0, 1]],
}


def _image(direction: np.ndarray) -> sitk.Image:
    image = sitk.Image([7, 5, 4], sitk.sitkInt16)
    image.SetSpacing((0.7, 1.3, 8.5))
    image.SetOrigin((-120.5, 33.25, 910.0))
    image.SetDirection(direction.ravel().tolist())
    return image


def _assert_agrees_with_simpleitk(image: sitk.Image) -> None:
    geometry = VolumeGeometry.of_image(image)
    voxels = np.random.default_rng(0).uniform(-0.5, np.array(geometry.shape) - 0.5, size=(20, 3))
    expected = [image.TransformContinuousIndexToPhysicalPoint(voxel[::-1].tolist()) for voxel in voxels]
    positions = geometry.voxel_to_lps(voxels)
    np.testing.assert_allclose(positions, expected, atol=1e-8)
    back = [image.TransformPhysicalPointToContinuousIndex(position.tolist())[::-1] for position in positions]
    np.testing.assert_allclose(geometry.lps_to_voxel(positions), back, atol=1e-6)
    np.testing.assert_allclose(geometry.lps_to_voxel(positions), voxels, atol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_positions_are_those_of_simpleitk(direction: np.ndarray) -> None:
    _assert_agrees_with_simpleitk(_image(direction))


@pytest.mark.parametrize("name", REAL)
def test_positions_are_those_of_simpleitk_on_scanner_volumes(name: str) -> None:
    if not (DATA / name).is_file():
        pytest.skip("scanner data absent")
    _assert_agrees_with_simpleitk(sitk.ReadImage(str(DATA / name)))


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_a_geometry_survives_writing_it_into_an_image(direction: np.ndarray) -> None:
    geometry = VolumeGeometry.of_image(_image(direction))
    blank = sitk.Image([7, 5, 4], sitk.sitkUInt8)
    geometry.apply_to(blank)
    assert VolumeGeometry.of_image(blank) == geometry


def test_subnormal_cosines_leave_a_grid_that_itk_can_invert() -> None:
    tilt = Rotation.from_euler("xyz", [0.0, 1.0, 2.2250738585072014e-308], degrees=True).as_matrix()
    assert (np.abs(tilt[tilt != 0]) < 1e-300).any()
    image = sitk.Image([7, 5, 4], sitk.sitkInt16)
    geometry = VolumeGeometry(shape=(4, 5, 7), spacing=(8.0, 1.5, 0.75), direction=tuple(tilt.ravel()))
    geometry.apply_to(image)
    index = image.TransformPhysicalPointToContinuousIndex(image.TransformIndexToPhysicalPoint((6, 3, 1)))
    np.testing.assert_allclose(index, (6, 3, 1), atol=1e-6)


def test_array_axes_run_against_simpleitk_indices() -> None:
    image = _image(OBLIQUE)
    image[6, 2, 1] = 9
    voxel = np.argwhere(sitk.GetArrayFromImage(image) == 9)
    position = VolumeGeometry.of_image(image).voxel_to_lps(voxel)[0]
    np.testing.assert_allclose(position, image.TransformIndexToPhysicalPoint((6, 2, 1)))


def test_the_grid_ends_half_a_voxel_beyond_the_outer_centres() -> None:
    geometry = VolumeGeometry(shape=(4, 5, 6), spacing=(3.0, 1.0, 1.0))
    voxels = np.array([[-0.5, 0, 0], [3.5, 4.5, 5.5], [-0.51, 0, 0], [0, 4.51, 0], [0, 0, 5.51]])
    np.testing.assert_array_equal(geometry.contains(voxels), [True, True, False, False, False])


def test_no_points_give_no_positions() -> None:
    geometry = VolumeGeometry(shape=(4, 5, 6), spacing=(3.0, 1.0, 1.0))
    assert geometry.voxel_to_lps(np.zeros((0, 3))).shape == (0, 3)
    assert geometry.lps_to_voxel(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape": (4, 5, 7)}, "shape"),
        ({"spacing": (3.0, 1.0, 1.001)}, "spacing"),
        ({"origin": (0.0, 0.0, 1.0)}, "origin"),
        ({"direction": (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)}, "direction"),
    ],
)
def test_a_difference_is_named(change: dict, named: str) -> None:
    same = {"shape": (4, 5, 6), "spacing": (3.0, 1.0, 1.0)}
    difference = VolumeGeometry(**same).difference_to(VolumeGeometry(**(same | change)))
    assert difference is not None
    assert difference.startswith(named)


def test_rounding_of_a_file_format_is_no_difference() -> None:
    geometry = VolumeGeometry(shape=(4, 5, 6), spacing=(3.0, 0.7, 0.7), origin=(1.1, 2.2, 3.3))
    rounded = VolumeGeometry(
        shape=(4, 5, 6),
        spacing=tuple(float(np.float32(value)) for value in geometry.spacing),
        origin=tuple(float(np.float32(value)) for value in geometry.origin),
    )
    assert geometry.difference_to(rounded) is None


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (0, 5, 6)},
        {"shape": (5, 6)},
        {"spacing": (1.0, -1.0, 1.0)},
        {"spacing": (1.0, float("nan"), 1.0)},
        {"direction": (1.0,) * 9},
        {"direction": (1.0, 0.0, 0.0, 1.0)},
    ],
)
def test_an_impossible_grid_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        VolumeGeometry(**({"shape": (4, 5, 6), "spacing": (3.0, 1.0, 1.0)} | change))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"origin": (np.inf, 0.0, 0.0)}, "origin"),
        ({"origin": (0.0, np.nan, 0.0)}, "origin"),
        ({"origin": (0.0, 0.0, -1e308)}, "origin"),
        ({"spacing": (1e308, 1.0, 1.0)}, "spacing"),
        ({"direction": (np.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "direction"),
        ({"direction": (np.inf, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "direction"),
    ],
)
def test_a_grid_must_be_finite_in_mm(fields: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        VolumeGeometry(**({"shape": (4, 5, 6), "spacing": (3.0, 1.0, 1.0)} | fields))

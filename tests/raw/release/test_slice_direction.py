from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.slice_direction import slices_first
from spd_bench.raw.release.source_volumes import SourceVolume, read_source_volume

# Columns: the direction and size of a step along i, j, k, in RAS.
AXIAL = np.diag([-0.8, -0.9, 5.0])
CORONAL = np.array([[-0.8, 0, 0], [0, 0, 5.0], [0, -0.9, 0]])
SAGITTAL = np.array([[0, 0, 5.0], [-0.8, 0, 0], [0, -0.9, 0]])
TILT = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])


def stored(
    matrix: NDArray[np.float64], order: tuple[int, int, int], tmp_path: Path, *, coded: bool = True
) -> SourceVolume:
    """Voxels that know their position: 16-bit numbers of a 6 x 7 x 4 stack, with its axes stored in ``order``."""
    affine = np.eye(4)
    affine[:3, :3] = matrix[:, order]
    affine[:3, 3] = (11.0, -7.0, 3.0)
    voxels = np.arange(6 * 7 * 4, dtype=np.int16).reshape(6, 7, 4).transpose(order)
    image = nib.Nifti1Image(voxels, affine if coded else None)
    if not coded:
        image.header.set_zooms(np.linalg.norm(matrix, axis=0)[list(order)])
    nib.save(image, tmp_path / "image.nii")
    return read_source_volume(tmp_path / "image.nii")


def positions(volume: SourceVolume) -> NDArray[np.float64]:
    """The position in mm of the voxel that holds each number."""
    order = np.argsort(volume.voxels, axis=None)
    at = np.stack(np.unravel_index(order, volume.voxels.shape), axis=1).astype(float)
    return volume.geometry.voxel_to_lps(at)


@pytest.mark.parametrize(("plane", "matrix"), [("axial", AXIAL), ("coronal", CORONAL), ("sagittal", SAGITTAL)])
@pytest.mark.parametrize("tilt", [np.eye(3), TILT])
@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (1, 2, 0)])
def test_slices_stored_elsewhere_come_first_and_no_voxel_moves(
    plane: str, matrix: NDArray[np.float64], tilt: NDArray[np.float64], order: tuple[int, int, int], tmp_path: Path
) -> None:
    volume = stored(tilt @ matrix, order, tmp_path)
    turned = slices_first(volume, plane=plane)
    assert turned.voxels.shape[0] == 4
    assert turned.geometry.spacing[0] == pytest.approx(5.0)
    np.testing.assert_allclose(positions(turned), positions(volume), atol=1e-4)
    assert len(turned.repairs) == len(volume.repairs) + 1


@pytest.mark.parametrize(
    ("plane", "matrix", "code"), [("axial", AXIAL, "LPS"), ("coronal", CORONAL, "LIP"), ("sagittal", SAGITTAL, "PIR")]
)
def test_turned_slices_are_those_of_itks_orientation_filter(
    plane: str, matrix: NDArray[np.float64], code: str, tmp_path: Path
) -> None:
    volume = stored(TILT @ matrix, (2, 0, 1), tmp_path)
    image = sitk.GetImageFromArray(volume.voxels)
    volume.geometry.apply_to(image)
    expected = sitk.DICOMOrient(image, code)
    turned = slices_first(volume, plane=plane)
    np.testing.assert_array_equal(turned.voxels, sitk.GetArrayFromImage(expected))
    assert turned.geometry.difference_to(VolumeGeometry.of_image(expected), tolerance=1e-9) is None
    stored_code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    assert turned.repairs == (f"axes {stored_code} reordered to {code}: {plane} slices first (nothing resampled)",)


@pytest.mark.parametrize(("plane", "matrix"), [("axial", AXIAL), ("coronal", CORONAL), ("sagittal", TILT @ SAGITTAL)])
def test_slices_that_come_first_keep_their_orientation(plane: str, matrix: NDArray[np.float64], tmp_path: Path) -> None:
    volume = stored(matrix, (0, 1, 2), tmp_path)
    assert slices_first(volume, plane=plane) is volume


def test_an_upside_down_stack_keeps_its_orientation(tmp_path: Path) -> None:
    volume = stored(AXIAL @ np.diag([1, -1, -1]), (0, 1, 2), tmp_path)
    assert slices_first(volume, plane="axial") is volume


@pytest.mark.parametrize(
    ("plane", "matrix", "way"),
    [("axial", CORONAL, "front to back"), ("coronal", AXIAL, "foot to head"), ("axial", SAGITTAL, "left to right")],
)
def test_another_plane_than_the_name_says_is_refused(
    plane: str, matrix: NDArray[np.float64], way: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"named {plane}, but its slices \(5 mm thick\) run {way}, in .*image.nii"):
        slices_first(stored(matrix, (0, 1, 2), tmp_path), plane=plane)


def test_cubes_are_cut_across_the_normal_of_the_plane(tmp_path: Path) -> None:
    volume = stored(np.diag([-1.0, -1.0, 1.1]), (0, 1, 2), tmp_path)
    assert slices_first(volume, plane="axial") is volume
    coronal = slices_first(volume, plane="coronal")
    assert coronal.voxels.shape == (7, 4, 6)
    np.testing.assert_allclose(positions(coronal), positions(volume), atol=1e-4)


def test_without_orientation_the_voxel_size_tells_the_slices(tmp_path: Path) -> None:
    volume = stored(AXIAL, (0, 1, 2), tmp_path, coded=False)
    assert not volume.oriented
    assert slices_first(volume, plane="coronal") is volume
    turned = slices_first(stored(AXIAL, (2, 0, 1), tmp_path, coded=False), plane="coronal")
    assert turned.voxels.shape[0] == 4

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from spd_bench.errors import InputError
from spd_bench.raw.release.nifti_grid import NiftiGrid, corner_voxels, nifti_grid

SHAPE = (7, 6, 5)
ZOOMS = np.array([1.5, 0.75, 8.0])
TURNED = Rotation.from_euler("zx", [40, 20], degrees=True).as_matrix()


def affine(
    rotation: np.ndarray = TURNED, zooms: np.ndarray = ZOOMS, origin: tuple[float, ...] = (5, -7, 11)
) -> np.ndarray:
    return np.vstack([np.column_stack([rotation * zooms, origin]), [0, 0, 0, 1]])


def write(path: Path, *, sform: tuple | None, qform: tuple | None, zooms: np.ndarray = ZOOMS, unit: str = "mm") -> Path:
    """A file whose header holds exactly these transforms (matrix, code) and this pixdim."""
    header = nib.Nifti1Header()
    header.set_data_shape(SHAPE)
    if qform is not None:
        header.set_qform(qform[0], qform[1])
    header["pixdim"][1:4] = zooms
    if sform is not None:
        header.set_sform(sform[0], sform[1])
    header.set_xyzt_units(unit)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), None, header), path)
    written = nib.load(path).header
    assert int(written["sform_code"]) == (0 if sform is None else sform[1])
    assert int(written["qform_code"]) == (0 if qform is None else qform[1])
    np.testing.assert_allclose(written["pixdim"][1:4], zooms, rtol=1e-6)
    return path


def grid(path: Path) -> NiftiGrid:
    return nifti_grid(nib.load(path).header, file=path)


def assert_as_itk(found: NiftiGrid, path: Path) -> None:
    image = sitk.ReadImage(str(path))
    assert found.geometry.shape == image.GetSize()[::-1]
    np.testing.assert_allclose(found.geometry.spacing, image.GetSpacing()[::-1], rtol=1e-5)
    np.testing.assert_allclose(found.geometry.origin, image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(found.geometry.direction, image.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("which", ["sform", "qform", "both"])
def test_a_sound_header_is_taken_as_itk_takes_it(tmp_path: Path, seed: int, which: str) -> None:
    generator = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix() * [1, 1, -1 if seed % 2 else 1]
    form = affine(rotation, origin=tuple(generator.uniform(-200, 200, 3)))
    codes = generator.integers(1, 5, 2)
    path = write(
        tmp_path / "a.nii",
        sform=(form, int(codes[0])) if which != "qform" else None,
        qform=(form, int(codes[1])) if which != "sform" else None,
    )
    found = grid(path)
    assert found.repairs == ()
    assert found.oriented
    assert_as_itk(found, path)


@pytest.mark.parametrize(("code", "taken"), [(1, "sform"), (2, "qform"), (4, "qform")])
def test_forms_that_disagree_are_decided_as_itk_decides_and_told(tmp_path: Path, code: int, taken: str) -> None:
    path = write(tmp_path / "a.nii", sform=(affine(), code), qform=(affine(np.eye(3)), 1))
    found = grid(path)
    assert_as_itk(found, path)
    (note,) = found.repairs
    assert f"{taken} taken" in note
    corner = np.array([*(np.array(SHAPE) - 1), 1])
    assert (
        float(note.split("up to ")[1].split(" mm")[0]) >= np.linalg.norm((affine() - affine(np.eye(3))) @ corner) - 0.06
    )


def test_forms_that_differ_by_rounding_are_no_repair(tmp_path: Path) -> None:
    moved = affine(origin=(5.01, -7, 11))
    found = grid(write(tmp_path / "a.nii", sform=(moved, 1), qform=(affine(), 1)))
    assert found.repairs == ()


def test_an_sform_of_one_mm_is_rebuilt_from_pixdim(tmp_path: Path) -> None:
    zooms = np.array([1.40625, 1.40625, 13.0])
    path = write(tmp_path / "a.nii", sform=(np.diag([-1.0, -1, 1, 1]), 2), qform=None, zooms=zooms)
    np.testing.assert_allclose(nib.affines.voxel_sizes(nib.load(path).affine), 1.0)  # what nibabel believes
    found = grid(path)
    assert found.geometry.spacing == (13.0, 1.40625, 1.40625)
    assert found.geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert found.geometry.origin == (0, 0, 0)
    (note,) = found.repairs
    assert (
        note
        == "affine says 1 x 1 x 1 mm but pixdim 1.40625 x 1.40625 x 13 mm: affine rebuilt with the voxel size of pixdim"
    )


def test_a_lying_sform_gives_way_to_a_sound_qform(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", sform=(np.diag([-1.0, -1, 1, 1]), 1), qform=(affine(), 1))
    found = grid(path)
    np.testing.assert_allclose(found.geometry.spacing, ZOOMS[::-1])
    np.testing.assert_allclose(found.geometry.index_to_mm, np.diag([-1, -1, 1]) @ affine()[:3, :3], atol=1e-5)
    assert "qform taken, the sform is no grid of the size in pixdim" in found.repairs[0]


def test_a_pixdim_that_nobody_set_gives_way_to_the_affine(tmp_path: Path) -> None:
    found = grid(write(tmp_path / "a.nii", sform=(affine(), 2), qform=None, zooms=np.ones(3)))
    np.testing.assert_allclose(found.geometry.spacing, ZOOMS[::-1], rtol=1e-5)
    assert "the affine's voxel size taken" in found.repairs[0]


@pytest.mark.parametrize(("unit", "factor"), [("meter", 0.001), ("micron", 1000.0)])
@pytest.mark.parametrize("code", [2, 0])
def test_units_are_turned_into_mm_as_itk_does(tmp_path: Path, unit: str, factor: float, code: int) -> None:
    scaled = np.diag([factor] * 3 + [1]) @ affine()
    path = write(tmp_path / "a.nii", sform=(scaled, 2) if code else None, qform=None, zooms=ZOOMS * factor, unit=unit)
    found = grid(path)
    np.testing.assert_allclose(found.geometry.spacing, ZOOMS[::-1], rtol=1e-5)
    assert_as_itk(found, path)
    assert found.repairs[0] == f"header counts in {unit}s: turned into mm"


def test_no_orientation_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", sform=None, qform=None)
    found = grid(path)
    assert not found.oriented
    assert "says nothing about orientation" in found.repairs[0]
    assert_as_itk(found, path)


@pytest.mark.parametrize("shear", [3e-4, 1e-3, 1e-2])
def test_axes_that_itk_refuses_are_turned_to_the_nearest_rotation(tmp_path: Path, shear: float) -> None:
    skewed = affine()
    skewed[:3, 0] += shear * skewed[:3, 1] / ZOOMS[1] * ZOOMS[0]
    path = write(tmp_path / "a.nii", sform=(skewed, 2), qform=None)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))
    found = grid(path)
    assert "nearest rotation" in found.repairs[0]
    direction = np.reshape(found.geometry.direction, (3, 3))
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-12)
    corners = np.array([(x, y, z) for x in (0, 6) for y in (0, 5) for z in (0, 4)], dtype=float)
    true = (corners @ skewed[:3, :3].T + skewed[:3, 3]) * [-1, -1, 1]
    moved = np.linalg.norm(found.geometry.voxel_to_lps(corners[:, ::-1]) - true, axis=1).max()
    assert moved < 0.5 * ZOOMS.min()
    assert moved == pytest.approx(
        float(found.repairs[0].split("moves voxels by ")[1].split(" mm")[0]), rel=0.05, abs=1e-3
    )


def test_axes_that_are_no_rotation_are_refused(tmp_path: Path) -> None:
    skewed = affine()
    skewed[:3, 0] += 0.3 * skewed[:3, 1]
    path = write(tmp_path / "a.nii", sform=(skewed, 2), qform=None)
    with pytest.raises(
        InputError, match=r"not orthogonal: the nearest rotation moves voxels by \d\.\d+ mm, in .*a\.nii"
    ):
        grid(path)


@pytest.mark.parametrize("broken", [np.diag([0.0, 0, 0, 1]), np.full((4, 4), np.nan)])
def test_an_affine_that_is_no_grid_is_refused(tmp_path: Path, broken: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"NaN, infinity or an axis of length 0, in .*a\.nii"):
        grid(write(tmp_path / "a.nii", sform=(broken, 2), qform=None))


def test_corner_voxels_are_the_first_and_last_along_each_axis() -> None:
    every = np.argwhere(np.ones((3, 2, 5)))
    corners = [index.tolist() for index in every if index[0] in (0, 2) and index[2] in (0, 4)]
    assert sorted(corner_voxels((3, 2, 5)).tolist()) == corners

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release import source_volumes
from spd_bench.raw.release.source_volumes import (
    SourceVolume,
    check_finite,
    on_grid_of,
    read_source_volume,
    thickest_axis,
    to_axial,
    to_stack,
)

VOXELS = np.random.default_rng(0).integers(-500, 500, (3, 4, 5)).astype(np.int16)
GEOMETRY = VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5, 0.75), origin=(10.0, -20.0, 30.0))
ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*axes)
]


def volume(geometry: VolumeGeometry = GEOMETRY, **others: object) -> SourceVolume:
    return SourceVolume(**{"voxels": VOXELS, "geometry": geometry, "file": Path("a.nii")} | others)


def sitk_image(found: SourceVolume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(found.voxels))
    found.geometry.apply_to(image)
    return image


def of_sitk(image: sitk.Image) -> SourceVolume:
    return volume(VolumeGeometry.of_image(image), voxels=sitk.GetArrayFromImage(image))


def assert_same_image(found: SourceVolume, image: sitk.Image) -> None:
    np.testing.assert_array_equal(found.voxels, sitk.GetArrayFromImage(image))
    assert found.geometry.difference_to(VolumeGeometry.of_image(image), tolerance=1e-9) is None


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_axial_slices_are_those_of_itks_orientation_filter(code: str) -> None:
    stored = sitk.DICOMOrient(sitk_image(volume()), code)
    found = to_axial(of_sitk(stored))
    assert_same_image(found, sitk.DICOMOrient(stored, "LPS"))
    expected = f"axes {code} reordered to LPS: axial slices first (nothing resampled)"
    assert found.repairs == (() if code == "LPS" else (expected,))


def test_an_oblique_volume_keeps_its_positions() -> None:
    turn = np.deg2rad(25)
    direction = (0.0, np.cos(turn), np.sin(turn), 0.0, -np.sin(turn), np.cos(turn), 1.0, 0.0, 0.0)
    stored = volume(VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5, 0.75), origin=(1, 2, 3), direction=direction))
    found = to_axial(stored)
    assert_same_image(found, sitk.DICOMOrient(sitk_image(stored), "LPS"))


def test_axial_slices_are_not_guessed() -> None:
    with pytest.raises(InputError, match=r"no orientation in the header.*a\.nii"):
        to_axial(volume(oriented=False))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_stack_is_the_thickest_axis(order: tuple[int, ...]) -> None:
    stored = sitk.PermuteAxes(sitk_image(volume()), order)
    found = to_stack(of_sitk(stored))
    assert found.geometry.spacing[0] == 8.0
    assert (found.repairs == ()) == (order[2] == 2)
    for index in np.ndindex(*found.voxels.shape):
        position = found.geometry.voxel_to_lps(np.array(index))[0]
        assert found.voxels[index] == stored[stored.TransformPhysicalPointToIndex(position.tolist())]


def test_a_stack_of_cubes_stays_as_it_is_stored() -> None:
    stored = volume(VolumeGeometry(shape=(3, 4, 5), spacing=(0.9, 1.0, 0.9)))
    assert to_stack(stored) is stored


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((8, 1, 1), 0), ((1, 8, 1), 1), ((0.7, 0.8, 3), 2), ((1.2, 1, 1), 0), ((1.19, 1, 1), None), ((8, 8, 1), None)],
)
def test_the_thickest_axis_is_a_fifth_thicker_than_the_next(
    spacing: tuple[float, float, float], axis: int | None
) -> None:
    assert thickest_axis(VolumeGeometry(shape=(3, 4, 5), spacing=spacing)) == axis


def test_a_label_that_differs_by_rounding_takes_its_images_grid() -> None:
    label = volume(VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5004, 0.75), origin=(10.02, -20.0, 30.0)))
    found = on_grid_of(label, volume(), file=Path("label.nii"))
    assert found.geometry == GEOMETRY
    assert "by rounding" in found.repairs[0]


@pytest.mark.parametrize(
    "other",
    [
        VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5, 0.75), origin=(10.0, -20.0, 38.0)),
        VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.6, 0.75), origin=(10.0, -20.0, 30.0)),
        VolumeGeometry(shape=(4, 4, 5), spacing=(8.0, 1.5, 0.75), origin=(10.0, -20.0, 30.0)),
        VolumeGeometry(
            shape=(3, 4, 5), spacing=(8.0, 1.5, 0.75), origin=(10, -20, 30), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
        ),
    ],
    ids=["a slice off", "another spacing", "another shape", "flipped in the header alone"],
)
def test_a_label_on_another_grid_is_refused(other: VolumeGeometry) -> None:
    voxels = np.zeros(other.shape, np.uint8)
    with pytest.raises(InputError, match=r"not on the grid of its image: .*, in label\.nii: try again"):
        on_grid_of(volume(other, voxels=voxels), volume(), file=Path("label.nii"), remedy="try again")


def test_a_label_stored_in_another_order_is_turned_to_its_image() -> None:
    label = of_sitk(sitk.DICOMOrient(sitk_image(volume()), "IPR"))
    found = on_grid_of(label, volume(), file=Path("label.nii"))
    np.testing.assert_array_equal(found.voxels, VOXELS)
    assert found.geometry == GEOMETRY
    assert found.repairs == ("axes IPR reordered to its image's axes (nothing resampled)",)


def test_a_label_without_orientation_follows_its_image() -> None:
    label = volume(VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5, 0.75)), oriented=False)
    found = on_grid_of(label, volume(), file=Path("label.nii"))
    assert found.geometry == GEOMETRY
    assert "its image's is taken" in found.repairs[0]
    wrong_size = volume(VolumeGeometry(shape=(3, 4, 5), spacing=(8.0, 1.5, 1.5)), oriented=False)
    with pytest.raises(InputError, match="not on the grid"):
        on_grid_of(wrong_size, volume(), file=Path("label.nii"))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "u1"])
def test_voxels_are_read_as_they_are_stored(tmp_path: Path, kind: type, ending: str, dtype: str) -> None:
    stored = np.abs(VOXELS).astype(dtype) % 200
    path = tmp_path / f"a{ending}"
    nib.save(kind(stored.T, np.diag([-0.75, -1.5, 8.0, 1.0]), dtype=np.dtype(dtype)), path)
    found = read_source_volume(path)
    np.testing.assert_array_equal(found.voxels, stored)
    assert found.voxels.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.geometry.spacing == (8.0, 1.5, 0.75)
    assert found.file == path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("change", "narrowed"),
    [
        (lambda values: values, np.int16),
        (lambda values: values + 0.25, np.float32),
        (lambda values: np.where(np.arange(3)[:, None, None] == 2, values + 0.1, values), np.float32),
        (lambda values: np.where(values > 40, 40000.0, values), np.float32),
        (lambda values: np.where(np.arange(3)[:, None, None] == 1, np.nan, values), np.float32),
    ],
)
def test_doubles_become_the_smallest_type_that_holds_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, change: Any, narrowed: type
) -> None:
    monkeypatch.setattr(source_volumes, "_VOXELS_AT_ONCE", 20)  # a slice at a time
    values = change(VOXELS.astype(np.float64))
    path = tmp_path / f"a{ending}"
    nib.save(nib.Nifti1Image(values.T[..., None], np.diag([-0.75, -1.5, 8.0, 1.0])), path)
    found = read_source_volume(path).voxels
    assert found.dtype == narrowed
    np.testing.assert_array_equal(found, values.astype(narrowed))


def test_scaled_integers_are_unscaled(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS.T, np.eye(4))
    image.header.set_slope_inter(0.5, -1024)
    nib.save(image, tmp_path / "a.nii.gz")
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")))
    np.testing.assert_allclose(read_source_volume(tmp_path / "a.nii.gz").voxels, expected)


def test_a_fourth_axis_of_one_is_dropped_and_of_two_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS.T[..., None], np.eye(4)), tmp_path / "one.nii")
    nib.save(nib.Nifti1Image(np.stack([VOXELS.T] * 2, axis=-1), np.eye(4)), tmp_path / "two.nii")
    np.testing.assert_array_equal(read_source_volume(tmp_path / "one.nii").voxels, VOXELS)
    with pytest.raises(InputError, match=r"expected one 3D volume .*shape \(5, 4, 3, 2\), in .*two\.nii"):
        read_source_volume(tmp_path / "two.nii")


def _whole(path: Path) -> bytes:
    nib.save(nib.Nifti1Image(VOXELS.T, np.eye(4)), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("empty.nii.gz", lambda _: b""),
        ("cut.nii.gz", lambda whole: whole[: len(whole) // 2]),
        ("cut_end.nii.gz", lambda whole: whole[:-9]),
        ("cut.nii", lambda whole: whole[:-9]),
        ("header_only.nii", lambda whole: whole[:352]),
        ("not_zipped.nii.gz", gzip.decompress),
        ("zipped.nii", gzip.compress),
        ("lfs.nii.gz", lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"),
        ("flipped_bit.nii.gz", lambda whole: whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path, name: str, damage) -> None:  # noqa: ANN001
    path = tmp_path / name
    path.write_bytes(damage(_whole(path)))
    with pytest.raises(InputError, match=rf"cannot be read .*{name}: download or unpack it again") as caught:
        read_source_volume(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found, in .*gone\.nii\.gz"):
        read_source_volume(tmp_path / "gone.nii.gz")


def test_other_formats_are_read_too(tmp_path: Path) -> None:
    sitk.WriteImage(sitk_image(volume()), str(tmp_path / "a.nrrd"))
    found = read_source_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(found.voxels, VOXELS)
    assert found.geometry == GEOMETRY


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_counted(value: float) -> None:
    voxels = VOXELS.astype(np.float32)
    check_finite(volume(voxels=voxels))
    voxels[0, 0, :2] = value
    with pytest.raises(InputError, match=r"2 voxel\(s\) are NaN or infinite, in a\.nii"):
        check_finite(volume(voxels=voxels))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles, find_cases
from spd_bench.prediction.volume import (
    VolumePredictor,
    read_prompted_volume,
    slice_points,
    volume_slices,
)
from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, write_volume

TINY = "Dataset901_Tiny"


def _cases(images: Path, *, channels: int = 1) -> list[CaseFiles]:
    return find_cases(images, images.with_name("promptsTr"), channels=channels, file_ending=".nii.gz")


# Reading a volume


def test_a_volume_is_read_with_its_points_and_without_its_label(images: Path) -> None:
    [files, _] = _cases(images)
    volume = read_prompted_volume(files.case, files.images, files.prompts)
    expected = sitk.ReadImage(str(files.images[0]))
    np.testing.assert_array_equal(volume.channels[0], sitk.GetArrayFromImage(expected))
    assert volume.channels.dtype == np.float32
    assert volume.geometry == read_geometry(files.images[0])
    assert len(volume.points()) == 4
    assert not hasattr(volume, "label")


def test_channels_are_stacked_in_order(tmp_path: Path) -> None:
    geometry = VolumeGeometry(shape=(2, 3, 4), spacing=(3.0, 1.0, 1.0))
    files = [tmp_path / f"a_{channel:04d}.nii.gz" for channel in range(3)]
    for channel, file in enumerate(files):
        write_volume(file, np.full(geometry.shape, channel, np.int16), geometry)
    volume = read_prompted_volume("a", files, None)
    assert volume.channels[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / "a_0000.nii.gz", tmp_path / "a_0001.nii.gz"]
    for file, spacing in zip(files, (3.0, 3.1), strict=True):
        geometry = VolumeGeometry(shape=(2, 3, 4), spacing=(spacing, 1.0, 1.0))
        write_volume(file, np.zeros(geometry.shape, np.float32), geometry)
    with pytest.raises(InputError, match=r"differs from the first one in spacing.*a_0001"):
        read_prompted_volume("a", files, None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_refused_by_its_name(tmp_path: Path, value: float) -> None:
    geometry = VolumeGeometry(shape=(2, 3, 4), spacing=(3.0, 1.0, 1.0))
    files = [tmp_path / "a_0000.nii.gz", tmp_path / "a_0001.nii.gz"]
    voxels = np.zeros(geometry.shape, np.float32)
    write_volume(files[0], voxels, geometry)
    voxels[1, 1, 1] = value
    write_volume(files[1], voxels, geometry)
    with pytest.raises(InputError, match=r"1 voxel\(s\) are NaN or infinite.*a_0001"):
        read_prompted_volume("a", files, None)


def test_prompts_that_are_missing_matter_only_to_methods_that_ask_for_them(
    point_counter: VolumePredictor, bright_pixels: VolumePredictor, images: Path
) -> None:
    file = images.with_name("promptsTr") / "case_0.mrk.json"
    file.unlink()
    [files, _] = _cases(images)
    volume = read_prompted_volume(files.case, files.images, files.prompts)
    assert bright_pixels.predict(volume).mask.any()
    with pytest.raises(InputError, match=r"case_0 has no prompts.*promptsTr/case_0\.mrk\.json"):
        point_counter.predict(volume)


def test_a_file_without_points_is_no_fault(point_counter: VolumePredictor, images: Path) -> None:
    [files, _] = _cases(images)
    assert files.prompts is not None
    write_prompts(files.prompts, PointPrompts(positions=np.zeros((0, 3))))
    volume = read_prompted_volume(files.case, files.images, files.prompts)
    assert not point_counter.predict(volume).mask.any()


def test_a_point_outside_the_volume_is_refused(point_counter: VolumePredictor, images: Path) -> None:
    [files, _] = _cases(images)
    assert files.prompts is not None
    write_prompts(files.prompts, PointPrompts(positions=np.array([[1e4, 0.0, 0.0]])))
    volume = read_prompted_volume(files.case, files.images, files.prompts)
    with pytest.raises(InputError, match=r"outside the volume.*case_0\.mrk\.json"):
        point_counter.predict(volume)


def test_prediction_sees_the_slices_and_points_that_training_saw(planned: Plan, tiny_raw: Path) -> None:
    raw = tiny_raw / TINY
    folder = planned.folder / f"SPDPlans_{planned.configuration}"
    for case in planned.patients:
        volume = read_prompted_volume(
            case, [raw / "imagesTr" / f"{case}_0000.nii.gz"], raw / "promptsTr" / f"{case}.mrk.json"
        )
        data, _, _, _ = nnUNetDatasetBlosc2(str(folder), [case]).load_case(case)
        slices = volume_slices(volume, planned)
        assert slices.shape == (6, 3, 32, 32)
        for channel in range(3):
            np.testing.assert_allclose(slices[:, channel], data[0], atol=1e-5)
        assert [len(points) for points in slice_points(volume, planned)] == [0, 2, 1, 1, 0, 0]


# Finding cases


def test_case_ids_may_hold_what_looks_like_a_channel(tmp_path: Path) -> None:
    for name in ("CT_0000_a_0000", "CT_0000_a_0001", "b_0000_0000", "b_0000_0001"):
        (tmp_path / f"{name}.nii.gz").touch()
    cases = find_cases(tmp_path, None, channels=2, file_ending=".nii.gz")
    assert [files.case for files in cases] == ["CT_0000_a", "b_0000"]
    assert [image.name for image in cases[0].images] == ["CT_0000_a_0000.nii.gz", "CT_0000_a_0001.nii.gz"]
    assert cases[0].prompts is None


def test_prompts_are_looked_for_beside_their_case(images: Path) -> None:
    assert [files.prompts for files in _cases(images)] == [
        images.with_name("promptsTr") / f"{case}.mrk.json" for case in ("case_0", "case_1")
    ]


def test_a_missing_channel_is_refused_by_its_name(images: Path) -> None:
    with pytest.raises(InputError, match=r"case_0 lacks a channel.*case_0_0001\.nii\.gz"):
        _cases(images, channels=2)


@pytest.mark.parametrize("name", ["case.nii.gz", "case_0000.nrrd", "case_0001.nii.gz"])
def test_a_folder_without_first_channels_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="no image is named <case>_0000"):
        find_cases(tmp_path, None, channels=1, file_ending=".nii.gz")


@pytest.mark.parametrize("name", ["_0000.nii.gz", "._case_0000.nii.gz"])
def test_a_file_that_names_no_case_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="not a plain name"):
        find_cases(tmp_path, None, channels=1, file_ending=".nii.gz")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        find_cases(tmp_path / "absent", None, channels=1, file_ending=".nii.gz")

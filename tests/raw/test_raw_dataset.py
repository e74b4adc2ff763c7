from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from spd_bench.errors import InputError
from spd_bench.raw.dataset import read_raw_dataset

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
DESCRIPTION: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "target": 1},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


def _make(folder: Path, *, images: list[str], masks: list[str], **description: Any) -> Path:
    for part, names in (("imagesTr", images), ("labelsTr", masks)):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).touch()
    (folder / "dataset.json").write_text(json.dumps(DESCRIPTION | description))
    return folder


def _two_cases(folder: Path, **description: Any) -> Path:
    return _make(folder, images=["b_0000.nii.gz", "a_0000.nii.gz"], masks=["a.nii.gz", "b.nii.gz"], **description)


def test_cases_are_listed_by_id_with_their_files(tmp_path: Path) -> None:
    folder = _two_cases(tmp_path / "Dataset900_Toy")
    dataset = read_raw_dataset(folder)
    assert (dataset.name, dataset.folder, dataset.num_training) == ("Dataset900_Toy", folder, 2)
    assert [case.case for case in dataset.cases] == ["a", "b"]
    first = dataset.cases[0]
    assert first.images == (folder / "imagesTr" / "a_0000.nii.gz",)
    assert first.label == folder / "labelsTr" / "a.nii.gz"
    assert first.prompts == folder / "promptsTr" / "a.mrk.json"
    assert first.patient == "a"


def test_patients_come_from_the_description(tmp_path: Path) -> None:
    dataset = read_raw_dataset(_two_cases(tmp_path / "d", patients={"a": "p1"}))
    assert [case.patient for case in dataset.cases] == ["p1", "b"]


def test_a_case_id_may_contain_a_channel_number(tmp_path: Path) -> None:
    names = ["CT_0000_lesion_0000_0000.nii.gz", "CT_0000_lesion_0000_0001.nii.gz"]
    folder = _make(
        tmp_path / "d",
        images=names,
        masks=["CT_0000_lesion_0000.nii.gz"],
        numTraining=1,
        channel_names={"0": "a", "1": "b"},
    )
    (case,) = read_raw_dataset(folder).cases
    assert case.case == "CT_0000_lesion_0000"
    assert [image.name for image in case.images] == names
    assert case.label is not None


def test_a_case_without_a_label_is_listed_without_one(tmp_path: Path) -> None:
    folder = _make(tmp_path / "d", images=["a_0000.nii.gz", "b_0000.nii.gz"], masks=["a.nii.gz"])
    assert read_raw_dataset(folder).cases[1].label is None


def test_regions_are_kept_apart_and_their_values_counted(tmp_path: Path) -> None:
    folder = _two_cases(
        tmp_path / "d",
        labels={"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumour": 2},
        regions_class_order=[1, 3, 2],
    )
    dataset = read_raw_dataset(folder)
    assert dataset.labels == {"background": 0, "tumour": 2}
    assert dataset.regions == {"kidney": (1, 2, 3), "masses": (2, 3)}
    assert dataset.label_values == (0, 1, 2, 3)


def test_files_may_lie_where_the_description_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _two_cases(tmp_path / "d")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("scan.nii.gz", "mask.nii.gz"):
        (elsewhere / name).touch()
    monkeypatch.setenv("ELSEWHERE", str(elsewhere))
    listed = {
        "far": {"images": ["$ELSEWHERE/scan.nii.gz"], "label": "../elsewhere/mask.nii.gz"},
        "near": {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"},
    }
    (folder / "dataset.json").write_text(json.dumps(DESCRIPTION | {"dataset": listed}))
    far, near = read_raw_dataset(folder).cases
    assert far.images[0].samefile(elsewhere / "scan.nii.gz")
    assert far.label is not None
    assert far.label.samefile(elsewhere / "mask.nii.gz")
    assert near.images[0].samefile(folder / "imagesTr" / "a_0000.nii.gz")
    assert far.prompts == folder / "promptsTr" / "far.mrk.json"


def test_cases_and_files_are_those_that_nnunet_finds() -> None:
    folder = DATA / "hippocampus"
    if not folder.is_dir():
        pytest.skip("scanner data absent")
    expected = get_filenames_of_train_images_and_targets(str(folder))
    found = {
        case.case: {"images": list(map(str, case.images)), "label": str(case.label)}
        for case in read_raw_dataset(folder).cases
    }
    assert found == {case: files | {"images": list(files["images"])} for case, files in expected.items()}


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ([], [], "no cases"),
        (["a_0000.nrrd"], [], r"no cases: no file ends with \.nii\.gz"),
        (["a.nii.gz"], ["a.nii.gz"], r"without a channel number, in .*a\.nii\.gz"),
        (["a_0000.nii.gz"], ["a.nii.gz", "b.nii.gz"], r"label without an image, in .*b\.nii\.gz"),
        (["a_0001.nii.gz"], ["a.nii.gz"], r"case a is missing, in .*a_0000\.nii\.gz"),
        (["a_0000.nii.gz", "a_0001.nii.gz"], ["a.nii.gz"], r"2 image files.*a_0001\.nii\.gz"),
        (["a_0000.nii.gz", "._a_0000.nii.gz"], ["a.nii.gz"], r"hidden file.*\._a_0000\.nii\.gz"),
        (["a:b_0000.nii.gz"], [], r"not a plain name, in .*a:b_0000"),
    ],
)
def test_files_that_do_not_fit_together_are_named(
    tmp_path: Path, images: list[str], masks: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_raw_dataset(_make(tmp_path / "d", images=images, masks=masks))


def test_a_missing_second_channel_is_named(tmp_path: Path) -> None:
    folder = _make(
        tmp_path / "d",
        images=["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz"],
        masks=["a.nii.gz", "b.nii.gz"],
        channel_names={"0": "T1", "1": "T2"},
    )
    sitk.WriteImage(sitk.Image([4, 4, 3], sitk.sitkInt16), str(folder / "imagesTr" / "b_0000.nii.gz"))
    with pytest.raises(InputError, match=r"b_0001\.nii\.gz.*2 channel"):
        read_raw_dataset(folder)


@pytest.mark.parametrize("case", ["../a", "a/b", "a\\b", "..", ".a", "", "a\nb"])
def test_a_case_id_that_is_no_plain_name_is_refused(tmp_path: Path, case: str) -> None:
    listed = {case: {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}}
    with pytest.raises(InputError, match="not a plain name"):
        read_raw_dataset(_two_cases(tmp_path / "d", dataset=listed))


@pytest.mark.parametrize(
    "listed", [{}, [], {"a": {}}, {"a": {"images": ["x"]}}, {"a": None}, {"a": {"images": 1, "label": "x"}}, 3]
)
def test_a_malformed_list_of_files_is_refused(tmp_path: Path, listed: Any) -> None:
    with pytest.raises(InputError, match=r"dataset\.json"):
        read_raw_dataset(_two_cases(tmp_path / "d", dataset=listed))


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Dataset999_Gone"):
        read_raw_dataset(tmp_path / "Dataset999_Gone")


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_missing_part_of_the_folder_is_named(tmp_path: Path, part: str) -> None:
    folder = _two_cases(tmp_path / "d")
    (folder / part).rename(folder / "moved")
    with pytest.raises(InputError, match=rf"not found, in .*{part}"):
        read_raw_dataset(folder)


@pytest.mark.parametrize("key", ["images", "label"])
def test_a_listed_name_that_is_too_long_for_any_file_is_one_that_is_missing(tmp_path: Path, key: str) -> None:
    files: dict[str, Any] = {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}
    files[key] = ["a" * 3000] if key == "images" else "a" * 3000
    folder = _make(tmp_path / "d", images=["a_0000.nii.gz"], masks=["a.nii.gz"], dataset={"a": files})
    if key == "images":
        with pytest.raises(InputError, match="an image of case a is missing"):
            read_raw_dataset(folder)
    else:
        assert read_raw_dataset(folder).cases[0].label is None

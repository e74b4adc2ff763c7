from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from medpy.metric import dc
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.settings import PlanSettings
from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume, write_volume

TINY = "Dataset901_Tiny"
SETTINGS = PlanSettings(resolution=32, context=1, folds=3)
MakeDataset = Callable[..., Path]


# What a user's dataset may hold


def test_target_labels_are_merged_everywhere(
    plan_tiny: Callable[..., Plan],
    give_labels_two_values: Callable[[Path], None],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    give_labels_two_values(raw)
    plan = plan_tiny(own_folders, target_labels=(1, 2))
    assert plan.dataset_json["labels"] == {"background": 0, "target": 1}
    assert plan.plans["spd"]["target_labels"] == [1, 2]
    for case in plan.patients:
        label = read_volume(raw / "labelsTr" / f"{case}.nii.gz")[0]
        assert label.max() == 2
        np.testing.assert_array_equal(read_volume(plan.reference_folder / f"{case}.nii.gz")[0], label > 0)
        for name in ("SPDPlans_spd_32", "SPDPlans_2d"):
            _, mask, _, _ = nnUNetDatasetBlosc2(str(plan.folder / name), [case]).load_case(case)
            assert set(np.unique(mask[:])) <= {-1, 0, 1}


def test_intensities_are_those_of_the_target_alone(
    plan_tiny: Callable[..., Plan],
    give_labels_two_values: Callable[[Path], None],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, channel_names=("CT",))
    give_labels_two_values(raw)
    found = []
    for number in range(6):
        path = raw / "imagesTr" / f"case_{number}_0000.nii.gz"
        image, geometry = read_volume(path)
        label = read_volume(raw / "labelsTr" / f"case_{number}.nii.gz")[0]
        image[label == 1] -= 1000
        write_volume(path, image, geometry)
        found.append(image[label == 2])
    plan = plan_tiny(own_folders, target_labels=(2,))
    statistics = plan.plans["foreground_intensity_properties_per_channel"]["0"]
    intensities = np.concatenate(found)
    assert intensities.min() <= statistics["min"] < statistics["max"] <= intensities.max()
    assert statistics["median"] == pytest.approx(np.median(intensities), abs=3)


def test_a_target_that_no_case_has_is_refused(
    plan_tiny: Callable[..., Plan],
    half_written: Callable[[Path], list[Path]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    description = json.loads((raw / "dataset.json").read_text())
    description["labels"]["other"] = 2
    (raw / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"no voxel.*\[2\]"):
        plan_tiny(own_folders, target_labels=(2,))
    assert not half_written(own_folders.preprocessed)


def test_a_case_without_target_is_taken(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    label, geometry = read_volume(raw / "labelsTr" / "case_2.nii.gz")
    write_volume(raw / "labelsTr" / "case_2.nii.gz", np.zeros_like(label), geometry)
    plan = plan_tiny(own_folders)
    index = json.loads((plan.folder / "SPDPlans_spd_32_slices" / "case_2.json").read_text())
    assert index == {"points": [[]] * 6, "target_pixels": [0] * 6}


@pytest.mark.parametrize(
    ("pattern", "fault"), [(r"scan_(\d+)", "does not match"), (r"case_[0-4]|case_(5)", "does not match")]
)
def test_a_case_without_patient_is_refused(
    plan_tiny: Callable[..., Plan],
    names: Callable[[Path], list[str]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    pattern: str,
    fault: str,
) -> None:
    make_tiny_dataset(own_folders.raw)
    with pytest.raises(InputError, match=fault):
        plan_tiny(own_folders, patient_pattern=pattern)
    assert names(own_folders.preprocessed) == []


def test_patients_are_read_from_case_ids(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, cases=8)
    for path in [*raw.glob("images*/*"), *raw.glob("labels*/*"), *raw.glob("prompts*/*")]:
        number = int(path.name[5])
        path.rename(path.with_name(path.name.replace(f"case_{number}", f"p{number // 2}_scan{number % 2}")))
    plan = plan_tiny(own_folders, patient_pattern=r"^(p\d)_")
    assert plan.patients == {f"p{n // 2}_scan{n % 2}": f"p{n // 2}" for n in range(8)}
    for split in plan.splits:
        assert len(split["train"]) + len(split["val"]) + len(split["test"]) == 8
        assert all(len(cases) % 2 == 0 for cases in split.values())


def test_files_listed_in_dataset_json_are_taken(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    description = json.loads((raw / "dataset.json").read_text())
    description["dataset"] = {}
    labels = {}
    for number in range(6):
        case, folder = f"case_{number}", raw / "scans" / str(number)
        folder.mkdir(parents=True)
        labels[case] = read_volume(raw / "labelsTr" / f"{case}.nii.gz")[0]
        (raw / "imagesTr" / f"{case}_0000.nii.gz").rename(folder / "image.nii.gz")
        (raw / "labelsTr" / f"{case}.nii.gz").rename(folder / "label.nii.gz")
        files = {"images": [f"scans/{number}/image.nii.gz"], "label": f"scans/{number}/label.nii.gz"}
        description["dataset"][case] = files
    (raw / "dataset.json").write_text(json.dumps(description))
    plan = plan_tiny(own_folders)
    for case, label in labels.items():
        assert dc(read_volume(plan.reference_folder / f"{case}.nii.gz")[0], label) == 1.0


def test_a_dataset_that_brings_its_own_splits_can_be_planned_twice(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    (raw / "splits_final.json").write_text(json.dumps([{"train": ["case_0"], "val": ["case_1"]}]))
    first = plan_tiny(own_folders)
    assert plan_tiny(own_folders).splits == first.splits
    assert len(first.splits) == 3


def test_a_reader_that_reorients_is_not_followed(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    """KiTS lies with its slices last; nnU-Net's usual answer is a reader that turns the volumes."""
    raw = make_tiny_dataset(own_folders.raw, shape=(24, 20, 6), spacing=(1.0, 1.5, 5.0))
    turn = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
    for path in [*raw.glob("images*/*"), *raw.glob("labels*/*")]:
        voxels, old = read_volume(path)
        write_volume(path, voxels, VolumeGeometry(shape=old.shape, spacing=old.spacing, direction=turn))
    for path in raw.glob("promptsTr/*"):
        write_prompts(path, PointPrompts(positions=np.zeros((0, 3))))
    description = json.loads((raw / "dataset.json").read_text())
    description["overwrite_image_reader_writer"] = "NibabelIOWithReorient"
    (raw / "dataset.json").write_text(json.dumps(description))
    plan = plan_tiny(own_folders)
    assert plan.transpose[0] == 2
    assert plan.plans["original_median_spacing_after_transp"] == pytest.approx([5.0, 1.0, 1.5])
    _, mask, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_spd_32"), ["case_0"]).load_case("case_0")
    assert mask.shape == (1, 6, 32, 32)


@pytest.mark.parametrize("file_ending", [".nii", ".nrrd"])
def test_other_formats_are_planned_too(
    plan_tiny: Callable[..., Plan],
    names: Callable[[Path], list[str]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    file_ending: str,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=3, file_ending=file_ending)
    plan = plan_tiny(own_folders, patient_pattern="case_(.)")
    assert plan.file_ending == file_ending
    assert names(plan.reference_folder) == [f"case_{number}{file_ending}" for number in range(3)]


def test_channels_become_sams_three(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4, channel_names=("T1", "T2"))
    plan = plan_tiny(own_folders)
    assert plan.slice_settings["channels"] == [0, 1, 1]


# nnU-Net's environment


def test_one_process_for_nnunets_loaders_does_not_disturb_planning(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    assert len(plan_tiny(own_folders).patients) == 4
    monkeypatch.delenv("nnUNet_n_proc_DA")


def test_the_folders_that_are_given_are_used(
    plan_tiny: Callable[..., Plan],
    names: Callable[[Path], list[str]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    tmp_path: Path,
) -> None:
    other = DataFolders(raw=tmp_path / "a", preprocessed=tmp_path / "b", results=tmp_path / "c")
    make_tiny_dataset(other.raw, cases=4)
    assert plan_tiny(other).folder == other.preprocessed / TINY
    assert names(own_folders.preprocessed) == []

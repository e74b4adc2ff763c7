from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from medpy.metric import dc
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning import preprocessing, prompting
from spd_bench.planning.plan import Plan, read_plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, read_volume, write_volume

TINY = "Dataset901_Tiny"
SETTINGS = PlanSettings(resolution=32, context=1, folds=3)
MakeDataset = Callable[..., Path]


def _plan(folders: DataFolders, settings: PlanSettings = SETTINGS, **options: Any) -> Plan:
    return plan_and_preprocess(TINY, folders=folders, settings=settings, **options)


def _choose(**choices: Any) -> PlanSettings:
    return PlanSettings(**{"resolution": 32, "context": 1, "folds": 3, **choices})


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _half_written(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".")]


def _labels_with_two_values(folder: Path) -> None:
    """Split each target in a left part of label 1 and a right part of label 2."""
    for path in (folder / "labelsTr").iterdir():
        voxels, geometry = read_volume(path)
        voxels[:, :, geometry.shape[2] // 2 :] *= 2
        write_volume(path, voxels, geometry)
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = {"background": 0, "left": 1, "right": 2}
    (folder / "dataset.json").write_text(json.dumps(description))


# What a finished run leaves


def test_the_folder_holds_what_training_needs(planned: Plan) -> None:
    assert _names(planned.folder) == [
        "SPDPlans.json",
        "SPDPlans_2d",
        "SPDPlans_spd_32",
        "SPDPlans_spd_32_slices",
        "dataset.json",
        "dataset_fingerprint.json",
        "gt_segmentations",
        "spd_complete.json",
        "splits_final.json",
    ]
    cases = [f"case_{number}" for number in range(6)]
    files = sorted(f"{case}{ending}" for case in cases for ending in (".b2nd", "_seg.b2nd", ".pkl"))
    assert _names(planned.folder / "SPDPlans_spd_32") == files
    assert _names(planned.folder / "SPDPlans_2d") == files
    assert _names(planned.folder / "SPDPlans_spd_32_slices") == [f"{case}.json" for case in cases]
    assert _names(planned.reference_folder) == [f"{case}.nii.gz" for case in cases]


def test_the_plan_says_what_was_chosen(planned: Plan) -> None:
    assert planned.dataset == TINY
    assert planned.configuration == "spd_32"
    assert planned.resolution == 32
    assert planned.slice_settings["context"] == 1
    assert planned.transpose == (0, 1, 2)
    assert planned.dataset_json["labels"] == {"background": 0, "target": 1}
    assert planned.prompts_provenance == {"reader": "made up"}
    assert planned.patients["case_0"] == planned.patients["case_1"] == "patient_1"
    assert len(planned.splits) == 3
    assert read_plan(planned.folder) == planned


def test_a_fold_that_does_not_exist_is_refused(planned: Plan) -> None:
    for fold in (-1, 3):
        with pytest.raises(InputError, match=rf"fold {fold} does not exist.*0\.\.2"):
            planned.split(fold)


def test_a_dataset_that_is_not_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not planned"):
        read_plan(tmp_path)


def test_references_are_the_labels_on_their_own_grid(planned: Plan, tiny_raw: Path) -> None:
    for path in planned.reference_folder.iterdir():
        reference, label = sitk.ReadImage(str(path)), sitk.ReadImage(str(tiny_raw / TINY / "labelsTr" / path.name))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(reference), sitk.GetArrayFromImage(label))
        np.testing.assert_allclose(reference.GetDirection(), label.GetDirection(), atol=1e-6)
        np.testing.assert_allclose(reference.GetOrigin(), label.GetOrigin(), atol=1e-4)


def test_slice_indices_hold_points_and_target_sizes(planned: Plan, tiny_raw: Path) -> None:
    folder = planned.folder / "SPDPlans_spd_32"
    for case in planned.patients:
        index = json.loads((planned.folder / "SPDPlans_spd_32_slices" / f"{case}.json").read_text())
        _, mask, _, _ = nnUNetDatasetBlosc2(str(folder), [case]).load_case(case)
        assert index["target_pixels"] == [int((mask[0, z] == 1).sum()) for z in range(6)]
        assert index["target_pixels"][0] == index["target_pixels"][-1] == 0

        # 3D Slicer would place a point by the affine alone.
        image = nib.load(tiny_raw / TINY / "imagesTr" / f"{case}_0000.nii.gz")
        positions = read_prompts(tiny_raw / TINY / "promptsTr" / f"{case}.mrk.json").positions * (-1, -1, 1)
        columns, rows, slices = np.rint(nib.affines.apply_affine(np.linalg.inv(image.affine), positions)).astype(int).T
        expected: list[list[list[int]]] = [[] for _ in range(6)]
        for x, y, z in zip(columns, rows, slices, strict=True):
            expected[z].append([int((x + 0.5) * 32 / 20), int((y + 0.5) * 32 / 24)])
        assert [sorted(points) for points in index["points"]] == [sorted(points) for points in expected]


def test_targets_on_prompted_slices_hold_their_points(planned: Plan) -> None:
    folder = planned.folder / "SPDPlans_spd_32"
    inside = outside = 0
    for case in planned.patients:
        index = json.loads((planned.folder / "SPDPlans_spd_32_slices" / f"{case}.json").read_text())
        _, mask, _, _ = nnUNetDatasetBlosc2(str(folder), [case]).load_case(case)
        for z, points in enumerate(index["points"]):
            hits = [int(mask[0, z][y, x]) for x, y in points]
            inside, outside = inside + sum(hits), outside + len(hits) - sum(hits)
    assert (inside, outside) == (18, 6)


# Prompts


def test_absent_prompts_are_simulated_and_recorded(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    plan = _plan(own_folders, _choose(seed=7, severity=0.5))
    assert plan.prompts_provenance["simulated"] is True
    assert plan.prompts_provenance["seed"] == 7
    assert plan.prompts_provenance["severity"] == 0.5
    for case in plan.patients:
        prompts = read_prompts(raw / "promptsTr" / f"{case}.mrk.json")
        assert prompts.provenance["case"] == case
        geometry = read_geometry(raw / "imagesTr" / f"{case}_0000.nii.gz")
        assert len(prompts.voxels(geometry))
    assert not _half_written(raw)


def test_prompts_run_through_the_slices_of_a_volume_stored_otherwise(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, shape=(24, 20, 6), spacing=(1.0, 1.5, 5.0), with_prompts=False)
    plan = _plan(own_folders, _choose(severity=0.0))
    assert plan.slice_axis == 2
    for case in plan.patients:
        label, geometry = read_volume(raw / "labelsTr" / f"{case}.nii.gz")
        voxels = read_prompts(raw / "promptsTr" / f"{case}.mrk.json").voxels(geometry)
        # Clean prompts: one point in each component of each slice across the coarse axis.
        assert sorted(voxels[:, 2].tolist()) == sorted(np.flatnonzero(label.any(axis=(0, 1))).tolist())
        assert all(label[tuple(voxel)] for voxel in voxels)


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        ({"severity": 1.0}, {"severity": 2.0}, r"severity 1\.0.*severity 2\.0"),
        ({}, {"severity": 2.0}, r"severity 1\.0.*severity 2\.0"),
        ({"target_labels": (1,)}, {"target_labels": (1, 2)}, r"target labels \[1\].*\[1, 2\]"),
    ],
)
def test_prompts_simulated_otherwise_are_refused_and_the_old_plan_stays(
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    first: dict[str, Any],
    second: dict[str, Any],
    fault: str,
) -> None:
    _labels_with_two_values(make_tiny_dataset(own_folders.raw, with_prompts=False))
    plan = _plan(own_folders, _choose(**first))
    with pytest.raises(InputError, match=fault):
        _plan(own_folders, _choose(**second))
    assert read_plan(plan.folder) == plan
    assert _plan(own_folders, _choose(**first)) == plan


def test_a_severity_for_points_that_a_reader_drew_is_refused(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset
) -> None:
    make_tiny_dataset(own_folders.raw)
    with pytest.raises(InputError, match="not simulated"):
        _plan(own_folders, _choose(severity=1.0))
    assert _names(own_folders.preprocessed) == []


# Runs that are cut short


def _fail_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, call: int, error: BaseException) -> None:
    original, calls = getattr(module, name), []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, failing)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (prompting, "simulate_prompts"),
        (preprocessing, "merge_target_labels"),
        (preprocessing, "preprocess_case"),
        (preprocessing, "points_on_slices"),
    ],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk full")])
def test_a_run_that_was_cut_short_leaves_nothing_half_and_can_be_repeated(
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    error: BaseException,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, cases=4, with_prompts=False)
    folder = own_folders.preprocessed / TINY
    with monkeypatch.context() as patch:
        _fail_at(patch, module, name, call=3, error=error)
        with pytest.raises(type(error)):
            _plan(own_folders)
    assert not (folder / "spd_complete.json").exists()
    assert not _half_written(own_folders.preprocessed)
    assert not _half_written(raw)
    prompts = raw / "promptsTr"
    assert not prompts.is_dir() or len(_names(prompts)) in (0, 4)
    with pytest.raises(InputError, match="not planned"):
        read_plan(folder)
    assert len(_plan(own_folders).patients) == 4


def test_a_repeated_run_that_is_cut_short_no_longer_looks_complete(
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4)
    plan = _plan(own_folders)
    _fail_at(monkeypatch, preprocessing, "preprocess_case", call=2, error=OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        _plan(own_folders)
    assert not (plan.folder / "spd_complete.json").exists()


def test_bad_input_leaves_an_earlier_plan_as_it_was(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    make_tiny_dataset(own_folders.raw)
    plan = _plan(own_folders)
    with pytest.raises(InputError, match="cannot be split into 6 folds"):
        _plan(own_folders, _choose(folds=6))
    assert read_plan(plan.folder) == plan


def test_planning_twice_gives_the_same_plan(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    make_tiny_dataset(own_folders.raw, with_prompts=False)
    first, second = _plan(own_folders), _plan(own_folders)
    assert first == second
    assert first.hashes() == second.hashes()


# What a user's dataset may hold


def test_target_labels_are_merged_everywhere(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    _labels_with_two_values(raw)
    plan = _plan(own_folders, _choose(target_labels=(1, 2)))
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
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, channel_names=("CT",))
    _labels_with_two_values(raw)
    found = []
    for number in range(6):
        path = raw / "imagesTr" / f"case_{number}_0000.nii.gz"
        image, geometry = read_volume(path)
        label = read_volume(raw / "labelsTr" / f"case_{number}.nii.gz")[0]
        image[label == 1] -= 1000
        write_volume(path, image, geometry)
        found.append(image[label == 2])
    plan = _plan(own_folders, _choose(target_labels=(2,)))
    statistics = plan.plans["foreground_intensity_properties_per_channel"]["0"]
    intensities = np.concatenate(found)
    assert intensities.min() <= statistics["min"] < statistics["max"] <= intensities.max()
    assert statistics["median"] == pytest.approx(np.median(intensities), abs=3)


def test_a_target_that_no_case_has_is_refused(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    description = json.loads((raw / "dataset.json").read_text())
    description["labels"]["other"] = 2
    (raw / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"no voxel.*\[2\]"):
        _plan(own_folders, _choose(target_labels=(2,)))
    assert not _half_written(own_folders.preprocessed)


def test_a_case_without_target_is_taken(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    label, geometry = read_volume(raw / "labelsTr" / "case_2.nii.gz")
    write_volume(raw / "labelsTr" / "case_2.nii.gz", np.zeros_like(label), geometry)
    plan = _plan(own_folders)
    index = json.loads((plan.folder / "SPDPlans_spd_32_slices" / "case_2.json").read_text())
    assert index == {"points": [[]] * 6, "target_pixels": [0] * 6}


@pytest.mark.parametrize(
    ("pattern", "fault"), [(r"scan_(\d+)", "does not match"), (r"case_[0-4]|case_(5)", "does not match")]
)
def test_a_case_without_patient_is_refused(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, pattern: str, fault: str
) -> None:
    make_tiny_dataset(own_folders.raw)
    with pytest.raises(InputError, match=fault):
        _plan(own_folders, _choose(patient_pattern=pattern))
    assert _names(own_folders.preprocessed) == []


def test_patients_are_read_from_case_ids(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw, cases=8)
    for path in [*raw.glob("images*/*"), *raw.glob("labels*/*"), *raw.glob("prompts*/*")]:
        number = int(path.name[5])
        path.rename(path.with_name(path.name.replace(f"case_{number}", f"p{number // 2}_scan{number % 2}")))
    plan = _plan(own_folders, _choose(patient_pattern=r"^(p\d)_"))
    assert plan.patients == {f"p{n // 2}_scan{n % 2}": f"p{n // 2}" for n in range(8)}
    for split in plan.splits:
        assert len(split["train"]) + len(split["val"]) + len(split["test"]) == 8
        assert all(len(cases) % 2 == 0 for cases in split.values())


def test_files_listed_in_dataset_json_are_taken(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
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
    plan = _plan(own_folders)
    for case, label in labels.items():
        assert dc(read_volume(plan.reference_folder / f"{case}.nii.gz")[0], label) == 1.0


def test_a_dataset_that_brings_its_own_splits_can_be_planned_twice(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    raw = make_tiny_dataset(own_folders.raw)
    (raw / "splits_final.json").write_text(json.dumps([{"train": ["case_0"], "val": ["case_1"]}]))
    first = _plan(own_folders)
    assert _plan(own_folders).splits == first.splits
    assert len(first.splits) == 3


def test_a_reader_that_reorients_is_not_followed(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
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
    plan = _plan(own_folders)
    assert plan.transpose[0] == 2
    assert plan.plans["original_median_spacing_after_transp"] == pytest.approx([5.0, 1.0, 1.5])
    _, mask, _, _ = nnUNetDatasetBlosc2(str(plan.folder / "SPDPlans_spd_32"), ["case_0"]).load_case("case_0")
    assert mask.shape == (1, 6, 32, 32)


@pytest.mark.parametrize("file_ending", [".nii", ".nrrd"])
def test_other_formats_are_planned_too(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None, file_ending: str
) -> None:
    make_tiny_dataset(own_folders.raw, cases=3, file_ending=file_ending)
    plan = _plan(own_folders, _choose(patient_pattern="case_(.)"))
    assert plan.file_ending == file_ending
    assert _names(plan.reference_folder) == [f"case_{number}{file_ending}" for number in range(3)]


def test_channels_become_sams_three(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4, channel_names=("T1", "T2"))
    plan = _plan(own_folders)
    assert plan.slice_settings["channels"] == [0, 1, 1]


# nnU-Net's environment


def test_one_process_for_nnunets_loaders_does_not_disturb_planning(
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    assert len(_plan(own_folders).patients) == 4
    monkeypatch.delenv("nnUNet_n_proc_DA")


def test_the_folders_that_are_given_are_used(
    own_folders: DataFolders, make_tiny_dataset: MakeDataset, fingerprint_in_threads: None, tmp_path: Path
) -> None:
    other = DataFolders(raw=tmp_path / "a", preprocessed=tmp_path / "b", results=tmp_path / "c")
    make_tiny_dataset(other.raw, cases=4)
    assert _plan(other).folder == other.preprocessed / TINY
    assert _names(own_folders.preprocessed) == []

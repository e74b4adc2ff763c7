from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.errors import InputError
from spd_bench.paths import DataFolders
from spd_bench.planning import preprocessing, prompting
from spd_bench.planning.plan import Plan, read_plan
from spd_bench.planning.prepare import is_planned
from spd_bench.planning.settings import PlanSettings
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.volumes import read_geometry, read_volume

TINY = "Dataset901_Tiny"
SETTINGS = PlanSettings(resolution=32, context=1, folds=3)
MakeDataset = Callable[..., Path]


# What a finished run leaves


def test_the_folder_holds_what_training_needs(names: Callable[[Path], list[str]], planned: Plan) -> None:
    assert names(planned.folder) == [
        "SPDPlans.json",
        "SPDPlans_2d",
        "SPDPlans_2d_sums.json",
        "SPDPlans_spd_32",
        "SPDPlans_spd_32_slices",
        "SPDPlans_spd_32_sums.json",
        "dataset.json",
        "dataset_fingerprint.json",
        "gt_segmentations",
        "spd_complete.json",
        "splits_final.json",
    ]
    cases = [f"case_{number}" for number in range(6)]
    files = sorted(f"{case}{ending}" for case in cases for ending in (".b2nd", "_seg.b2nd", ".pkl"))
    assert names(planned.folder / "SPDPlans_spd_32") == files
    assert names(planned.folder / "SPDPlans_2d") == files
    assert names(planned.folder / "SPDPlans_spd_32_slices") == [f"{case}.json" for case in cases]
    assert names(planned.reference_folder) == [f"{case}.nii.gz" for case in cases]


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


def test_only_the_same_dataset_and_settings_count_as_planned(
    choose: Callable[..., PlanSettings], planned: Plan, folders: DataFolders
) -> None:
    assert is_planned(TINY, folders=folders, settings=SETTINGS)
    assert not is_planned(TINY, folders=folders, settings=choose(seed=1))
    assert not is_planned("Dataset902_Absent", folders=folders, settings=SETTINGS)


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
    plan_tiny: Callable[..., Plan],
    half_written: Callable[[Path], list[Path]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    plan = plan_tiny(own_folders, seed=7, severity=0.5)
    assert plan.prompts_provenance["simulated"] is True
    assert plan.prompts_provenance["seed"] == 7
    assert plan.prompts_provenance["severity"] == 0.5
    for case in plan.patients:
        prompts = read_prompts(raw / "promptsTr" / f"{case}.mrk.json")
        assert prompts.provenance["case"] == case
        geometry = read_geometry(raw / "imagesTr" / f"{case}_0000.nii.gz")
        assert len(prompts.voxels(geometry))
    assert not half_written(raw)


def test_prompts_run_through_the_slices_of_a_volume_stored_otherwise(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, shape=(24, 20, 6), spacing=(1.0, 1.5, 5.0), with_prompts=False)
    plan = plan_tiny(own_folders, severity=0.0)
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
        ({}, {"severity": 2.0}, r"severity 1\.0.*severity 2\.0"),
        ({"target_labels": (1,)}, {"target_labels": (1, 2)}, r"target labels \[1\].*\[1, 2\]"),
    ],
)
def test_prompts_simulated_otherwise_are_refused_and_the_old_plan_stays(
    plan_tiny: Callable[..., Plan],
    give_labels_two_values: Callable[[Path], None],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    first: dict[str, Any],
    second: dict[str, Any],
    fault: str,
) -> None:
    give_labels_two_values(make_tiny_dataset(own_folders.raw, with_prompts=False))
    plan = plan_tiny(own_folders, **first)
    with pytest.raises(InputError, match=fault):
        plan_tiny(own_folders, **second)
    assert read_plan(plan.folder) == plan
    assert plan_tiny(own_folders, **first) == plan


def test_a_severity_for_points_that_a_reader_drew_is_refused(
    plan_tiny: Callable[..., Plan],
    names: Callable[[Path], list[str]],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
) -> None:
    make_tiny_dataset(own_folders.raw)
    with pytest.raises(InputError, match="not simulated"):
        plan_tiny(own_folders, severity=1.0)
    assert names(own_folders.preprocessed) == []


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
    ("module", "name", "error"),
    [
        (prompting, "simulate_prompts", KeyboardInterrupt()),
        (preprocessing, "merge_target_labels", OSError("disk full")),
        (preprocessing, "preprocess_case", OSError("disk full")),
        (preprocessing, "points_on_slices", KeyboardInterrupt()),
    ],
)
def test_a_run_that_was_cut_short_leaves_nothing_half_and_can_be_repeated(
    plan_tiny: Callable[..., Plan],
    names: Callable[[Path], list[str]],
    half_written: Callable[[Path], list[Path]],
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
            plan_tiny(own_folders)
    assert not (folder / "spd_complete.json").exists()
    assert not half_written(own_folders.preprocessed)
    assert not half_written(raw)
    prompts = raw / "promptsTr"
    assert not prompts.is_dir() or len(names(prompts)) in (0, 4)
    with pytest.raises(InputError, match="not planned"):
        read_plan(folder)
    assert len(plan_tiny(own_folders).patients) == 4


def test_a_repeated_run_that_is_cut_short_no_longer_looks_complete(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_tiny_dataset(own_folders.raw, cases=4)
    plan = plan_tiny(own_folders)
    _fail_at(monkeypatch, preprocessing, "preprocess_case", call=2, error=OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        plan_tiny(own_folders)
    assert not (plan.folder / "spd_complete.json").exists()


def test_bad_input_leaves_an_earlier_plan_as_it_was(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    make_tiny_dataset(own_folders.raw)
    plan = plan_tiny(own_folders)
    with pytest.raises(InputError, match="cannot be split into 6 folds"):
        plan_tiny(own_folders, folds=6)
    assert read_plan(plan.folder) == plan


def test_planning_twice_gives_the_same_plan(
    plan_tiny: Callable[..., Plan],
    own_folders: DataFolders,
    make_tiny_dataset: MakeDataset,
    fingerprint_in_threads: None,
) -> None:
    make_tiny_dataset(own_folders.raw, with_prompts=False)
    first, second = plan_tiny(own_folders), plan_tiny(own_folders)
    assert first == second
    assert first.hashes() == second.hashes()

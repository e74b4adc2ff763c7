from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.inspection.cautions import cautions
from spd_bench.inspection.figures import CaseFigures
from spd_bench.inspection.survey import survey
from spd_bench.inspection.view import DatasetView, unplanned_view
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_volume, write_volume

Make = Callable[..., Path]


def _inspected(folder: Path, **changes: Any) -> tuple[DatasetView, list[CaseFigures]]:
    view = replace(unplanned_view(read_raw_dataset(folder)), **changes)
    found = survey(view)
    assert found.faults == {}
    return view, found.cases


def _told(folder: Path, **changes: Any) -> str:
    return "\n".join(cautions(*_inspected(folder, **changes)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, make_tiny_dataset: Make) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("raw"), cases=4)


def test_a_sound_dataset_of_the_right_size_raises_no_warning(tmp_path: Path, make_tiny_dataset: Make) -> None:
    folder = make_tiny_dataset(tmp_path, cases=4, shape=(6, 32, 32))
    assert _told(folder, resolution=32, folds=1) == ""


def test_few_patients_are_told(tiny: Path) -> None:
    assert "3 patient(s) cannot be split into 5 folds" in _told(tiny, folds=5)
    assert "few patients: 3 in 3 folds" in _told(tiny, folds=3)


def test_resizing_is_told_with_its_factors(tiny: Path) -> None:
    told = _told(tiny, resolution=48)
    assert "(24x20) are resized to 48x48: rows by 2, columns by 2.4, which changes the aspect by up to 1.20" in told


def test_targets_that_resizing_loses_are_told(tiny: Path) -> None:
    label = tiny / "labelsTr" / "case_2.nii.gz"
    before = label.read_bytes()
    voxels, geometry = read_volume(label)
    voxels[0, 0, 0] = 1
    write_volume(label, voxels, geometry)
    told = _told(tiny, resolution=8)
    label.write_bytes(before)
    assert "target below one pixel at 8x8 on 1 slice(s): case_2" in told
    assert "target below one pixel" not in _told(tiny, resolution=8)


def test_one_millimetre_everywhere_is_doubted(tmp_path: Path, make_tiny_dataset: Make, tiny: Path) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2, spacing=(1.0, 1.0, 1.0))
    assert "1 x 1 x 1 mm" in _told(folder)
    assert "1 x 1 x 1 mm" not in _told(tiny)


def test_an_impossible_spacing_is_doubted(tmp_path: Path, make_tiny_dataset: Make) -> None:
    assert "spacing below 0.05 mm or above 25 mm: case_0, case_1" in _told(
        make_tiny_dataset(tmp_path, cases=2, spacing=(5.0, 0.001, 0.001))
    )


def test_a_header_with_two_voxel_sizes_is_told(tmp_path: Path, make_tiny_dataset: Make, tiny: Path) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2)
    for file in ("imagesTr/case_0_0000.nii.gz", "labelsTr/case_0.nii.gz"):
        image = nib.load(folder / file)
        voxels = np.asarray(image.dataobj)
        lying = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
        lying.header.set_zooms((1.4, 1.4, 13.0))
        lying.header["qform_code"] = 0
        lying.header["sform_code"] = 2
        lying.to_filename(folder / file)
    (folder / "promptsTr" / "case_0.mrk.json").unlink()
    told = _told(folder)
    assert "in 1 case(s), such as 1.4 x 1.4 x 13 mm in pixdim against 1 x 1 x 1 mm in the affine" in told
    assert told.split("two voxel sizes")[1].splitlines()[0].endswith("case_0")
    assert "two voxel sizes" not in _told(tiny)


@pytest.mark.parametrize(
    ("offset", "told"), [(1024.0, "no voxel is below 0"), (9000.0, "goes beyond 4000 HU"), (-200.0, "")]
)
def test_intensities_that_ct_cannot_have_are_doubted(
    tmp_path: Path, make_tiny_dataset: Make, offset: float, told: str
) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2, channel_names=("CT",), shape=(6, 32, 32))
    for file in (folder / "imagesTr").iterdir():
        voxels, geometry = read_volume(file)
        write_volume(file, voxels + np.float32(offset), geometry)
    assert told in _told(folder)
    assert ("CT" in _told(folder)) == bool(told)


def test_points_that_mostly_lie_outside_are_told(tiny: Path) -> None:
    view, cases = _inspected(tiny)
    points = cases[1].points
    assert points is not None
    cases[1] = replace(cases[1], points=replace(points, quality=replace(points.quality, points_inside=0)))
    [line] = [line for line in cautions(view, cases) if "more than half" in line]
    assert line.endswith("case_1")


def test_prompts_that_are_missing_or_belong_to_no_case_are_told(tmp_path: Path, make_tiny_dataset: Make) -> None:
    folder = make_tiny_dataset(tmp_path, cases=3)
    prompts = folder / "promptsTr"
    (prompts / "case_1.mrk.json").rename(prompts / "case_9.mrk.json")
    told = _told(folder)
    assert "no prompt file for 1 case(s): case_1; planning completes simulated prompts" in told
    assert "that are no case's <case>.mrk.json: case_9.mrk.json" in told


def test_empty_labels_and_unused_values_are_told(tmp_path: Path, make_tiny_dataset: Make) -> None:
    folder = make_tiny_dataset(tmp_path, cases=3)
    file = folder / "labelsTr" / "case_2.nii.gz"
    voxels, geometry = read_volume(file)
    write_volume(file, np.zeros_like(voxels), geometry)
    description = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(description.replace('"target": 1', '"target": 1, "other": 2'))
    told = _told(folder)
    assert "label map empty in 1 of 3 case(s): case_2" in told
    assert "that no case has: 2" in told


@pytest.mark.parametrize(("value", "values"), [(255, r"[0, 255]"), (3, r"[0, 3]")])
def test_label_values_with_a_gap_are_told(tmp_path: Path, make_tiny_dataset: Make, value: int, values: str) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2)
    assert "consecutive" not in _told(folder)
    for file in (folder / "labelsTr").iterdir():
        voxels, geometry = read_volume(file)
        write_volume(file, (voxels * value).astype(np.uint8), geometry)
    description = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(description.replace('"target": 1', f'"target": {value}'))
    view = unplanned_view(read_raw_dataset(folder), target_labels=[value])
    found = survey(view)
    assert found.faults == {}
    told = cautions(view, found.cases)
    assert f"label values {values} of dataset.json are not consecutive: planning refuses that" in told


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (
            255,
            "label value(s) [255] are not in dataset.json, in {file}: a label holds values, not grey levels: store"
            " one of [0, 1] instead of 255",
        ),
        (
            0.5,
            "label value 0.5 is not a whole number, in {file}: save labels as integers, resampled with nearest"
            " neighbour only",
        ),
        (
            2,
            "label value(s) [2] are not in dataset.json, in {file}: map them to [0, 1], or declare them in"
            " dataset.json",
        ),
        (7, "label value(s) [7] are not in dataset.json, in {file}: map them to [0, 1]"),
    ],
)
def test_remedies_for_label_values_do_not_lead_to_the_next_fault(
    tmp_path: Path, make_tiny_dataset: Make, scale: float, told: str
) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2)
    file = folder / "labelsTr" / "case_0.nii.gz"
    voxels, geometry = read_volume(file)
    write_volume(file, (voxels * scale).astype(np.float32), geometry)
    found = survey(unplanned_view(read_raw_dataset(folder)))
    assert found.faults == {"case_0": told.format(file=file)}


def test_slices_in_different_planes_are_told(tmp_path: Path, make_tiny_dataset: Make) -> None:
    folder = make_tiny_dataset(tmp_path, cases=3, with_prompts=False)
    for file in (folder / "imagesTr" / "case_1_0000.nii.gz", folder / "labelsTr" / "case_1.nii.gz"):
        image = sitk.ReadImage(str(file))
        image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
        sitk.WriteImage(image, str(file))
    assert "slices along axis z are axial in 2 case(s), sagittal in 1 case(s)" in _told(folder)


def test_an_image_of_one_value_is_told(tmp_path: Path, make_tiny_dataset: Make) -> None:
    folder = make_tiny_dataset(tmp_path, cases=2)
    file = folder / "imagesTr" / "case_1_0000.nii.gz"
    voxels, geometry = read_volume(file)
    write_volume(file, np.full_like(voxels, 7), geometry)
    assert "one value only: case_1" in _told(folder)


def test_cases_that_the_plan_does_not_know_are_told(tiny: Path) -> None:
    view = replace(unplanned_view(read_raw_dataset(tiny)), test_folds={"case_0": 0, "case_1": 0, "case_2": 1})
    told = "\n".join(cautions(view, survey(view).cases))
    assert "1 case(s) unknown to the plan, plan anew: case_3" in told


def test_geometry_of_the_doubted_dataset_is_the_header_s(tiny: Path) -> None:
    _, cases = _inspected(tiny)
    assert {case.geometry.spacing for case in cases} == {(5.0, 1.0, 1.5)}
    assert all(isinstance(case.geometry, VolumeGeometry) for case in cases)

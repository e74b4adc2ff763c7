from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

from spd_bench.errors import InputError
from spd_bench.prompts.points import PointPrompts, read_prompts
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.raw.writer import RawDatasetWriter

GEOMETRY = VolumeGeometry(
    shape=(3, 6, 8), spacing=(5.0, 1.5, 0.7), origin=(3.0, 4.0, 5.0), direction=(-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)
)
POINTS = PointPrompts.from_voxels(np.array([[1, 2, 3], [2, 3, 3]]), GEOMETRY)
SIMULATED = PointPrompts.from_voxels(np.array([[1, 2, 3]]), GEOMETRY, provenance={"simulated": True})


def _label() -> np.ndarray:
    label = np.zeros(GEOMETRY.shape, dtype=np.uint8)
    label[1:, 2:4, 2:5] = 1
    return label


def _case(case: str, *, channels: int = 1, prompts: PointPrompts | None = None, **changes: Any) -> dict[str, Any]:
    image = np.random.default_rng(0).normal(size=GEOMETRY.shape).astype(np.float32)
    arguments = {
        "case": case,
        "images": [image + number for number in range(channels)],
        "label": _label(),
        "geometry": GEOMETRY,
        "prompts": prompts,
    }
    return arguments | changes


def test_a_written_dataset_passes_our_verification_and_nnunets(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset901_Toy"
    writer = RawDatasetWriter(folder=folder, channel_names=["T1", "T2"], description="made up", target_name="lesion")
    writer.add_case(**_case("CT_0000_a", channels=2, prompts=POINTS, patient="p1"))
    writer.add_case(**_case("b", channels=2, prompts=POINTS))
    writer.finish()

    verify_dataset_integrity(str(folder), num_processes=1)
    dataset = read_raw_dataset(folder)
    verify_raw_dataset(dataset, target_labels=[1])
    assert [(case.case, case.patient) for case in dataset.cases] == [("CT_0000_a", "p1"), ("b", "b")]
    assert dataset.labels == {"background": 0, "lesion": 1}
    assert list(dataset.channel_names.values()) == ["T1", "T2"]
    assert json.loads((folder / "dataset.json").read_text())["description"] == "made up"


def test_files_hold_what_was_given_as_simpleitk_reads_it(tmp_path: Path) -> None:
    writer = RawDatasetWriter(folder=tmp_path / "d", channel_names=["T1", "T2"], file_ending=".nrrd")
    case = _case("a", channels=2, prompts=POINTS)
    writer.add_case(**case)
    for channel in range(2):
        image = sitk.ReadImage(str(tmp_path / "d" / "imagesTr" / f"a_{channel:04d}.nrrd"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case["images"][channel])
        np.testing.assert_allclose(image.GetSpacing(), (0.7, 1.5, 5.0))
        np.testing.assert_allclose(image.GetDirection(), GEOMETRY.direction)
    label = sitk.ReadImage(str(tmp_path / "d" / "labelsTr" / "a.nrrd"))
    assert label.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(label), _label())
    prompts = read_prompts(tmp_path / "d" / "promptsTr" / "a.mrk.json")
    np.testing.assert_allclose(prompts.positions[0], label.TransformIndexToPhysicalPoint((3, 2, 1)))


def test_a_second_run_adds_to_the_first_and_keeps_its_patients(tmp_path: Path) -> None:
    first = RawDatasetWriter(folder=tmp_path, channel_names=["CT"])
    first.add_case(**_case("a", patient="p1"))
    first.finish()
    second = RawDatasetWriter(folder=tmp_path, channel_names=["CT"])
    second.add_case(**_case("b", patient="p2"))
    second.finish()
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["numTraining"] == 2
    assert content["patients"] == {"a": "p1", "b": "p2"}


def test_the_number_of_cases_is_what_lies_in_the_folder(tmp_path: Path) -> None:
    writer = RawDatasetWriter(folder=tmp_path, channel_names=["CT"])
    for case in ("a", "b", "c"):
        writer.add_case(**_case(case))
    (tmp_path / "labelsTr" / "b.nii.gz").unlink()
    writer.finish()
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["numTraining"] == 2
    assert sorted(content["patients"]) == ["a", "c"]


def test_a_case_written_again_loses_simulated_points_but_keeps_a_readers(tmp_path: Path) -> None:
    writer = RawDatasetWriter(folder=tmp_path, channel_names=["CT"])
    writer.add_case(**_case("simulated", prompts=SIMULATED))
    writer.add_case(**_case("drawn", prompts=POINTS))
    writer.add_case(**_case("simulated"))
    writer.add_case(**_case("drawn"))
    assert [path.name for path in (tmp_path / "promptsTr").iterdir()] == ["drawn.mrk.json"]


@pytest.mark.parametrize("case", ["../a", "a/b", "..", "", ".a"])
def test_a_case_id_that_is_no_plain_name_is_refused_and_nothing_written(tmp_path: Path, case: str) -> None:
    with pytest.raises(InputError, match="plain name"):
        RawDatasetWriter(folder=tmp_path / "d", channel_names=["CT"]).add_case(**_case(case))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"images": []},
        {"images": [np.zeros((3, 6, 7), np.float32)]},
        {"label": np.zeros((3, 6, 7), np.uint8)},
        {"label": np.zeros(GEOMETRY.shape, np.int16)},
        {"label": np.full(GEOMETRY.shape, 2, np.uint8)},
    ],
    ids=["no channel", "image shape", "label shape", "label type", "label value"],
)
def test_arrays_that_are_not_as_described_are_refused_and_nothing_written(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"channel|shape|label"):
        RawDatasetWriter(folder=tmp_path / "d", channel_names=["CT"]).add_case(**_case("a", **changes))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("arguments", [{"channel_names": []}, {"channel_names": ["CT"], "target_name": "background"}])
def test_a_writer_refuses_names_that_make_no_dataset(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="name"):
        RawDatasetWriter(folder=tmp_path, **arguments)

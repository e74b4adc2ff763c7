from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from medpy.metric import dc

from spd_bench.cli.evaluate import main
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume

GEOMETRY = VolumeGeometry(shape=(4, 6, 7), spacing=(5.0, 0.8, 0.8))


def _mask(seed: int) -> Any:
    return (np.random.default_rng(seed).random(GEOMETRY.shape) < 0.4).astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, case in enumerate("abc"):
        write_volume(tmp_path / "labelsTs" / f"{case}.nii.gz", _mask(number), GEOMETRY)
        write_volume(tmp_path / "spd" / f"{case}.nii.gz", _mask(number + 10), GEOMETRY)
    return tmp_path


def _run(data: Path, *more: str) -> int:
    folders = ["--reference", str(data / "labelsTs"), "--prediction", str(data / "spd"), "-o", str(data / "out")]
    return main([*folders, *more])


def _rows(data: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(data / "out" / name)


def _assert_refused(data: Path, capsys: pytest.CaptureFixture[str], fault: str, *more: str) -> None:
    assert _run(data, *more) == 2
    message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(message) == 1
    assert fault in message[0]
    assert not (data / "out").exists()


def test_the_frames_their_rules_and_a_summary_are_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(data, "--dataset", "TI", "--method", "unet", "--fold", "2") == 0
    names = ["evaluation.json", "slices.csv", "summary.csv", "volumes.csv"]
    assert sorted(path.name for path in (data / "out").iterdir()) == names
    expected = [dc(_mask(number + 10), _mask(number)) for number in range(3)]
    np.testing.assert_allclose(_rows(data, "volumes.csv")["volumetric_dice"], expected, atol=1e-12)
    summary = _rows(data, "summary.csv")
    assert ",".join(summary.columns) == "dataset,method,metric,mean,std,ci_low,ci_high,n"
    assert summary["metric"].tolist() == [
        *("average_dice", "volumetric_dice", "foreground_dice", "average_iou", "hd95_mm", "asd_mm"),
        *("volumetric_hd95_mm", "volumetric_asd_mm", "nsd_1mm", "nsd_2mm"),
        *("lesion_recall", "lesion_precision", "lesion_f1"),
    ]
    assert summary.set_index("metric").loc["volumetric_dice", "mean"] == pytest.approx(np.mean(expected))
    assert set(_rows(data, "slices.csv")[["dataset", "method", "fold"]].itertuples(index=False, name=None)) == {
        ("TI", "unet", 2)
    }
    out = capsys.readouterr().out
    assert "TI, unet: 3 volumes of 3 patients, 12 slices along axis 0" in out
    assert f"{np.mean(expected):.4f}" in out
    assert str(data / "out" / "summary.csv") in out


def test_hd95_convention_is_applied_and_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(data) == 0
    pooled, out = _rows(data, "volumes.csv"), capsys.readouterr().out
    assert "both directed sets of surface distances pooled (medpy's convention)" in out
    assert _run(data, "--hd95", "max") == 0
    larger = _rows(data, "volumes.csv")
    assert (larger["volumetric_hd95_mm"] >= pooled["volumetric_hd95_mm"]).all()
    assert not larger["volumetric_hd95_mm"].equals(pooled["volumetric_hd95_mm"])
    assert larger["volumetric_asd_mm"].equals(pooled["volumetric_asd_mm"])
    assert "larger of the 95th percentiles" in capsys.readouterr().out
    assert json.loads((data / "out" / "evaluation.json").read_text())["hd95"] == "max"


def test_nnunet_policy_leaves_empty_slices_out_and_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("labelsTs", "spd"):
        masks = [_mask(number) for number in range(3)]
        for mask, case in zip(masks, "abc", strict=True):
            mask[0] = 0
            write_volume(data / folder / f"{case}.nii.gz", mask, GEOMETRY)
    write_volume(data / "spd" / "a.nii.gz", np.zeros(GEOMETRY.shape, np.uint8), GEOMETRY)
    expected = {"paper": ((1 + 0 + 0 + 0) + 4 + 4, 12), "nnunet": ((0 + 0 + 0) + 3 + 3, 9)}
    for policy, (total, count) in expected.items():
        assert _run(data, "--empty-policy", policy) == 0
        average = _rows(data, "summary.csv").set_index("metric").loc["average_dice"]
        assert (average["mean"], average["n"]) == (pytest.approx(total / count), count)
        assert json.loads((data / "out" / "evaluation.json").read_text())["empty_policy"] == policy
    assert "nnU-Net's rule for empty masks" in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--hd95", "mean"), ("--empty-policy", "skip")])
def test_unknown_conventions_are_refused(data: Path, more: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run(data, *more)
    assert ended.value.code == 2


def test_an_empty_folder_of_predictions_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "spd").iterdir():
        path.unlink()
    (data / "spd" / "readme.txt").write_text("no mask")
    _assert_refused(data, capsys, "no masks to score, in " + str(data / "spd"))


def test_references_are_not_scored_against_themselves(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _assert_refused(data, capsys, "one folder is given as both", "--prediction", str(data / "labelsTs"))


def test_names_default_to_the_folders(data: Path) -> None:
    assert _run(data) == 0
    assert _rows(data, "volumes.csv").loc[0, ["dataset", "method", "fold"]].tolist() == ["labelsTs", "spd", 0]


def test_missing_and_extra_predictions_are_named_on_stderr(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "spd" / "b.nii.gz").rename(data / "spd" / "q.nii.gz")
    assert _run(data) == 0
    err = capsys.readouterr().err
    assert "1 missing predictions, scored as empty masks: b" in err
    assert "1 predictions without a reference, not scored: q" in err
    rules = json.loads((data / "out" / "evaluation.json").read_text())
    assert (rules["missing_predictions"], rules["extra_predictions"]) == (["b"], ["q"])
    assert _rows(data, "volumes.csv").set_index("case").loc["b", "volumetric_dice"] == 0


def test_files_that_are_no_volumes_are_named_on_stderr(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(7):
        (data / "spd" / f"{number}.npz").write_text("probabilities")
    (data / "labelsTs" / "notes.txt").write_text("notes")
    (data / "labelsTs" / ".hidden").write_text("left by the system")
    assert _run(data) == 0
    err = capsys.readouterr().err
    assert "1 files in the reference folder are no volumes, not read: notes.txt\n" in err
    assert "7 files in the prediction folder are no volumes, not read: 0.npz, 1.npz, 2.npz, 3.npz, 4.npz, ...\n" in err
    not_read = json.loads((data / "out" / "evaluation.json").read_text())["files_not_read"]
    assert not_read == {"reference": ["notes.txt"], "prediction": [f"{number}.npz" for number in range(7)]}


@pytest.mark.parametrize("folder", ["labelsTs", "spd"])
def test_a_link_to_nothing_is_refused(data: Path, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    path = data / folder / "c.nii.gz"
    path.unlink()
    path.symlink_to(data / "nowhere.nii.gz")
    _assert_refused(data, capsys, f"a folder or a link to nothing, in {path}")


def test_an_image_given_as_reference_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_volume(data / "labelsTs" / "c.nii.gz", np.full(GEOMETRY.shape, -1000, np.int16), GEOMETRY)
    _assert_refused(data, capsys, f"negative values, such as -1000, in {data / 'labelsTs' / 'c.nii.gz'}")


def test_target_labels_slice_axis_and_jobs_are_passed_on(data: Path) -> None:
    labels = np.random.default_rng(5).integers(0, 4, GEOMETRY.shape).astype(np.uint8)
    write_volume(data / "labelsTs" / "a.nii.gz", labels, GEOMETRY)
    assert _run(data, "--target-labels", "2", "3", "--slice-axis", "2", "--jobs", "2") == 0
    slices = _rows(data, "slices.csv")
    assert len(slices) == 21
    assert slices.loc[slices["case"] == "a", "reference_pixels"].sum() == (labels >= 2).sum()


def test_patients_of_the_raw_dataset_are_kept_together(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "dataset.json").write_text(json.dumps({"patients": {"a": "p", "b": "p"}}))
    assert _run(data) == 0
    assert "3 volumes of 2 patients" in capsys.readouterr().out


def test_damaged_patients_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "dataset.json").write_text(json.dumps({"patients": ["a", "b"]}))
    _assert_refused(data, capsys, "dataset.json")


def test_predictions_with_other_names_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in list((data / "spd").iterdir()):
        path.rename(path.with_name(f"pred_{path.name}"))
    _assert_refused(data, capsys, "none of the 3 references has a prediction of its name")


@pytest.mark.parametrize(
    ("voxels", "fault"),
    [
        (_mask(0) * 255, "not a binary mask, values 0, 255"),
        (np.full(GEOMETRY.shape, np.nan, np.float32), "NaN"),
        (np.full(GEOMETRY.shape, 0.25, np.float32), "threshold probabilities"),
    ],
)
def test_prediction_that_is_no_mask_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], voxels: Any, fault: str
) -> None:
    write_volume(data / "spd" / "c.nii.gz", voxels, GEOMETRY)
    _assert_refused(data, capsys, fault)


def test_prediction_on_another_grid_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_volume(data / "spd" / "c.nii.gz", _mask(0), VolumeGeometry(shape=GEOMETRY.shape, spacing=(4.0, 0.8, 0.8)))
    _assert_refused(data, capsys, str(data / "spd" / "c.nii.gz"))


def test_unreadable_files_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "spd" / "c.nii.gz").write_bytes(b"not an image")
    _assert_refused(data, capsys, str(data / "spd" / "c.nii.gz"))
    write_volume(data / "spd" / "c.nii.gz", _mask(0), GEOMETRY)
    (data / "labelsTs" / "c.nii.gz").write_bytes(b"not an image")
    _assert_refused(data, capsys, str(data / "labelsTs" / "c.nii.gz"))


def test_absent_and_empty_folders_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "labelsTs").iterdir():
        path.unlink()
    _assert_refused(data, capsys, "no reference volumes")
    (data / "labelsTs").rmdir()
    _assert_refused(data, capsys, "folder not found")


def test_output_inside_a_file_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "scores").write_text("a file")
    assert _run(data, "-o", str(data / "scores" / "deeper")) == 2
    assert "a file stands where the output folder should be" in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--jobs", "0"), ("--target-labels", "0", "1")])
def test_options_out_of_range_are_refused(
    data: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    _assert_refused(data, capsys, more[0], *more)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "example:" in capsys.readouterr().out

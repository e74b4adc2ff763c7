from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from medpy.metric import dc

from spd_bench.errors import InputError
from spd_bench.evaluation.folders import FolderScores, default_slice_axis, evaluate_folders
from spd_bench.evaluation.frames import SLICE_COLUMNS, VOLUME_COLUMNS
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume

GEOMETRY = VolumeGeometry(shape=(4, 6, 7), spacing=(5.0, 0.8, 0.8))


def _mask(seed: int) -> Any:
    return (np.random.default_rng(seed).random(GEOMETRY.shape) < 0.4).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    reference, prediction = tmp_path / "reference", tmp_path / "prediction"
    for number, case in enumerate(["a", "b_0000_x", "c"]):
        write_volume(reference / f"{case}.nii.gz", _mask(number), GEOMETRY)
        write_volume(prediction / f"{case}.nii.gz", _mask(number + 10), GEOMETRY)
    return reference, prediction


def _scores(folders: tuple[Path, Path], **settings: Any) -> FolderScores:
    reference, prediction = folders
    return evaluate_folders(reference=reference, prediction=prediction, dataset="TI", method="unet", **settings)


def test_every_reference_is_scored_against_the_prediction_of_its_name(folders: tuple[Path, Path]) -> None:
    scores = _scores(folders, fold=3)
    assert tuple(scores.slices.columns) == SLICE_COLUMNS
    assert tuple(scores.volumes.columns) == VOLUME_COLUMNS
    assert scores.volumes["case"].tolist() == ["a", "b_0000_x", "c"]
    expected = [dc(_mask(number + 10), _mask(number)) for number in range(3)]
    np.testing.assert_allclose(scores.volumes["volumetric_dice"], expected, atol=1e-12)
    assert set(scores.slices["fold"]) == {3}
    assert len(scores.slices) == 12
    assert (scores.missing, scores.extra, scores.slice_axis) == ((), (), 0)


def test_process_pool_gives_the_same_frames(folders: tuple[Path, Path]) -> None:
    one, two = _scores(folders), _scores(folders, jobs=2)
    assert one.slices.equals(two.slices)
    assert one.volumes.equals(two.volumes)


def test_a_fault_in_a_worker_process_is_told_as_input_error(folders: tuple[Path, Path]) -> None:
    write_volume(folders[1] / "a.nii.gz", _mask(0) * 2, GEOMETRY)
    with pytest.raises(InputError, match=r"not a binary mask.*a\.nii\.gz"):
        _scores(folders, jobs=2)


def test_missing_prediction_is_an_empty_mask_and_reported(folders: tuple[Path, Path]) -> None:
    (folders[1] / "c.nii.gz").unlink()
    write_volume(folders[0] / "normal.nii.gz", np.zeros(GEOMETRY.shape, np.uint8), GEOMETRY)
    scores = _scores(folders)
    assert scores.missing == ("c", "normal")
    volumetric = scores.volumes.set_index("case")["volumetric_dice"]
    assert volumetric["c"] == 0
    assert volumetric["normal"] == 1
    assert scores.slices.loc[scores.slices["case"] == "c", "prediction_pixels"].eq(0).all()


def test_extra_prediction_is_reported_and_not_scored(folders: tuple[Path, Path]) -> None:
    write_volume(folders[1] / "z.nii.gz", _mask(1), GEOMETRY)
    (folders[1] / "notes.txt").write_text("no volume")
    (folders[1] / "._a.nii.gz").write_text("left by another system")
    scores = _scores(folders)
    assert scores.extra == ("z",)
    assert "z" not in set(scores.volumes["case"])


def test_cases_limits_what_is_scored_and_what_counts_as_missing(folders: tuple[Path, Path]) -> None:
    (folders[1] / "a.nii.gz").unlink()
    scores = _scores(folders, cases=["c"])
    assert scores.volumes["case"].tolist() == ["c"]
    assert (scores.missing, scores.extra) == ((), ())
    with pytest.raises(InputError, match="no reference for case q"):
        _scores(folders, cases=["c", "q"])


def test_prediction_may_have_another_file_format(folders: tuple[Path, Path]) -> None:
    (folders[1] / "a.nii.gz").unlink()
    write_volume(folders[1] / "a.nrrd", _mask(10), GEOMETRY)
    assert _scores(folders).missing == ()


def test_target_labels_choose_what_is_scored(folders: tuple[Path, Path]) -> None:
    labels = np.random.default_rng(5).integers(0, 4, GEOMETRY.shape).astype(np.uint8)
    write_volume(folders[0] / "a.nii.gz", labels, GEOMETRY)
    for target, mask in (((), labels > 0), ((2,), labels == 2), ((1, 3), (labels == 1) | (labels == 3))):
        scores = _scores(folders, cases=["a"], target_labels=target)
        assert scores.slices["reference_pixels"].sum() == mask.sum()
        assert scores.volumes["volumetric_dice"].item() == pytest.approx(dc(_mask(10), mask), abs=1e-12)


@pytest.mark.parametrize(
    ("spacings", "axis"),
    [
        ([(5, 1, 1)], 0),
        ([(1, 1, 1)], 0),
        ([(0.8, 3, 3)], 1),
        ([(1, 1, 4), (9, 1, 4), (1, 1, 4)], 2),  # the mean would say 0
    ],
)
def test_slice_axis_has_the_largest_median_spacing(
    tmp_path: Path, spacings: list[tuple[float, float, float]], axis: int
) -> None:
    files = [tmp_path / f"{number}.nii.gz" for number in range(len(spacings))]
    for file, spacing in zip(files, spacings, strict=True):
        write_volume(file, np.zeros((2, 3, 4), np.uint8), VolumeGeometry(shape=(2, 3, 4), spacing=spacing))
    assert default_slice_axis(files) == axis


def test_slice_axis_can_be_given(folders: tuple[Path, Path]) -> None:
    scores = _scores(folders, slice_axis=2)
    assert (scores.slice_axis, len(scores.slices)) == (2, 3 * 7)


def test_progress_sees_every_case(folders: tuple[Path, Path]) -> None:
    seen: list[Any] = []

    def progress(cases: Any) -> Any:
        for case in cases:
            seen.append(case)
            yield case

    _scores(folders, progress=progress)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("voxels", "fault"),
    [
        (np.full(GEOMETRY.shape, 255, np.uint8), "not a binary mask, values 255"),
        (np.arange(168, dtype=np.int16).reshape(GEOMETRY.shape) - 1, r"values -1, 0, 1, 2, 3, \.\.\."),
        (np.full(GEOMETRY.shape, np.nan, np.float32), "NaN"),
        (np.full(GEOMETRY.shape, 0.5, np.float32), "no whole numbers, such as 0.5"),
    ],
)
def test_prediction_that_is_no_mask_is_named(folders: tuple[Path, Path], voxels: Any, fault: str) -> None:
    write_volume(folders[1] / "b_0000_x.nii.gz", voxels, GEOMETRY)
    with pytest.raises(InputError, match=rf"{fault}.*prediction/b_0000_x\.nii\.gz"):
        _scores(folders)


def test_float_prediction_of_zeros_and_ones_is_accepted(folders: tuple[Path, Path]) -> None:
    before = _scores(folders)
    write_volume(folders[1] / "a.nii.gz", _mask(10).astype(np.float32), GEOMETRY)
    assert _scores(folders).slices.equals(before.slices)


@pytest.mark.parametrize(
    ("geometry", "fault"),
    [
        (VolumeGeometry(shape=(4, 7, 6), spacing=GEOMETRY.spacing), "shape"),
        (VolumeGeometry(shape=(4, 6, 7), spacing=(5.0, 0.8, 0.9)), "spacing"),
        (VolumeGeometry(shape=(4, 6, 7), spacing=GEOMETRY.spacing, origin=(3.0, 0.0, 0.0)), "origin"),
        (
            VolumeGeometry(shape=(4, 6, 7), spacing=GEOMETRY.spacing, direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1)),
            "direction",
        ),
    ],
)
def test_prediction_on_another_grid_is_named(folders: tuple[Path, Path], geometry: VolumeGeometry, fault: str) -> None:
    write_volume(folders[1] / "a.nii.gz", np.zeros(geometry.shape, np.uint8), geometry)
    with pytest.raises(InputError, match=rf"different grids \({fault}.*prediction/a\.nii\.gz"):
        _scores(folders)


def test_reference_with_nan_is_named(folders: tuple[Path, Path]) -> None:
    write_volume(folders[0] / "a.nii.gz", np.full(GEOMETRY.shape, np.nan, np.float32), GEOMETRY)
    with pytest.raises(InputError, match=r"NaN.*reference/a\.nii\.gz"):
        _scores(folders)


def test_unreadable_prediction_is_named(folders: tuple[Path, Path]) -> None:
    whole = (folders[1] / "a.nii.gz").read_bytes()
    (folders[1] / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"prediction/a\.nii\.gz"):
        _scores(folders)


def test_absent_and_empty_folders_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"folder not found, in .*nowhere"):
        _scores((folders[0], tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"no reference volumes, in .*empty"):
        _scores((tmp_path / "empty", folders[1]))


def test_two_files_of_one_case_are_refused(folders: tuple[Path, Path]) -> None:
    write_volume(folders[1] / "a.nrrd", _mask(0), GEOMETRY)
    with pytest.raises(InputError, match="case a has two files"):
        _scores(folders)


def test_bad_settings_are_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="jobs must be at least 1"):
        _scores(folders, jobs=0)
    with pytest.raises(ValueError, match="slice_axis"):
        _scores(folders, slice_axis=3)

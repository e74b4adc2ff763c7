"""Every fault of a raw dataset, one at a time, on a dataset that is whole otherwise."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from spd_bench.errors import InputError
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
DIRTY = DATA / "hippocampus" / "dirty"
SHAPE = (3, 6, 8)


def _save(path: Path, voxels: np.ndarray, **header: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(header.get("spacing", (0.7, 0.7, 5.0)))
    image.SetOrigin(header.get("origin", (1.0, 2.0, 3.0)))
    image.SetDirection(header.get("direction", (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)))
    sitk.WriteImage(image, str(path))


def _image(value: float = 1.0) -> np.ndarray:
    return np.full(SHAPE, value, dtype=np.float32)


def _label() -> np.ndarray:
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[1, 2:4, 2:4] = 1
    label[2, 2:4, 2:4] = 2
    return label


def _prompts(path: Path, *positions: tuple[float, float, float]) -> None:
    path.parent.mkdir(exist_ok=True)
    points = [{"position": list(position)} for position in positions]
    path.write_text(json.dumps({"markups": [{"coordinateSystem": "LPS", "controlPoints": points}]}))


def _describe(folder: Path, **changes: Any) -> None:
    content = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "front": 1, "back": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases of two channels, with prompts."""
    folder = tmp_path / "Dataset902_Toy"
    for case in ("a", "b_0000_x"):
        _save(folder / "imagesTr" / f"{case}_0000.nii.gz", _image())
        _save(folder / "imagesTr" / f"{case}_0001.nii.gz", _image(2))
        _save(folder / "labelsTr" / f"{case}.nii.gz", _label())
        _prompts(folder / "promptsTr" / f"{case}.mrk.json", (1.0, 2.0, 3.0), (4.0, 4.0, 8.0))
    _describe(folder)
    return folder


def _verify(folder: Path, target_labels: tuple[int, ...] = (1, 2)) -> None:
    verify_raw_dataset(read_raw_dataset(folder), target_labels=target_labels)


def test_a_whole_dataset_passes_and_every_case_is_shown_as_progress(folder: Path) -> None:
    seen = []

    def progress(cases: Any) -> Any:
        for case in cases:
            seen.append(case.case)
            yield case

    verify_raw_dataset(read_raw_dataset(folder), target_labels=[2], progress=progress)
    assert seen == ["a", "b_0000_x"]


def test_a_dataset_without_any_prompts_passes(folder: Path) -> None:
    shutil.rmtree(folder / "promptsTr")
    _verify(folder)


def test_a_prompt_file_without_points_passes(folder: Path) -> None:
    _prompts(folder / "promptsTr" / "a.mrk.json")
    _verify(folder)


def test_a_float_label_of_whole_numbers_passes(folder: Path) -> None:
    _save(folder / "labelsTr" / "a.nii.gz", _label().astype(np.float32))
    _verify(folder)


def _copy_case(folder: Path, source: str, target: str) -> None:
    shutil.copy(folder / source, folder / target)


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no dataset.json": (lambda f: (f / "dataset.json").unlink(), r"not found.*dataset\.json"),
    "unreadable dataset.json": (lambda f: (f / "dataset.json").write_text("{"), r"JSON.*dataset\.json"),
    "key missing": (
        lambda f: (f / "dataset.json").write_text('{"labels": {"background": 0}}'),
        r"missing key\(s\) channel_names, numTraining, file_ending",
    ),
    "no cases": (lambda f: (shutil.rmtree(f / "imagesTr"), (f / "imagesTr").mkdir()), r"no cases.*imagesTr"),
    "no images": (lambda f: shutil.rmtree(f / "imagesTr"), r"not found.*imagesTr"),
    "wrong numTraining": (lambda f: _describe(f, numTraining=3), r"numTraining is 3.*2 cases.*dataset\.json"),
    "image without label": (
        lambda f: (f / "labelsTr" / "a.nii.gz").unlink(),
        r"image without a label: a, in .*a_0000\.nii\.gz",
    ),
    "label without image": (
        lambda f: _copy_case(f, "labelsTr/a.nii.gz", "labelsTr/c.nii.gz"),
        r"label without an image.*c\.nii\.gz",
    ),
    "channel missing": (
        lambda f: (f / "imagesTr" / "b_0000_x_0001.nii.gz").unlink(),
        r"missing.*b_0000_x_0001\.nii\.gz",
    ),
    "channel too many": (
        lambda f: _copy_case(f, "imagesTr/a_0000.nii.gz", "imagesTr/a_0002.nii.gz"),
        r"3 image files.*a_0002\.nii\.gz",
    ),
    "label shape": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label()[:, :, 1:]),
        r"a_0000\.nii\.gz: shape \(3, 6, 7\) against \(3, 6, 8\).*labelsTr/a\.nii\.gz",
    ),
    "label spacing": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label(), spacing=(0.7, 0.7, 4.0)),
        r"spacing .*labelsTr/a\.nii\.gz",
    ),
    "label spacing, slightly": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label(), spacing=(0.7005, 0.7, 5.0)),
        r"spacing .*labelsTr/a\.nii\.gz",
    ),
    "label origin": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label(), origin=(0.0, 0, 0)),
        r"origin .*labelsTr/a\.nii\.gz",
    ),
    "label direction": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label(), direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
        r"direction .*labelsTr/a\.nii\.gz",
    ),
    "channel shape": (
        lambda f: _save(f / "imagesTr/a_0001.nii.gz", _image()[1:]),
        r"shape .*a_0001\.nii\.gz",
    ),
    "channel spacing": (
        lambda f: _save(f / "imagesTr/a_0001.nii.gz", _image(), spacing=(0.7, 0.7, 4.0)),
        r"spacing .*a_0001\.nii\.gz",
    ),
    "channel origin": (
        lambda f: _save(f / "imagesTr/a_0001.nii.gz", _image(), origin=(0.0, 0, 0)),
        r"origin .*a_0001\.nii\.gz",
    ),
    "channel direction": (
        lambda f: _save(f / "imagesTr/a_0001.nii.gz", _image(), direction=(0.0, 1, 0, 1, 0, 0, 0, 0, 1)),
        r"direction .*a_0001\.nii\.gz",
    ),
    "NaN in an image": (
        lambda f: _save(f / "imagesTr/a_0001.nii.gz", _image(np.nan)),
        r"144 voxel\(s\) are NaN or infinite.*a_0001\.nii\.gz",
    ),
    "infinity in an image": (
        lambda f: _save(f / "imagesTr/b_0000_x_0000.nii.gz", _image(-np.inf)),
        r"NaN or infinite.*b_0000_x_0000\.nii\.gz",
    ),
    "unreadable image": (
        lambda f: (f / "imagesTr/a_0000.nii.gz").write_text("no image"),
        r"cannot be read.*a_0000\.nii\.gz",
    ),
    "label not whole": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _label() * np.float32(0.5)),
        r"0\.5 is not a whole number.*labelsTr/a\.nii\.gz",
    ),
    "NaN in a label": (
        lambda f: _save(f / "labelsTr/a.nii.gz", _image(np.nan)),
        r"nan is not a whole number.*labelsTr/a\.nii\.gz",
    ),
    "label of 255": (
        lambda f: _save(f / "labelsTr/a.nii.gz", (_label() > 0).astype(np.uint8) * 255),
        r"\[255\] are not in dataset\.json.*labelsTr/a\.nii\.gz",
    ),
    "negative label": (
        lambda f: _save(f / "labelsTr/a.nii.gz", -_label().astype(np.int16)),
        r"\[-2, -1\] are not in dataset\.json.*labelsTr/a\.nii\.gz",
    ),
    "labels not consecutive": (
        lambda f: _describe(f, labels={"background": 0, "front": 1, "back": 3}),
        r"\[0, 1, 3\] are not consecutive",
    ),
    "ignore label": (
        lambda f: _describe(f, labels={"background": 0, "front": 1, "back": 2, "ignore": 3}),
        "ignore.*not supported",
    ),
    "prompts of no case": (
        lambda f: _prompts(f / "promptsTr" / "c.mrk.json"),
        r"case that does not exist.*c\.mrk\.json",
    ),
    "another format among prompts": (
        lambda f: (f / "promptsTr" / "a.fcsv").write_text("1,2,3"),
        r"not a prompt file.*a\.fcsv.*spd_convert_prompts",
    ),
    "prompts unreadable": (
        lambda f: (f / "promptsTr" / "a.mrk.json").write_text("{}"),
        r"not a Slicer Markups file.*a\.mrk\.json",
    ),
    "prompt outside": (
        lambda f: _prompts(f / "promptsTr" / "a.mrk.json", (1.0, 2.0, 3.0), (-1.0, -2.0, 3.0)),
        r"1 of 2 points lie outside.*point 2.*a\.mrk\.json",
    ),
    "prompts of some cases only": (
        lambda f: (f / "promptsTr" / "b_0000_x.mrk.json").unlink(),
        r"without prompts, though others have them: b_0000_x, in .*b_0000_x\.mrk\.json",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_in_one_line_that_names_the_file(
    folder: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        _verify(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("target_labels", [(), (0,), (3,), (1, 7)])
def test_target_labels_that_the_dataset_lacks_are_refused(folder: Path, target_labels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"target labels .*dataset\.json: choose among .*\[1, 2\]"):
        _verify(folder, target_labels)


def test_values_of_regions_can_be_targets(folder: Path) -> None:
    _describe(folder, labels={"background": 0, "whole": [1, 2], "core": 2}, regions_class_order=[1, 2])
    _verify(folder, (1, 2))
    with pytest.raises(InputError, match=r"single values \[1, 2\]"):
        _verify(folder, (3,))


@pytest.fixture
def hippocampus(tmp_path: Path) -> Path:
    """One good case, for a dirty one to be put beside it."""
    if not DIRTY.is_dir():
        pytest.skip("scanner data absent")
    source, folder = DATA / "hippocampus", tmp_path / "Dataset903_Hippocampus"
    for part, name in (("imagesTr", "hippocampus_001_0000.nii.gz"), ("labelsTr", "hippocampus_001.nii.gz")):
        (folder / part).mkdir(parents=True)
        shutil.copy(source / part / name, folder / part / name)
    content = json.loads((source / "dataset.json").read_text()) | {"numTraining": 1}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_a_good_hippocampus_case_passes(hippocampus: Path) -> None:
    _verify(hippocampus)


def test_a_dirty_image_without_its_label_is_named(hippocampus: Path) -> None:
    shutil.copy(DIRTY / "images_hippocampus_118.nii.gz", hippocampus / "imagesTr" / "hippocampus_118_0000.nii.gz")
    with pytest.raises(InputError, match=r"image without a label: hippocampus_118, in .*hippocampus_118_0000"):
        _verify(hippocampus)


@pytest.mark.parametrize("case", ["hippocampus_010", "hippocampus_281"])
def test_a_dirty_label_without_its_image_is_named(hippocampus: Path, case: str) -> None:
    shutil.copy(DIRTY / f"labels_{case}.nii.gz", hippocampus / "labelsTr" / f"{case}.nii.gz")
    with pytest.raises(InputError, match=rf"label without an image, in .*{case}\.nii\.gz"):
        _verify(hippocampus)


@pytest.mark.parametrize("case", ["hippocampus_010", "hippocampus_281"])
def test_a_dirty_label_under_a_good_image_is_named(hippocampus: Path, case: str) -> None:
    shutil.copy(DIRTY / f"labels_{case}.nii.gz", hippocampus / "labelsTr" / "hippocampus_001.nii.gz")
    with pytest.raises(InputError, match=r"not on the same grid.*labelsTr/hippocampus_001\.nii\.gz"):
        _verify(hippocampus)


@pytest.mark.parametrize("name", ["hippocampus", "sunnybrook"])
def test_scanner_datasets_pass(name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip("scanner data absent")
    _verify(DATA / name, (1, 2))

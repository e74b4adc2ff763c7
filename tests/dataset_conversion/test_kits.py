"""KiTS in its three layouts, in files as the releases have them: slices along the first axis, axcodes IPL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import nnunetv2.utilities.utils
import numpy as np
import pytest
import SimpleITK as sitk
from medpy.metric.binary import hd95
from nnunetv2.experiment_planning import verify_dataset_integrity as nnunet_verify

from dataset_conversion.kits import main
from spd_bench.paths import DataFolders
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset

SLICES, ROWS, COLUMNS = 16, 40, 25
Z_MM, Y_MM, X_MM = 3.0, 0.8, 0.7
# The first axis runs to the feet, the second to the back, the third to the left.
AFFINE = np.array([[0, 0, -X_MM, 0], [0, -Y_MM, 0, 0], [-Z_MM, 0, 0, 0], [0, 0, 0, 1]])
KIDNEY, TUMOUR, CYST = np.s_[3:8, 10:21, 4:11], np.s_[4:7, 18:24, 6:9], np.s_[3:5, 8:12, 4:6]
INTENSITY = {1: 180.0, 2: 90.0, 3: 10.0}
SOFT_TISSUE = -60.0

Release = Callable[..., Path]


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=2)
    image.header["qform_code"] = 0
    nib.save(image, path)
    stored = nib.load(path)
    assert (int(stored.header["sform_code"]), int(stored.header["qform_code"])) == (2, 0)


def labels(*, cyst: bool, shape: tuple[int, int, int] = (SLICES, ROWS, COLUMNS)) -> np.ndarray:
    voxels = np.zeros(shape, np.uint8)
    voxels[KIDNEY], voxels[TUMOUR] = 1, 2
    if cyst:
        voxels[CYST] = 3
    return voxels


def imaging(label: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """HU as float64 with whole numbers, as KiTS23's own test has them."""
    noise = np.random.default_rng(seed).normal(0, 10, label.shape)
    return (noise + np.choose(label, (SOFT_TISSUE, *INTENSITY.values()))).round()


def write_case(
    data: Path, number: int, *, label_name: str = "segmentation", cyst: bool = True, images: Path | None = None
) -> None:
    case = f"case_{number:05d}"
    label = labels(cyst=cyst)
    save(data / case / f"{label_name}.nii.gz", label)
    save(images / f"{case}.nii.gz" if images else data / case / "imaging.nii.gz", imaging(label, seed=number))


def write_release(root: Path, layout: str, *, numbers: tuple[int, ...] = (0, 48)) -> Path:
    """The root of a repository's clone, after ``get_imaging``."""
    data = {"kits19": root / "kits19/data", "kits21": root / "kits21/kits21/data", "kits23": root / "kits23/dataset"}[
        layout
    ]
    for number in numbers:
        if layout == "kits21":
            write_case(data, number, label_name="aggregated_MAJ_seg")
            other = labels(cyst=False)
            save(data / f"case_{number:05d}" / "aggregated_AND_seg.nii.gz", other)
            save(data / f"case_{number:05d}" / "segmentations" / "kidney_instance-1_annotation-1.nii.gz", other)
        else:
            write_case(data, number, cyst=layout == "kits23")
        if layout == "kits23":
            save(
                data / f"case_{number:05d}" / "instances" / "kidney_instance-1_annotation-1.nii.gz", labels(cyst=False)
            )
    (data / ("kits23.json" if layout == "kits23" else "kits.json")).write_text("[]")
    return root / layout


@pytest.fixture
def nnunet_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """nnU-Net's check starts two pools of processes, seconds each."""
    context = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(nnunet_verify, "multiprocessing", SimpleNamespace(get_context=lambda _: context))
    monkeypatch.setattr(nnunetv2.utilities.utils, "Pool", ThreadPool)


def verified(folders: DataFolders) -> Path:
    """The raw dataset, after nnU-Net's check and ours."""
    folder = folders.raw / "Dataset504_KiTS"
    nnunet_verify.verify_dataset_integrity(str(folder), 1)
    verify_raw_dataset(read_raw_dataset(folder), target_labels=[1])
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    return folder


def cases_of(folder: Path) -> list[str]:
    images = {path.name.removesuffix("_0000.nii.gz") for path in (folder / "imagesTr").iterdir()}
    assert images == {path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").iterdir()}
    return sorted(images)


def read(folder: Path, case: str) -> tuple[sitk.Image, np.ndarray, np.ndarray]:
    image = sitk.ReadImage(str(folder / "imagesTr" / f"{case}_0000.nii.gz"))
    label = sitk.ReadImage(str(folder / "labelsTr" / f"{case}.nii.gz"))
    return image, sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label)


@pytest.mark.parametrize("layout", ["kits19", "kits21", "kits23"])
@pytest.mark.parametrize("given", ["parent", "root", "data"])
@pytest.mark.usefixtures("nnunet_in_threads")
def test_masks_lie_on_their_organs_in_axial_slices(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str], layout: str, given: str
) -> None:
    root = write_release(tmp_path / "release", layout)
    data = next(root.rglob("case_00000")).parent
    assert nib.aff2axcodes(nib.load(data / "case_00000" / "imaging.nii.gz").affine) == ("I", "P", "L")
    assert main([str({"parent": root.parent, "root": root, "data": data}[given])]) == 0
    folder = verified(own_folders)
    assert cases_of(folder) == ["case_00000", "case_00048"]
    image, voxels, mask = read(folder, "case_00048")
    truth = labels(cyst=layout != "kits19")
    assert voxels.shape == (SLICES, ROWS, COLUMNS)
    assert image.GetSpacing() == pytest.approx((X_MM, Y_MM, Z_MM))
    assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    # Axis 0 runs to the feet and stacks are counted from them; rows and columns run as in LPS already.
    np.testing.assert_array_equal(voxels, imaging(truth, seed=48)[::-1])
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(mask, truth[::-1] > 0)
    outside = voxels[mask == 0]
    assert np.abs(outside - SOFT_TISSUE).max() < 60
    assert voxels[mask == 1].mean() > outside.mean() + 100
    # The centre of the mask in mm: slice k, row r and column c of the stored array lie at LPS (0.7 c, 0.8 r, -3 k).
    k, r, c = np.argwhere(truth > 0).mean(axis=0)
    z, y, x = np.argwhere(mask).mean(axis=0)
    centre = image.TransformContinuousIndexToPhysicalPoint((x, y, z))
    assert centre == pytest.approx((X_MM * c, Y_MM * r, -Z_MM * k), abs=1e-4)
    printed = capsys.readouterr().out
    assert "2 case(s): image and label: axes IPL reordered to LPS: axial slices first (nothing resampled)" in printed
    assert "cases: 2 of 2 patients (0 were there already)" in printed


@pytest.mark.usefixtures("nnunet_in_threads")
def test_distances_are_in_mm_of_the_right_axes(tmp_path: Path, own_folders: DataFolders) -> None:
    main([str(write_release(tmp_path, "kits23"))])
    image, _, mask = read(verified(own_folders), "case_00000")
    spacing = image.GetSpacing()[::-1]
    for axis, size in enumerate((Z_MM, Y_MM, X_MM)):
        assert hd95(mask, np.roll(mask, 2, axis=axis), voxelspacing=spacing) == pytest.approx(2 * size)


@pytest.mark.parametrize("layout", ["kits19", "kits21", "kits23"])
@pytest.mark.parametrize(
    ("target", "values"),
    [("kidney_and_mass", (1, 2, 3)), ("mass", (2, 3)), ("tumour", (2,)), ("tumor", (2,))],
)
def test_targets(
    tmp_path: Path,
    own_folders: DataFolders,
    capsys: pytest.CaptureFixture[str],
    layout: str,
    target: str,
    values: tuple[int, ...],
) -> None:
    root = write_release(tmp_path, layout, numbers=(7,))
    assert main([str(root), "--target", target]) == 0
    _, _, mask = read(own_folders.raw / "Dataset504_KiTS", "case_00007")
    truth = labels(cyst=layout != "kits19")
    np.testing.assert_array_equal(mask, np.isin(truth, values)[::-1])
    printed = capsys.readouterr().out
    assert ("mass is the tumour alone" in printed) == (layout == "kits19" and target == "mass")
    description = (own_folders.raw / "Dataset504_KiTS" / "dataset.json").read_text()
    assert f'"{target.replace("tumor", "tumour")}": 1' in description


@pytest.mark.parametrize(("rater", "cyst"), [(None, True), ("MAJ", True), ("AND", False)])
def test_the_aggregation_of_kits21_is_chosen(
    tmp_path: Path, own_folders: DataFolders, rater: str | None, cyst: bool
) -> None:
    root = write_release(tmp_path, "kits21", numbers=(7,))
    assert main([str(root), "--target", "mass", *(["--segmentation", rater] if rater else [])]) == 0
    _, _, mask = read(own_folders.raw / "Dataset504_KiTS", "case_00007")
    np.testing.assert_array_equal(mask, (labels(cyst=cyst) >= 2)[::-1])


@pytest.mark.usefixtures("nnunet_in_threads")
def test_imaging_in_a_folder_of_its_own_and_slices_that_are_not_square(
    tmp_path: Path, own_folders: DataFolders
) -> None:
    for number in (1, 588):
        write_case(tmp_path / "kits23/dataset", number, images=tmp_path / "KiTS-Challenge-Imaging/images")
    # As case_00160 of 252 x 512 x 796: more columns than the others.
    wide = labels(cyst=True, shape=(12, 32, 50))
    save(tmp_path / "kits23/dataset/case_00160/segmentation.nii.gz", wide)
    save(tmp_path / "KiTS-Challenge-Imaging/images/case_00160.nii.gz", imaging(wide).astype(np.float32))
    assert main([str(tmp_path)]) == 0
    folder = verified(own_folders)
    assert cases_of(folder) == ["case_00001", "case_00160", "case_00588"]
    _, voxels, mask = read(folder, "case_00160")
    np.testing.assert_array_equal(mask, wide[::-1] > 0)
    np.testing.assert_array_equal(voxels, imaging(wide)[::-1])


def test_cases_whose_labels_were_never_published_are_told_and_no_fault(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_release(tmp_path, "kits19")
    for number in (210, 211, 299):
        save(root / f"data/case_{number:05d}/imaging.nii.gz", imaging(labels(cyst=False)))
    assert main([str(root)]) == 0
    printed = capsys.readouterr()
    assert "left out: 3 test case(s) without published labels (case_00210, case_00211, case_00299)" in printed.out
    assert "failed" not in printed.err
    assert cases_of(own_folders.raw / "Dataset504_KiTS") == ["case_00000", "case_00048"]


def _rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray = AFFINE) -> None:
    save(path, change(np.asarray(nib.load(path).dataobj)), affine)


def _strip_orientation(path: Path) -> None:
    for name in ("imaging", "segmentation"):
        image = nib.load(path.with_name(f"{name}.nii.gz"))
        image.header["sform_code"] = 0
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path.with_name(f"{name}.nii.gz"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _put_nan(voxels: np.ndarray) -> np.ndarray:
    voxels = voxels.astype(np.float64)
    voxels[0, 0, 0] = np.nan
    return voxels


def _beyond(path: Path) -> None:
    elsewhere = path.parents[4] / "elsewhere.nii.gz"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


# Name of the file that is damaged, how, and the words that must stand in the case's line.
TROUBLES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("imaging", lambda path: path.write_bytes(b""), "image cannot be read"),
    "cut": ("imaging", _cut, "image cannot be read"),
    "cut label": ("segmentation", _cut, "image cannot be read"),
    "no imaging": ("imaging", Path.unlink, "no imaging.nii.gz (there: segmentation.nii.gz)"),
    "no label": ("segmentation", Path.unlink, "no segmentation.nii.gz (there: imaging.nii.gz)"),
    "suffix": ("imaging", lambda path: path.rename(path.with_name("imaging.mha")), "(there: imaging.mha, segmentation"),
    "not zipped": ("imaging", lambda path: path.write_bytes(b"plain"), "image cannot be read"),
    "value": (
        "segmentation",
        lambda path: _rewrite(path, lambda v: np.where(v == 2, 5, v).astype(np.uint8)),
        "value(s) 5",
    ),
    "fraction": ("segmentation", lambda path: _rewrite(path, lambda v: v * 0.5), "0.5 is not a whole number"),
    "second phase": ("imaging", lambda path: _rewrite(path, lambda v: np.concatenate([v, v])), "second phase appended"),
    "spacing": (
        "segmentation",
        lambda path: _rewrite(path, np.copy, AFFINE * [[1], [1], [1.5], [1]]),
        "not on the grid",
    ),
    "flipped": (
        "segmentation",
        lambda path: _rewrite(path, np.copy, AFFINE * [[-1], [1], [1], [1]]),
        "not on the grid",
    ),
    "nan": ("imaging", lambda path: _rewrite(path, _put_nan), "1 voxel(s) are NaN or infinite"),
    "no orientation": ("imaging", _strip_orientation, "no orientation in the header"),
    "beyond": ("imaging", _beyond, "path leaves the release's folder"),
}


@pytest.mark.usefixtures("nnunet_in_threads")
def test_every_fault_is_one_line_and_the_other_cases_are_converted(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = {name: 100 + number for number, name in enumerate(TROUBLES)}
    root = write_release(tmp_path / "a", "kits23", numbers=(0, 1, *numbers.values()))
    whole = tmp_path / "whole"
    shutil.copytree(root, whole)
    for name, (file, damage, _) in TROUBLES.items():
        damage(root / f"dataset/case_{numbers[name]:05d}/{file}.nii.gz")
    assert main([str(root)]) == 1
    printed = capsys.readouterr()
    failed = {line.split(": ")[1]: line for line in printed.err.splitlines() if line.startswith("failed: ")}
    assert sorted(failed) == sorted(f"case_{number:05d}" for number in numbers.values())
    for name, (_, _, words) in TROUBLES.items():
        case = f"case_{numbers[name]:05d}"
        assert words in failed[case], name
        assert f"{case}/" in failed[case] or failed[case].count(case) > 1, name
    assert printed.err.splitlines()[-1].startswith(f"{len(TROUBLES)} case(s) failed")
    assert "Traceback" not in printed.err
    assert "unexpected" not in printed.err
    folder = verified(own_folders)
    assert cases_of(folder) == ["case_00000", "case_00001"]

    written = {path: path.stat().st_mtime_ns for path in folder.glob("*Tr/*")}
    for case in failed:
        shutil.rmtree(root / "dataset" / case)
        shutil.copytree(whole / "dataset" / case, root / "dataset" / case)
    assert main([str(root), "--jobs", "1"]) == 0
    assert (
        f"cases: {len(TROUBLES) + 2} of {len(TROUBLES) + 2} patients (2 were there already)" in capsys.readouterr().out
    )
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(cases_of(verified(own_folders))) == len(TROUBLES) + 2


def test_a_clone_without_imaging_is_one_line(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_release(tmp_path, "kits19")
    for file in root.rglob("imaging.nii.gz"):
        file.unlink()
    assert main([str(root)]) == 2
    printed = capsys.readouterr().err
    assert "no imaging for any of 2 cases: a clone holds the labels only" in printed
    assert "get_imaging" in printed
    assert not (own_folders.raw / "Dataset504_KiTS").exists()


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (lambda root: None, (), "no such folder"),
        (lambda root: root.mkdir(), (), "no folder case_XXXXX"),
        (lambda root: [write_release(root, name) for name in ("kits19", "kits23")], (), "kits19/data, kits23/dataset"),
        (lambda root: write_case(root / "mine", 3), (), "nothing tells KiTS19 from KiTS23"),
        (lambda root: write_release(root, "kits19"), ("--segmentation", "OR"), "--segmentation OR is for KiTS21"),
        (lambda root: write_release(root, "kits23"), ("--jobs", "0"), "0 is not a number of processes"),
        (lambda root: write_release(root, "kits23"), ("-d", "KiTS"), "'KiTS' is not a name that nnU-Net takes"),
        (
            lambda root: [write_case(root / "d/data", 1, images=root / name / "images") for name in "ab"],
            (),
            "several folders hold imaging: a/images, b/images",
        ),
    ],
)
@pytest.mark.usefixtures("own_folders")
def test_a_wrong_call_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], object],
    options: tuple[str, ...],
    message: str,
) -> None:
    prepare(tmp_path / "release")
    assert main([str(tmp_path / "release"), *options]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed
    assert len(printed.splitlines()) == 1


def _second_file(root: Path, name: str, copy: str) -> None:
    """A second candidate for a file of case_00048; readers go by the suffix, so the copy is saved, not renamed."""
    image = nib.load(root / "dataset/case_00048" / name)
    save(root / copy, np.asarray(image.dataobj) + 0, image.affine)


@pytest.mark.parametrize(
    ("name", "copy", "told"),
    [
        (
            "imaging.nii.gz",
            "dataset/case_00048/imaging.nii",
            "2 files for one image: dataset/case_00048/imaging.nii.gz, dataset/case_00048/imaging.nii, in",
        ),
        (
            "imaging.nii.gz",
            "images/case_00048.nii.gz",
            "2 files for one image: dataset/case_00048/imaging.nii.gz, images/case_00048.nii.gz, in",
        ),
        (
            "segmentation.nii.gz",
            "dataset/case_00048/segmentation.nii",
            "2 files for one label: dataset/case_00048/segmentation.nii.gz, dataset/case_00048/segmentation.nii, in",
        ),
    ],
)
def test_two_files_for_one_role_are_a_fault_of_that_case(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str], name: str, copy: str, told: str
) -> None:
    root = write_release(tmp_path, "kits23")
    _second_file(root, name, copy)
    assert main([str(root)]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert line.startswith(f"failed: case_00048: {told}")
    assert line.endswith("keep the right one")
    assert cases_of(own_folders.raw / "Dataset504_KiTS") == ["case_00000"]


def test_two_gathered_images_of_one_case_are_a_fault(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 500):
        write_case(tmp_path / "kits23/dataset", number, images=tmp_path / "images")
    for name in ("case_00003.nii", "case_00500.old.nii.gz"):
        save(tmp_path / "images" / name, imaging(labels(cyst=True), seed=99))
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert "failed: case_00003: 2 files for one image: images/case_00003.nii, images/case_00003.nii.gz" in printed
    # The other file is called otherwise, and is nobody's.
    assert cases_of(own_folders.raw / "Dataset504_KiTS") == ["case_00500"]
    _, voxels, _ = read(own_folders.raw / "Dataset504_KiTS", "case_00500")
    np.testing.assert_array_equal(voxels, imaging(labels(cyst=True), seed=500)[::-1])


def test_a_link_to_the_gathered_imaging_is_no_second_file(tmp_path: Path, own_folders: DataFolders) -> None:
    write_case(tmp_path / "kits23/dataset", 7, images=tmp_path / "images")
    link = tmp_path / "kits23/dataset/case_00007/imaging.nii.gz"
    link.symlink_to(tmp_path / "images/case_00007.nii.gz")
    assert main([str(tmp_path)]) == 0
    assert cases_of(own_folders.raw / "Dataset504_KiTS") == ["case_00007"]


@pytest.mark.usefixtures("own_folders")
def test_a_command_walks_through_the_release_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_release(tmp_path, "kits19")
    save(root / "data/case_00210/imaging.nii.gz", imaging(labels(cyst=False)))
    walked, walk = [], os.walk
    monkeypatch.setattr(os, "walk", lambda top, *options, **named: walked.append(top) or walk(top, *options, **named))
    assert main([str(root)]) == 0
    assert walked.count(root) == 1


@pytest.mark.parametrize(("layout", "cyst"), [("kits19", False), ("kits23", True)])
def test_a_layout_that_nothing_tells_is_given(
    tmp_path: Path, own_folders: DataFolders, layout: str, cyst: bool
) -> None:
    write_case(tmp_path / "mine", 3, cyst=cyst)
    assert main([str(tmp_path / "mine"), "--layout", layout]) == 0
    assert cases_of(own_folders.raw / "Dataset504_KiTS") == ["case_00003"]


def test_another_target_does_not_mix_with_what_is_there(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_release(tmp_path, "kits23")
    assert main([str(root)]) == 0
    assert main([str(root), "--target", "tumour"]) == 2
    assert "Dataset504_KiTS" in capsys.readouterr().err
    assert main([str(root), "--target", "tumour", "-d", "Dataset514_Tumour"]) == 0
    assert cases_of(own_folders.raw / "Dataset514_Tumour") == ["case_00000", "case_00048"]


def test_the_command_in_two_processes(tmp_path: Path) -> None:
    root = write_release(tmp_path, "kits23", numbers=(0, 1, 400))
    _cut(root / "dataset/case_00001/imaging.nii.gz")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "nnUNet_raw": str(tmp_path / "raw")}
    command = [sys.executable, "-m", "dataset_conversion.kits", str(root), "--jobs", "2"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "failed: case_00001: image cannot be read" in done.stderr
    assert "cases: 2 of 2 patients" in done.stdout
    assert cases_of(tmp_path / "raw/Dataset504_KiTS") == ["case_00000", "case_00400"]

"""The scar adapter on EMIDEC, MyoPS 2020 and LAScarQS 2022 in their own layouts, and on layouts of anybody's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import nnunetv2.utilities.utils
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from medpy.metric.binary import hd95
from nnunetv2.experiment_planning import verify_dataset_integrity as nnunet_verify

from dataset_conversion.scar import LAYOUTS, main
from spd_bench.paths import DataFolders
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset

SHAPE = (30, 24, 6)  # x, y, z as NIfTI stores them
X_MM, Y_MM, Z_MM = 1.40625, 1.5, 13.0
SOUND = np.diag([-X_MM, -Y_MM, Z_MM, 1.0])
CAVITY, MYOCARDIUM = np.s_[12:20, 9:16, 1:5], np.s_[8:23, 6:19, 1:5]
INFARCT, NO_REFLOW = np.s_[8:12, 8:17, 2:5], np.s_[10:12, 11:14, 3:4]


def save(path: Path, voxels: np.ndarray, *, affine: np.ndarray = SOUND, zooms: tuple | None = None) -> None:
    """A NIfTI file with an sform (code 2) alone; ``zooms`` goes into pixdim whatever the affine says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=2)
    image.header["qform_code"] = 0
    if zooms is not None:
        image.header["pixdim"][1:4] = zooms
    nib.save(image, path)


def save_lying(path: Path, voxels: np.ndarray) -> None:
    """As EMIDEC: an affine of 1 mm, the true size in pixdim alone."""
    save(path, voxels, affine=np.diag([-1.0, -1.0, 1.0, 1.0]), zooms=(X_MM, Y_MM, Z_MM))
    stored = nib.load(path)
    np.testing.assert_allclose(nib.affines.voxel_sizes(stored.affine), 1.0)
    np.testing.assert_allclose(stored.header.get_zooms(), (X_MM, Y_MM, Z_MM))


def anatomy(*, scar: bool = True) -> np.ndarray:
    """1 cavity, 2 normal myocardium, 3 infarct, 4 no-reflow."""
    label = np.zeros(SHAPE, np.uint8)
    label[MYOCARDIUM], label[CAVITY] = 2, 1
    if scar:
        label[INFARCT], label[NO_REFLOW] = 3, 4
    return label


def lge(label: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Scar as bright as nothing else, so that intensity tells where it is."""
    noise = np.random.default_rng(seed).normal(0, 4, label.shape)
    return (np.choose(label, (40, 120, 60, 250, 230)) + noise).astype(np.float32)


def write_emidec(root: Path, case: str, *, scar: bool = True, labelled: bool = True) -> None:
    label = anatomy(scar=scar)
    save_lying(root / f"Case_{case}/Images/Case_{case}.nii.gz", lge(label))
    if labelled:
        save_lying(root / f"Case_{case}/Contours/Case_{case}.nii.gz", label)
    text = f"Sex : F\nAge : 61\nHistoire familiale : {'oui' if scar else 'non'} (père décédé)\nno colon here\n"
    (root / f"Case {case}.txt").write_bytes(text.encode("latin-1"))


@pytest.fixture
def emidec(tmp_path: Path) -> Path:
    for case in ("P001", "P023", "P100"):
        write_emidec(tmp_path / "emidec-dataset-1.0.1", case)
    write_emidec(tmp_path / "emidec-dataset-1.0.1", "N002", scar=False)
    for case in ("101", "150"):
        write_emidec(tmp_path / "emidec-segmentation-testset-1.0.0", case, labelled=False)
    return tmp_path


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch, own_folders: DataFolders) -> Callable[[], Path]:
    """The raw dataset, after nnU-Net's check and ours."""
    context = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(nnunet_verify, "multiprocessing", SimpleNamespace(get_context=lambda _: context))
    monkeypatch.setattr(nnunetv2.utilities.utils, "Pool", ThreadPool)

    def check() -> Path:
        folder = own_folders.raw / "Dataset502_SCAR"
        nnunet_verify.verify_dataset_integrity(str(folder), 1)
        verify_raw_dataset(read_raw_dataset(folder), target_labels=[1])
        return folder

    return check


def read(folder: Path, case: str, channel: int = 0) -> tuple[sitk.Image, np.ndarray, np.ndarray]:
    image = sitk.ReadImage(str(folder / f"imagesTr/{case}_{channel:04d}.nii.gz"))
    label = sitk.ReadImage(str(folder / f"labelsTr/{case}.nii.gz"))
    return image, sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label)


def cases_of(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").iterdir())


@pytest.mark.parametrize("options", [[], ["--layout", "emidec"]])
def test_emidec(
    emidec: Path, verified: Callable[[], Path], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main([str(emidec), *options]) == 0
    folder = verified()
    assert cases_of(folder) == ["Case_N002", "Case_P001", "Case_P023", "Case_P100"]
    image, voxels, mask = read(folder, "Case_P001")
    assert image.GetSpacing() == pytest.approx((X_MM, Y_MM, Z_MM))
    np.testing.assert_array_equal(mask, (anatomy() >= 3).T)
    assert voxels[mask == 1].min() > 200 > voxels[mask == 0].max()
    # The stored affine is diag(-1, -1, 1) in RAS: x runs to the left and y to the back, as in LPS.
    x, y, z = np.argwhere(anatomy() >= 3).mean(axis=0)
    kz, ky, kx = np.argwhere(mask).mean(axis=0)
    centre = image.TransformContinuousIndexToPhysicalPoint((kx, ky, kz))
    assert centre == pytest.approx((X_MM * x, Y_MM * y, Z_MM * z), abs=1e-4)
    for axis, size in enumerate((Z_MM, Y_MM, X_MM)):
        moved = np.roll(mask, 1, axis=axis)
        assert hd95(mask, moved, voxelspacing=image.GetSpacing()[::-1]) == pytest.approx(size)
    assert not read(folder, "Case_N002")[2].any()
    printed = capsys.readouterr().out
    assert "1 case(s) without" in printed
    assert (
        "4 case(s): image and label: affine says 1 x 1 x 1 mm but pixdim 1.40625 x 1.5 x 13 mm:"
        " affine rebuilt with the voxel size of pixdim" in printed
    )
    assert "left out: 2 test case(s) without published labels (Case_101, Case_150)" in printed


def test_texts_in_latin_1_become_a_table(emidec: Path, own_folders: DataFolders) -> None:
    (emidec / "emidec-dataset-1.0.1/Case P023.txt").write_bytes(bytes(range(256)))
    (emidec / "emidec-dataset-1.0.1/Case P100.txt").unlink()
    assert main([str(emidec)]) == 0
    table = pd.read_csv(own_folders.raw / "Dataset502_SCAR/conversion/texts.csv", index_col="case", dtype=str)
    assert table.loc["Case_P001", "Histoire familiale"] == "oui (père décédé)"
    assert table.loc["Case_N002", "Age"] == "61"
    assert "Case_P100" not in table.index


def write_myops(root: Path, case: int, *, labelled: bool = True) -> None:
    values = np.array([0, 500, 200, 2221, 1220], np.int16)
    label = anatomy()
    subset = "training" if labelled else "test"
    for number, channel in enumerate(("C0", "DE", "T2")):
        save(root / f"train25/myops_{subset}_{case}_{channel}.nii.gz", lge(label, seed=number) + 1000 * number)
    if labelled:
        label[:3, :3, 0] = 0
        save(root / f"train25_myops_gd/myops_{subset}_{case}_gd.nii.gz", values[label])


@pytest.mark.parametrize(
    ("options", "channels"),
    [([], ["DE"]), (["--channels", "DE", "T2"], ["DE", "T2"]), (["--channels", "T2", "C0", "DE"], ["T2", "C0", "DE"])],
)
def test_myops(
    tmp_path: Path, verified: Callable[[], Path], capsys: pytest.CaptureFixture[str], options: list, channels: list
) -> None:
    write_myops(tmp_path, 101)
    write_myops(tmp_path, 110)
    write_myops(tmp_path, 201, labelled=False)
    assert main([str(tmp_path), *options]) == 0
    folder = verified()
    assert cases_of(folder) == ["myops_training_101", "myops_training_110"]
    names = json.loads((folder / "dataset.json").read_text())["channel_names"]
    assert names == {str(number): name for number, name in enumerate(channels)}
    for number, name in enumerate(channels):
        _, voxels, mask = read(folder, "myops_training_110", number)
        # 2221 is scar; the value that stood for no-reflow is oedema here.
        np.testing.assert_array_equal(mask, (anatomy() == 3).T)
        shift = 1000 * ["C0", "DE", "T2"].index(name)
        assert voxels[mask == 1].mean() == pytest.approx(250 + shift, abs=2)
    assert "left out: 1 test case(s) without published labels (myops_test_201)" in capsys.readouterr().out


@pytest.mark.parametrize("value", [1, 255])
def test_lascarqs(tmp_path: Path, verified: Callable[[], Path], capsys: pytest.CaptureFixture[str], value: int) -> None:
    for number in (1, 12):
        folder = tmp_path / f"train_data/train_{number}"
        save(folder / "enhanced.nii.gz", lge(anatomy()))
        save(folder / "atriumSegImgMO.nii.gz", (anatomy() > 0).astype(np.uint8))
        save(folder / "scarSegImgM.nii.gz", ((anatomy() >= 3) * value).astype(np.uint8))
    save(tmp_path / "val_data/val_3/enhanced.nii.gz", lge(anatomy()))
    assert main([str(tmp_path)]) == 0
    raw = verified()
    assert cases_of(raw) == ["train_1", "train_12"]
    _, voxels, mask = read(raw, "train_12")
    assert voxels[mask == 1].min() > 200 > voxels[mask == 0].max()
    printed = capsys.readouterr().out
    assert ("2 case(s): label: mask holds 255 in place of 1" in printed) == (value == 255)


def own_layout(tmp_path: Path, **changes: Any) -> Path:
    settings = {
        "name": "clinic",
        "images": {"LGE": "img/*.nii.gz"},
        "label": "seg/*.nii.gz",
        "case": r"[^/]+(?=_v\d\.nii)|[^/]+(?=\.nii)",
        "target_values": [3, 4],
        "other_values": [1, 2],
    }
    file = tmp_path / "layout.json"
    file.write_text(json.dumps({key: value for key, value in {**settings, **changes}.items() if value != "absent"}))
    return file


def write_own(root: Path, case: str, **options: Any) -> None:
    label = anatomy()
    save(root / f"img/{case}.nii.gz", lge(label), **options)
    save(root / f"seg/{case}.nii.gz", label, **options)


def test_a_layout_of_ones_own_groups_patients_and_takes_case_ids_with_0000(
    tmp_path: Path, verified: Callable[[], Path]
) -> None:
    for case in ("pat7_0000_a", "pat7_0000_b", "pat8_0000"):
        write_own(tmp_path / "clinic", case)
    config = own_layout(tmp_path, patient=r"pat\d+", target_name="fibrosis")
    assert main([str(tmp_path / "clinic"), "--config", str(config)]) == 0
    folder = verified()
    assert cases_of(folder) == ["pat7_0000_a", "pat7_0000_b", "pat8_0000"]
    description = json.loads((folder / "dataset.json").read_text())
    assert description["patients"] == {"pat7_0000_a": "pat7", "pat7_0000_b": "pat7", "pat8_0000": "pat8"}
    assert description["labels"] == {"background": 0, "fibrosis": 1}


def test_folders_of_any_depth_may_stand_in_a_pattern(tmp_path: Path, own_folders: DataFolders) -> None:
    write_own(tmp_path / "clinic", "deep/down/a")
    write_own(tmp_path / "clinic", "b")
    config = own_layout(tmp_path, images={"LGE": "img/**/*.nii.gz"}, label="seg/**/*.nii.gz")
    assert main([str(tmp_path / "clinic"), "--config", str(config)]) == 0
    assert cases_of(own_folders.raw / "Dataset502_SCAR") == ["a", "b"]


@pytest.mark.parametrize("options", [[], ["--layout", "emidec"]])
@pytest.mark.usefixtures("own_folders")
def test_a_command_searches_the_release_once_for_a_pattern(
    emidec: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    searched, rglob = [], Path.rglob

    def noted(folder: Path, pattern: str) -> Any:
        searched.append((folder, pattern))
        return rglob(folder, pattern)

    monkeypatch.setattr(Path, "rglob", noted)
    assert main([str(emidec), *options]) == 0
    found = [pattern for folder, pattern in searched if folder == emidec]
    assert "Case_*/Images/*" in found
    assert sorted(found) == sorted(set(found))


def test_the_layout_that_help_shows_works(
    emidec: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    example = shown[shown.index("\n{") : shown.index("\n}") + 2]
    (tmp_path / "layout.json").write_text(example)
    assert main([str(emidec), "--config", str(tmp_path / "layout.json")]) == 0
    assert cases_of(own_folders.raw / "Dataset502_SCAR") == ["Case_N002", "Case_P001", "Case_P023", "Case_P100"]
    for key in json.loads(example):
        assert f"\n  {key} " in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "absent"}, "missing key(s) label"),
        ({"taget_values": [3]}, "unknown key 'taget_values', in .*: did you mean target_values?"),
        ({"images": "img/*"}, "images must be an object of channel names and file patterns, got 'img/*'"),
        ({"images": {}}, "images must be an object"),
        ({"images": {"label": "a"}}, "a channel must not be named label or text"),
        ({"target_values": 3}, "target_values must be a list of whole numbers or null, got 3"),
        ({"target_values": [True]}, "target_values must be a list of whole numbers or null"),
        ({"target_values": []}, "target values must be at least one value other than 0"),
        ({"target_values": [1, 3]}, "value(s) [1] are target and background at once"),
        ({"target_values": None}, "a mask of one value has no other values"),
        ({"case": "(["}, "case is not a regular expression"),
        ({"patient": 7}, "patient must be text, got 7"),
        ({"label": "../seg/*"}, "the pattern of label must stay below the release's folder"),
        ({"images": {"LGE": "/data/*"}}, "the pattern of LGE must stay below the release's folder"),
        (
            {"label": "seg**/*"},
            "in the pattern of label, ** must be the whole name of a folder (a/**/b), got 'seg**/*'",
        ),
        ({"images": {"LGE": "img/**.nii"}}, "in the pattern of LGE, ** must be"),
        ({"text": "***/*.txt"}, "in the pattern of text, ** must be"),
        ({"channels": ["T2"]}, "channels must be different ones of LGE, got T2"),
        ({"slices": "coronal"}, "slices must be one of thickest, axial, got 'coronal'"),
        ({"target_name": "background"}, "target_name must not be a name that nnU-Net reserves"),
    ],
)
@pytest.mark.usefixtures("own_folders")
def test_a_wrong_layout_is_one_line_that_names_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    config = own_layout(tmp_path, **changes)
    assert main([str(tmp_path), "--config", str(config)]) == 2
    printed = capsys.readouterr().err
    for part in message.split(".*"):
        assert part in printed
    assert printed.startswith("error: ")
    assert "layout.json" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "found none of emidec, myops2020, lascarqs2022"),
        (["two"], "found emidec and lascarqs2022"),
        (["gone"], "no such folder"),
        (["two", "--layout", "emidec", "--channels", "T1"], "channels must be different ones of LGE, got T1"),
        (["two", "--config", "none.json"], "file not found, in none.json"),
        (["empty", "--layout", "emidec"], "no case found"),
    ],
)
@pytest.mark.usefixtures("own_folders")
def test_a_wrong_call_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_emidec(tmp_path / "two", "P001")
    save(tmp_path / "two/train_1/enhanced.nii.gz", lge(anatomy()))
    save(tmp_path / "two/train_1/scarSegImgM.nii.gz", anatomy())
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.splitlines()) == 1


def _image(root: Path, case: str) -> Path:
    return root / f"Case_{case}/Images/Case_{case}.nii.gz"


def _label(root: Path, case: str) -> Path:
    return root / f"Case_{case}/Contours/Case_{case}.nii.gz"


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _copy_elsewhere(root: Path) -> None:
    shutil.copytree(root / "Case_P007", root / "copy/Case_P007")


def _link_beyond(root: Path) -> None:
    folder = root / "Case_P008"
    shutil.move(folder, root.parents[1] / "elsewhere")
    folder.symlink_to(root.parents[1] / "elsewhere")


TROUBLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "P001": (lambda root: _halve(_image(root, "P001")), "image cannot be read"),
    "P002": (lambda root: _label(root, "P002").write_bytes(b""), "image cannot be read (Empty file"),
    "P003": (lambda root: _label(root, "P003").unlink(), "no label (Case_*/Contours/*"),
    "P004": (lambda root: _image(root, "P004").unlink(), "no image of channel LGE (Case_*/Images/*"),
    "P005": (lambda root: _image(root, "P005").rename(root / "Case_P005/Images/Case_P005.doc"), "Case_P005.doc"),
    "P006": (lambda root: save_lying(_label(root, "P006"), anatomy() + 1), "label value(s) 5 are not in the release's"),
    "P007": (_copy_elsewhere, "2 files for one LGE: Case_P007/Images/Case_P007.nii.gz, copy/Case_P007"),
    "P008": (_link_beyond, "path leaves the release's folder"),
    "P009": (lambda root: save(_label(root, "P009"), anatomy(), affine=np.diag([-2.0, -2, 13, 1])), "spacing (13.0,"),
    "P010": (
        lambda root: save_lying(_label(root, "P010"), anatomy()[..., :-1]),
        "shape (5, 24, 30) against (6, 24, 30)",
    ),
    "P011": (lambda root: shutil.rmtree(root / "Case_P011"), "no image of channel LGE"),
}


def test_every_fault_is_one_line_and_the_other_cases_are_converted(
    tmp_path: Path, verified: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root, whole = tmp_path / "release/emidec-dataset-1.0.1", tmp_path / "whole"
    for case in ("P050", "N051", *TROUBLES):
        write_emidec(root, case, scar=case[0] == "P")
    shutil.copytree(root, whole)
    for damage, _ in TROUBLES.values():
        damage(root)
    # Copies that macOS puts beside files, without data.
    _image(root, "P050").with_name("._Case_P050.nii.gz").write_bytes(b"mac")
    (root / "__MACOSX/Case_P050/Images").mkdir(parents=True)
    (root / "__MACOSX/Case_P050/Images/Case_P050.nii.gz").write_bytes(b"mac")
    assert main([str(root), "--layout", "emidec"]) == 1
    printed = capsys.readouterr()
    failed = {line.split(": ")[1]: line for line in printed.err.splitlines() if line.startswith("failed: ")}
    assert sorted(failed) == [f"Case_{case}" for case in sorted(TROUBLES)]
    for case, (_, words) in TROUBLES.items():
        assert words in failed[f"Case_{case}"]
    assert "unexpected" not in printed.err
    assert f"(0 were there already), {len(TROUBLES)} failed" in printed.out
    folder = verified()
    assert cases_of(folder) == ["Case_N051", "Case_P050"]
    assert len(list((folder / "imagesTr").iterdir())) == 2

    written = {path: path.stat().st_mtime_ns for path in folder.glob("*Tr/*")}
    (root / "Case_P008").unlink()
    shutil.rmtree(root / "copy")
    for case in TROUBLES:
        shutil.rmtree(root / f"Case_{case}", ignore_errors=True)
        shutil.copytree(whole / f"Case_{case}", root / f"Case_{case}")
    assert main([str(root), "--layout", "emidec"]) == 0
    assert "(2 were there already)" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(cases_of(verified())) == len(TROUBLES) + 2


def test_a_damaged_result_is_converted_again(emidec: Path, verified: Callable[[], Path]) -> None:
    main([str(emidec)])
    folder = verified()
    before = (folder / "labelsTr/Case_P001.nii.gz").read_bytes()
    _halve(folder / "labelsTr/Case_P001.nii.gz")
    assert main([str(emidec)]) == 0
    assert (folder / "labelsTr/Case_P001.nii.gz").read_bytes() == before


def test_channels_on_different_grids_are_a_fault(
    tmp_path: Path, own_folders: DataFolders, capsys: pytest.CaptureFixture[str]
) -> None:
    write_myops(tmp_path, 101)
    save(tmp_path / "train25/myops_training_101_T2.nii.gz", lge(anatomy()), affine=np.diag([-1.0, -1, 13, 1]))
    assert main([str(tmp_path), "--channels", "DE", "T2"]) == 1
    assert "failed: myops_training_101: not on the grid of its image: spacing" in capsys.readouterr().err
    assert not list(own_folders.raw.rglob("*.nii.gz"))


def test_axes_that_itk_refuses_are_repaired_and_others_refused(
    tmp_path: Path, verified: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for case, shear in (("slight", 0.002), ("strong", 0.2)):
        affine = SOUND.copy()
        affine[0, 2] += shear * Z_MM
        write_own(tmp_path / "clinic", case, affine=affine)
        with pytest.raises(RuntimeError, match="orthonormal"):
            sitk.ReadImage(str(tmp_path / f"clinic/img/{case}.nii.gz"))
    assert main([str(tmp_path / "clinic"), "--config", str(own_layout(tmp_path))]) == 1
    printed = capsys.readouterr()
    assert "failed: strong: axes are not orthogonal" in printed.err
    assert "1 case(s): image and label: axes not quite orthogonal: nearest rotation taken" in printed.out
    _, voxels, mask = read(verified(), "slight")
    assert voxels[mask == 1].min() > 200 > voxels[mask == 0].max()


@pytest.mark.parametrize("slices", ["thickest", "axial"])
def test_slices_are_the_stacks_or_axial(tmp_path: Path, verified: Callable[[], Path], slices: str) -> None:
    # Thick slices run along the stored first axis, which points to the left; axial ones along the stored third.
    sagittal = np.array([[-Z_MM, 0, 0, 4.0], [0, -Y_MM, 0, 0], [0, 0, X_MM, 0], [0, 0, 0, 1]])
    write_own(tmp_path / "clinic", "a", affine=sagittal)
    config = own_layout(tmp_path, slices=slices)
    assert main([str(tmp_path / "clinic"), "--config", str(config)]) == 0
    image, voxels, mask = read(verified(), "a")
    expected = {"thickest": (Y_MM, X_MM, Z_MM), "axial": (Z_MM, Y_MM, X_MM)}[slices]
    assert image.GetSpacing() == pytest.approx(expected)
    assert voxels[mask == 1].min() > 200 > voxels[mask == 0].max()
    x, y, z = np.argwhere(anatomy() >= 3).mean(axis=0)
    kz, ky, kx = np.argwhere(mask).mean(axis=0)
    centre = image.TransformContinuousIndexToPhysicalPoint((kx, ky, kz))
    assert centre == pytest.approx((Z_MM * x - 4, Y_MM * y, X_MM * z), abs=1e-4)


def test_the_ready_layouts_are_documented_with_licence_or_terms() -> None:
    for name, settings in LAYOUTS.items():
        assert settings.name == name
        assert any(word in settings.description for word in ("CC", "request", "agreement"))

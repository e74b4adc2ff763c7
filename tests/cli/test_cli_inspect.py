from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from spd_bench.cli.inspect import main
from spd_bench.inspection.contact_sheet import CONTOUR, INSIDE, OUTSIDE
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.raw.volumes import read_volume, write_volume

TINY = "Dataset901_Tiny"
Capture = pytest.CaptureFixture[str]
Make = Callable[..., Path]


@pytest.fixture
def raw(own_folders: DataFolders, make_tiny_dataset: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The tiny dataset where the command looks for it; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    return make_tiny_dataset(own_folders.raw)


def _facts(output: str) -> dict[str, str]:
    return {line[:17].strip(): line[18:] for line in output.splitlines() if line[:17].strip()}


def _has(picture: np.ndarray, colour: str) -> bool:
    return bool((np.abs(picture[..., :3] - to_rgb(colour)).max(axis=-1) < 0.02).any())


def test_help_shows_an_example(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "example:\n  spd_inspect -d TI" in capsys.readouterr().out


def test_what_is_printed_is_what_a_loop_over_the_files_finds(raw: Path, capsys: Capture) -> None:
    assert main(["-d", TINY]) == 0
    captured = capsys.readouterr()
    facts = _facts(captured.out)
    labels = [read_volume(path)[0] for path in sorted((raw / "labelsTr").iterdir())]
    with_target = sum(int(plane.any()) for label in labels for plane in label)
    volumes = sorted(label.sum() * 7.5 / 1000 for label in labels)
    median = (volumes[2] + volumes[3]) / 2
    assert facts["dataset"] == TINY
    assert facts["cases"] == "6"
    assert facts["patients"] == "5, 1 with several cases: patient_1"
    assert facts["folds"] == "not planned yet"
    assert facts["channels"] == "0 MR"
    assert facts["size"] == "z 6, y 24, x 20 voxels"
    assert facts["spacing"] == "z 5, y 1, x 1.5 mm"
    assert facts["directions"] == "x, y, z grow to LAS; 6 oblique, up to 20 degrees"
    assert facts["f"] == f"{with_target / 36:.3f} ({with_target} of 36 slices have target)"
    assert facts["target volume"] == f"{volumes[0]:.4g} / {median:.4g} / {volumes[-1]:.4g} ml"
    assert facts["prompts"] == "a reader's (reader made up)"
    # Each case: a point on every target slice but the last, and one in a corner of the first.
    assert facts["points inside"] == f"{100 * 18 / 24:.1f} % (18 of 24 points lie inside the target)"
    assert (
        facts["slices missed"] == f"{100 * 6 / with_target:.1f} % (6 of {with_target} slices with target have no point)"
    )
    assert facts["duplicates"].startswith("none")
    assert "warning: few patients" in captured.out
    assert "inspecting" in captured.err


def test_sheet_and_table_are_written_where_the_user_stands(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["-d", TINY, "--cases", "3"]) == 0
    folder = tmp_path / "spd_inspect"
    assert sorted(path.name for path in folder.iterdir()) == [f"{TINY}.csv", f"{TINY}.png"]
    picture = imread(folder / f"{TINY}.png")
    assert all(_has(picture, colour) for colour in (CONTOUR, INSIDE, OUTSIDE))
    table = pd.read_csv(folder / f"{TINY}.csv")
    assert list(table["case"]) == [f"case_{number}" for number in range(6)]
    for row in table.itertuples():
        label, _ = read_volume(raw / "labelsTr" / f"{row.case}.nii.gz")
        assert row.target_ml == pytest.approx(label.sum() * 7.5 / 1000, abs=1e-4)
        assert (row.slices, row.target_slices) == (6, int(label.any(axis=(1, 2)).sum()))
        assert (row.size_z, row.size_y, row.size_x, row.spacing_z_mm, row.spacing_x_mm) == (6, 24, 20, 5.0, 1.5)
        assert (row.points, row.points_inside, row.target_slices_without_point) == (4, 3, 1)
    assert table["fault"].isna().all()
    assert table["fold"].isna().all()


def test_more_cases_make_a_taller_sheet(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    heights = []
    for count in ("1", "2", "99"):
        assert main(["-d", TINY, "--cases", count, "-o", str(tmp_path / "a.png")]) == 0
        heights.append(len(imread(tmp_path / "a.png")))
    assert heights[2] - heights[1] == pytest.approx(4 * (heights[1] - heights[0]), abs=5)


def test_without_prompts_no_point_is_drawn_and_that_is_said(
    own_folders: DataFolders, make_tiny_dataset: Make, tmp_path: Path, capsys: Capture
) -> None:
    make_tiny_dataset(own_folders.raw, with_prompts=False)
    assert main(["-d", TINY, "-o", str(tmp_path / "a.png")]) == 0
    assert _facts(capsys.readouterr().out)["prompts"].startswith("none yet")
    picture = imread(tmp_path / "a.png")
    assert _has(picture, CONTOUR)
    assert not _has(picture, INSIDE)
    assert not _has(picture, OUTSIDE)


def test_a_planned_dataset_is_told_by_its_plan(
    planned: Plan,
    tiny_raw: Path,
    folders: DataFolders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(getattr(folders, name)))
    assert main(["-d", TINY, "-o", str(tmp_path / "a.png")]) == 0
    facts = _facts(capsys.readouterr().out)
    assert facts["folds"].startswith("3")
    assert facts["slice axis"].endswith("the plan's")
    table = pd.read_csv(tmp_path / f"{TINY}.csv")
    assert dict(zip(table["case"], table["fold"], strict=True)) == {
        case: fold for fold in range(3) for case in planned.split(fold)["test"]
    }


def test_duplicates_are_told(raw: Path, capsys: Capture) -> None:
    shutil.copy(raw / "imagesTr" / "case_2_0000.nii.gz", raw / "imagesTr" / "case_4_0000.nii.gz")
    assert main(["-d", TINY]) == 0
    told = _facts(capsys.readouterr().out)["duplicates"]
    assert told == "SEVERE: same image: case_2, case_4; under different patients (not planned yet: folds unknown)"


def _torn(raw: Path) -> None:
    file = raw / "imagesTr" / "case_3_0000.nii.gz"
    file.write_bytes(file.read_bytes()[:-2000])


def _no_label(raw: Path) -> None:
    (raw / "labelsTr" / "case_3.nii.gz").unlink()


def _point_outside(raw: Path) -> None:
    write_prompts(raw / "promptsTr" / "case_3.mrk.json", PointPrompts(positions=np.full((1, 3), 1e4)))


def _no_points_file(raw: Path) -> None:
    (raw / "promptsTr" / "case_3.mrk.json").write_text("{}")


def _other_grid(raw: Path) -> None:
    file = raw / "labelsTr" / "case_3.nii.gz"
    voxels, geometry = read_volume(file)
    write_volume(file, voxels[:, ::-1].copy(), type(geometry)(shape=geometry.shape, spacing=geometry.spacing))


def _nan(raw: Path) -> None:
    file = raw / "imagesTr" / "case_3_0000.nii.gz"
    voxels, geometry = read_volume(file)
    voxels[0, 0, 0] = np.nan
    write_volume(file, voxels, geometry)


def _unknown_label(raw: Path) -> None:
    file = raw / "labelsTr" / "case_3.nii.gz"
    voxels, geometry = read_volume(file)
    voxels[0, 0, 0] = 9
    write_volume(file, voxels, geometry)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_torn, "case_3_0000.nii.gz"),
        (_no_label, "image without a label"),
        (_point_outside, "outside the volume"),
        (_no_points_file, "case_3.mrk.json"),
        (_other_grid, "not on the grid"),
        (_nan, "NaN"),
        (_unknown_label, "label value(s) [9] are not in dataset.json"),
    ],
)
def test_a_broken_case_is_a_fault_line_and_the_others_are_inspected(
    raw: Path, tmp_path: Path, capsys: Capture, spoil: Callable[[Path], None], fault: str
) -> None:
    spoil(raw)
    assert main(["-d", TINY, "-o", str(tmp_path / "a.png")]) == 1
    captured = capsys.readouterr()
    [line] = [line for line in captured.out.splitlines() if line.startswith("fault: ")]
    assert line.startswith("fault: case case_3: ")
    assert fault in line
    assert _facts(captured.out)["cases"] == "6, 1 of them broken"
    assert "Traceback" not in captured.err
    table = pd.read_csv(tmp_path / f"{TINY}.csv").set_index("case")
    assert fault in table.loc["case_3", "fault"]
    assert table["slices"].notna().sum() == 5
    assert _has(imread(tmp_path / "a.png"), CONTOUR)


def test_where_every_case_is_broken_there_is_nothing_to_draw(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    for file in (raw / "imagesTr").iterdir():
        file.write_bytes(b"")
    assert main(["-d", TINY, "-o", str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().out.count("fault: case ") == 6
    assert not (tmp_path / "a.png").exists()
    assert pd.read_csv(tmp_path / f"{TINY}.csv")["fault"].notna().all()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["-d", "NoSuch"], "unknown dataset 'NoSuch'"),
        (["-d", "TI"], "no such raw dataset"),
        (["-d", TINY, "--cases", "0"], "--cases 0"),
        (["-d", TINY, "--target-labels", "5"], "target labels [5]"),
        (["-d", TINY, "-o", "sheet.jpg"], "not a PNG file"),
        (["-d", TINY, "-o", "raw/x.png/y.png"], "stands where the output folder should be"),
    ],
)
def test_a_wrong_option_is_one_line(raw: Path, tmp_path: Path, capsys: Capture, options: list[str], fault: str) -> None:
    (tmp_path / "raw" / "x.png").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    assert main(options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert fault in lines[0]
    assert sorted(tmp_path.rglob("*")) == before

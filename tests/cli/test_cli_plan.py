from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from spd_bench.cli.plan_and_preprocess import main
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import read_plan
from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.raw.volumes import read_volume, write_volume

TINY = "Dataset901_Tiny"
SMALL = ("--resolution", "32", "--context", "1", "--folds", "3")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def raw(own_folders: DataFolders, make_tiny_dataset: Callable[..., Path], fingerprint_in_threads: None) -> Path:
    """The tiny dataset where the command looks for it."""
    return make_tiny_dataset(own_folders.raw)


def _tree(folders: DataFolders) -> dict[str, bytes]:
    root = folders.raw.parent
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def _assert_refused(folders: DataFolders, capsys: Capture, fault: str, arguments: Sequence[str]) -> None:
    before = _tree(folders)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    # A line ends at "\n" alone: what a progress bar left open would stand before ours.
    lines = [line for line in captured.err.split("\n") if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert fault in lines[0]
    assert "Traceback" not in captured.err
    assert _tree(folders) == before


def test_help_shows_an_example(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "example:\n  spd_plan_and_preprocess -d TI" in capsys.readouterr().out


@pytest.mark.parametrize("reference", [TINY, "901", "tiny"])
def test_a_dataset_is_planned_by_any_of_its_names(
    own_folders: DataFolders, raw: Path, capsys: Capture, reference: str
) -> None:
    assert main(["-d", reference, *SMALL, "--seed", "3"]) == 0
    output = capsys.readouterr().out.splitlines()
    plan = read_plan(own_folders.preprocessed / TINY)
    assert output[0].startswith("data folders: raw ")
    assert "6 cases planned as spd_32" in output[1]
    sizes = (len(plan.splits[0][part]) for part in ("train", "val", "test"))
    assert "fold 0: {} train, {} validation, {} test".format(*sizes) in output[1]
    assert output[2] == "SAM's three channels: 0 MR, 0 MR, 0 MR; slices along axis 0 of (z, y, x)"
    assert output[3] == f"preprocessed: {plan.folder}"
    assert len(output) == 4
    assert (plan.resolution, plan.slice_settings["context"], plan.plans["spd"]["seed"]) == (32, 1, 3)


def test_every_option_reaches_the_plan(
    own_folders: DataFolders,
    make_tiny_dataset: Callable[..., Path],
    fingerprint_in_threads: None,
) -> None:
    raw = make_tiny_dataset(own_folders.raw, with_prompts=False)
    description = json.loads((raw / "dataset.json").read_text())
    description["labels"]["other"] = 2
    (raw / "dataset.json").write_text(json.dumps(description))
    options = {
        "--resolution": "64",
        "--context": "3",
        "--seed": "5",
        "--folds": "4",
        "--severity": "0.5",
        "--patient-pattern": "case_(.)",
        "--gpu-memory": "4",
    }
    pairs = [text for pair in options.items() for text in pair]
    assert main(["-d", "901", *pairs, "--target-labels", "1", "2"]) == 0
    plan = read_plan(own_folders.preprocessed / TINY)
    assert plan.configuration == "spd_64"
    assert plan.slice_settings["context"] == 3
    assert plan.plans["spd"] == {"configuration": "spd_64", "target_labels": [1, 2], "seed": 5, "folds": 4}
    assert plan.prompts_provenance["severity"] == 0.5
    assert plan.patients == {f"case_{number}": str(number) for number in range(6)}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["-d", "NoSuch"], "unknown dataset 'NoSuch'"),
        (["-d", "TI"], "no such raw dataset"),
        (["-d", TINY, "--resolution", "100"], "resolution must be a multiple of 32 between 32 and 2048, got 100"),
        (["-d", TINY, "--context", "-1"], "context must be"),
        (["-d", TINY, "--target-labels", "0"], "target_labels must be"),
        (["-d", TINY, "--target-labels", "4"], "target labels [4]"),
        (["-d", TINY, "--seed", "-1"], "seed must be"),
        (["-d", TINY, "--folds", "2"], "folds must be"),
        (["-d", TINY, "--folds", "6"], "5 patient(s) cannot be split into 6 folds"),
        (["-d", TINY, "--severity", "9"], "severity must"),
        (["-d", TINY, "--severity", "1"], "not simulated"),
        (["-d", TINY, "--patient-pattern", "("], "patient_pattern must be"),
        (["-d", TINY, "--patient-pattern", "(scan)"], "does not match the patient pattern"),
        (["-d", TINY, "--gpu-memory", "0"], "gpu_memory_gb must be"),
        (["-d", TINY, "--jobs", "0"], "0 is not a number of processes"),
    ],
)
def test_a_wrong_option_is_one_line(
    own_folders: DataFolders, raw: Path, capsys: Capture, options: list[str], fault: str
) -> None:
    _assert_refused(own_folders, capsys, fault, options)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "the following arguments are required: -d/--dataset"),
        (["-d", "TI", "--folds", "many"], "argument --folds: invalid int value: 'many'"),
        (["-d", "TI", "--fold", "3", "--no-such-option"], "--no-such-option"),
    ],
)
def test_an_option_that_cannot_be_read_is_one_line(capsys: Capture, options: list[str], fault: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert fault in line
    assert line.endswith("see spd_plan_and_preprocess --help")


def _nan(raw: Path) -> None:
    voxels, geometry = read_volume(raw / "imagesTr" / "case_3_0000.nii.gz")
    voxels[0, 0, 0] = np.nan
    write_volume(raw / "imagesTr" / "case_3_0000.nii.gz", voxels, geometry)


def _torn_image(raw: Path) -> None:
    file = raw / "imagesTr" / "case_3_0000.nii.gz"
    file.write_bytes(file.read_bytes()[:-2000])


def _point_outside(raw: Path) -> None:
    write_prompts(raw / "promptsTr" / "case_3.mrk.json", PointPrompts(positions=np.full((1, 3), 1e4)))


def _no_points_file(raw: Path) -> None:
    (raw / "promptsTr" / "case_3.mrk.json").unlink()


def _no_label(raw: Path) -> None:
    (raw / "labelsTr" / "case_3.nii.gz").unlink()


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_nan, "case_3_0000.nii.gz"),
        (_torn_image, "case_3_0000.nii.gz"),
        (_point_outside, "case_3.mrk.json"),
        (_no_points_file, "case_3.mrk.json"),
        (_no_label, "case_3"),
    ],
)
def test_a_fault_in_the_data_is_one_line_that_names_the_file(
    own_folders: DataFolders, raw: Path, capsys: Capture, spoil: Callable[[Path], None], fault: str
) -> None:
    spoil(raw)
    _assert_refused(own_folders, capsys, fault, ["-d", TINY, *SMALL])


def test_bad_input_does_not_spoil_an_earlier_plan(own_folders: DataFolders, raw: Path, capsys: Capture) -> None:
    assert main(["-d", TINY, *SMALL]) == 0
    _nan(raw)
    _assert_refused(own_folders, capsys, "case_3_0000.nii.gz", ["-d", TINY, *SMALL])
    assert read_plan(own_folders.preprocessed / TINY).resolution == 32


def test_debug_shows_the_traceback(own_folders: DataFolders, raw: Path, capsys: Capture) -> None:
    assert main(["-d", "NoSuch", "--debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert error.split("\n")[-2].startswith("error: unknown dataset 'NoSuch'")


def test_a_fault_of_the_program_keeps_its_traceback(
    own_folders: DataFolders, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("spd_bench.planning.prepare.plan_and_preprocess", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["-d", TINY])

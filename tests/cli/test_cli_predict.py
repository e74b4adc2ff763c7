from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from spd_bench.cli.predict import main
from spd_bench.methods.method import MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume, slice_points, volume_slices
from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts
from spd_bench.raw.volumes import read_volume, write_volume

TINY = "Dataset901_Tiny"
Capture = pytest.CaptureFixture[str]


class _Bright:
    """Bright pixels are target; asks for the points as a promptable method does."""

    def __init__(self, run: MethodRun) -> None:
        self._plan = run.plan
        assert run.folder.is_absolute()
        assert run.device.type == "cpu"

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        slice_points(volume, self._plan)
        slices = volume_slices(volume, self._plan)
        mask = masks_on_own_grid(slices[:, 0], shape=volume.geometry.shape, transpose=self._plan.transpose)
        return Prediction(mask=mask, saliency=mask.astype(np.float32), points=volume.points())


@pytest.fixture
def place(planned: Plan, tiny_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """New images with points, and a promptable method that needs no training."""
    bright = dataclasses.replace(METHODS["empty"], name="bright", uses_prompts=True, predictor=_Bright)
    monkeypatch.setitem(METHODS, "bright", bright)
    for kind, ending in (("images", "_0000.nii.gz"), ("prompts", ".mrk.json")):
        (tmp_path / f"{kind}Ts").mkdir()
        for number in (0, 1, 2):
            source = tiny_raw / TINY / f"{kind}Tr" / f"case_{number}{ending}"
            shutil.copy(source, tmp_path / f"{kind}Ts" / f"new_{number}{ending}")
    return tmp_path


def _arguments(place: Path, *more: str, method: str = "bright") -> list[str]:
    folders = ["-i", str(place / "imagesTs"), "-p", str(place / "promptsTs"), "-o", str(place / "out")]
    return ["-d", "901", "-m", method, *folders, "--device", "cpu", *more]


def _assert_refused(place: Path, capsys: Capture, fault: str, arguments: Sequence[str], left: int = 0) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.split("\n") if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert fault in lines[0]
    assert "Traceback" not in captured.err
    assert len(_files(place / "out")) == left


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_help_shows_an_example(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "example:\n  spd_predict -d TI" in capsys.readouterr().out


def test_masks_are_written_in_their_images_geometry(place: Path, capsys: Capture) -> None:
    assert main(_arguments(place)) == 0
    assert _files(place / "out") == [f"new_{number}.nii.gz" for number in range(3)]
    for number in range(3):
        mask, image = (
            nib.load(place / folder / f"new_{number}{ending}")
            for folder, ending in (("out", ".nii.gz"), ("imagesTs", "_0000.nii.gz"))
        )
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-6)
        assert 0 < np.asarray(mask.dataobj).mean() < 0.5
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("data folders: ")
    assert output[-1] == f"3 masks: {place / 'out'}"


def test_saliency_and_points_are_saved_on_demand(place: Path) -> None:
    assert main(_arguments(place, "--save-saliency", "--save-prompts")) == 0
    names = [f"new_{number}" for number in range(3)]
    assert _files(place / "out") == sorted(
        [f"{name}.nii.gz" for name in names]
        + [f"saliency/{name}.nii.gz" for name in names]
        + [f"prompts/{name}.mrk.json" for name in names]
    )
    assert len(read_prompts(place / "out" / "prompts" / "new_0.mrk.json")) == 4


def test_a_method_without_prompts_needs_no_folder_of_them(place: Path) -> None:
    arguments = ["-d", TINY, "-m", "empty", "-i", str(place / "imagesTs"), "-o", str(place / "out")]
    assert main([*arguments, "--device", "cpu"]) == 0
    masks = [read_volume(place / "out" / name)[0] for name in _files(place / "out")]
    assert len(masks) == 3
    assert not np.any(masks)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (["-d", "NoSuch"], "unknown dataset 'NoSuch'"),
        (["-d", "TI"], "not planned"),
        (["-m", "nosuch"], "unknown method 'nosuch'"),
        (["-i", "absent"], "folder not found"),
        (["-p", "absent"], "case new_0 has no prompts, in absent/new_0.mrk.json"),
        (["-m", "spd"], "checkpoint not found"),
        (["-m", "nnunet"], "checkpoint not found"),
        (["-f", "7"], "fold 7 does not exist"),
        (["--device", "tpu9"], "unknown device 'tpu9'"),
        (["--device", "cuda:99"], "cuda:99"),
    ],
)
def test_a_wrong_option_is_one_line(place: Path, capsys: Capture, more: list[str], fault: str) -> None:
    _assert_refused(place, capsys, fault, _arguments(place, *more))


def test_a_case_without_points_is_refused_before_anything_is_predicted(place: Path, capsys: Capture) -> None:
    (place / "promptsTs" / "new_2.mrk.json").unlink()
    _assert_refused(place, capsys, "case new_2 has no prompts", _arguments(place))


def test_a_file_in_the_place_of_the_output_is_refused(place: Path, capsys: Capture) -> None:
    (place / "out").write_text("a file")
    _assert_refused(place, capsys, "a file stands where the output folder should be", _arguments(place))


def test_a_folder_without_images_is_refused(place: Path, capsys: Capture) -> None:
    _assert_refused(place, capsys, "no image is named <case>_0000", _arguments(place, "-i", str(place)))


def test_a_run_of_another_plan_is_refused(place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    record = SimpleNamespace(hashes={"plan": "another", "splits": "", "prompts": None})
    monkeypatch.setattr("spd_bench.training.records.read_record", lambda _: record)
    _assert_refused(place, capsys, "trained on another plan", _arguments(place))


def _nan(place: Path) -> None:
    voxels, geometry = read_volume(place / "imagesTs" / "new_0_0000.nii.gz")
    voxels[0, 0, 0] = np.nan
    write_volume(place / "imagesTs" / "new_0_0000.nii.gz", voxels, geometry)


def _torn(place: Path) -> None:
    (place / "imagesTs" / "new_0_0000.nii.gz").write_bytes(b"not an image")


def _point_outside(place: Path) -> None:
    write_prompts(place / "promptsTs" / "new_0.mrk.json", PointPrompts(positions=np.full((1, 3), 1e4)))


def _no_markups(place: Path) -> None:
    (place / "promptsTs" / "new_0.mrk.json").write_text('{"points": []}')


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_nan, "imagesTs/new_0_0000.nii.gz"),
        (_torn, "imagesTs/new_0_0000.nii.gz"),
        (_point_outside, "promptsTs/new_0.mrk.json"),
        (_no_markups, "promptsTs/new_0.mrk.json"),
    ],
)
def test_a_fault_in_the_data_is_one_line_that_names_the_file(
    place: Path, capsys: Capture, spoil: Any, fault: str
) -> None:
    spoil(place)
    _assert_refused(place, capsys, fault, _arguments(place))


def test_masks_that_were_done_before_a_fault_stay(place: Path, capsys: Capture) -> None:
    (place / "imagesTs" / "new_1_0000.nii.gz").write_bytes(b"not an image")
    _assert_refused(place, capsys, "new_1_0000.nii.gz", _arguments(place), left=1)


def test_debug_shows_the_traceback(place: Path, capsys: Capture) -> None:
    assert main(_arguments(place, "-m", "nosuch", "--debug")) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert error.split("\n")[-2].startswith("error: unknown method")

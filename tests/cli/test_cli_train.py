"""``spd_train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from spd_bench.cli.train import main
from spd_bench.models.sam import build_sam
from spd_bench.planning.plan import Plan
from spd_bench.storage import read_json
from spd_bench.training.tracked import TrackedTrainer

SHORT = ["--epochs", "2", "--iterations", "2", "--batch-size", "2", "--device", "cpu", "--backbone", "vit_t"]
UNET = ["-m", "unet", "--set", "unet.base_features=4"]


@pytest.fixture
def results(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own, for a dataset that is planned."""
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return tmp_path / planned.dataset


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistaken call ends with."""
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "step" not in line and line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_help_ends_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].strip().startswith("spd_train -d TI -m spd")
    for option in ("--epochs", "--backbone", "--weights", "--device", "--continue", "--set", "--debug", "--seed"):
        assert option in text


def test_a_method_is_trained_and_its_folder_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", "901", "-f", "1", *UNET, *SHORT]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("data folders: raw ")
    folder = results / "UNetTrainer__SPDPlans_unet__spd_32" / "fold_1"
    assert out[-1] == f"trained unet: {folder}"
    record = read_json(folder / "run.json")
    assert record["settings"]["method"]["base_features"] == 4
    assert (record["epochs"], record["images_seen"], record["fold"]) == (2, 8, 1)
    assert (folder / "checkpoint_final.pth").is_file()


def test_weights_and_own_settings_reach_spd(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "mine.pth"
    torch.save(build_sam("vit_t", resolution=32).state_dict(), weights)
    own = ["--set", "spd.saliency_bias=4", "--set", "spd.empty_prompt=decode", "--set", "spd.train_prompt_encoder=true"]
    assert main(["-d", "Dataset901_Tiny", "-m", "spd", "--weights", str(weights), *own, *SHORT]) == 0
    record = read_json(results / "SPDTrainer__SPDPlans_spd__spd_32" / "fold_0" / "run.json")
    assert record["weights"]["name"] == "mine.pth"
    chosen = record["settings"]["method"]
    assert (chosen["saliency_bias"], chosen["empty_prompt"], chosen["train_prompt_encoder"]) == (4, "decode", True)
    assert "prompt" in capsys.readouterr().out


def test_an_interrupted_training_is_continued(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["-d", "901", *UNET, *SHORT]
    with monkeypatch.context() as patch:

        def stop(trainer: TrackedTrainer, batch: Any) -> dict[str, Any]:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt
            return trainer.optimise(batch)

        patch.setattr(TrackedTrainer, "train_step", stop)
        assert main(call) == 130
    assert "stopped" in capsys.readouterr().err
    assert "other training settings" in error_of([*call, "--continue", "--seed", "1"], capsys)
    assert main([*call, "--continue"]) == 0
    capsys.readouterr()
    assert "nothing to continue" in error_of([*call, "--continue"], capsys)


def test_nothing_to_continue(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to continue" in error_of(["-d", "901", *UNET, *SHORT, "--continue"], capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "samm"], "unknown method 'samm': choose one of empty, sam, "),
        (["-d", "TI"], "TI"),
        (["-f", "3"], "fold 3 does not exist"),
        (["-f", "-1"], "fold -1 does not exist"),
        (["--weights", "missing.pth"], "weights for 'sam' not found, in missing.pth"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--seed", "-1"], "seed must not be negative, got -1"),
        (["--set", "threshold=0.5"], "is not METHOD.NAME=VALUE"),
        (["--set", "unet.depth=5"], "setting of unet refused"),
        (["--set", "unet.base_features=few"], "few"),
        (["--set", "unett.base_features=4"], "unknown method 'unett'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["-m", "spd", "--epochs", "1"], "two stages, 1 epoch is too few"),
        (["-m", "spd", "--backbone", "vit_x"], "unknown backbone 'vit_x': choose one of vit_b"),
        (["-m", "spd", "--set", "spd.threshold=2"], "threshold must be none or lie in"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    results: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    defaults = ["-d", "901", "-m", "unet"]
    assert words in error_of([*defaults, *SHORT, *arguments], capsys)
    assert not results.exists()


def test_an_unplanned_dataset_says_what_to_run(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "elsewhere"))
    assert "run spd_plan_and_preprocess first" in error_of(["-d", "901", "-m", "unet"], capsys)


def test_debug_shows_the_traceback(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", "901", "-m", "samm", "--debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: unknown method")

"""``spd_compare_baselines``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from nnunetv2.training.logging.nnunet_logger import LocalLogger

import spd_bench.methods.fitting
from spd_bench.cli.compare_baselines import main
from spd_bench.methods.registry import ROWS
from spd_bench.planning.plan import Plan

SHORT = ["--epochs", "2", "--iterations", "2", "--batch-size", "2", "--device", "cpu", "--backbone", "vit_t"]
SMALL = ["--set", "unet.base_features=4", "--set", "spd.saliency_bias=4"]


@pytest.fixture(autouse=True)
def results(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own, for a dataset that is planned."""
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
    folder = tmp_path / "results"
    monkeypatch.setenv("nnUNet_results", str(folder))
    return folder


def test_help_ends_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].strip().startswith("spd_compare_baselines -d TI SCAR FUMPE KiTS -m all")
    for option in ("--datasets", "--methods", "--folds", "--output", "--epochs", "--set", "--debug"):
        assert option in text


def test_rows_are_compared_and_the_summary_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert main(["-d", "901", "-m", "unet", "empty", "-f", "0", "0", "-o", str(output), *SHORT, *SMALL]) == 0
    out = capsys.readouterr().out
    assert "Volumetric Dice %" in out
    for name in ("slices.csv", "volumes.csv", "summary.csv", "table_volumetric_dice.tex"):
        assert str(output / name) in out
        assert (output / name).is_file()
    summary = pd.read_csv(output / "summary.csv")
    assert summary["method"].drop_duplicates().tolist() == ["empty", "unet"]


def test_every_row_by_one_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", "901", "-m", "all", "-o", str(tmp_path / "out"), *SHORT, *SMALL]) == 0
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    rows = summary["method"].drop_duplicates().tolist()
    assert rows == ["empty", "sam_tuning", "medsam", "msa", "unet", "nnunet", "spd"]
    told = capsys.readouterr().err
    for method in ROWS:
        assert (f"not run: {method.name}: this row means nothing without the weights" in told) == (
            method.name not in rows
        )


def test_a_failing_cell_ends_with_status_one_and_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A saliency that is silent everywhere leaves Stage I without a prompt.
    silent = ["--set", "spd.saliency_bias=-30", "--set", "spd.threshold=0.5"]
    with pytest.raises(SystemExit) as ended:
        main(["-d", "901", "-m", "empty", "spd", "-o", str(tmp_path / "out"), *SHORT, *silent])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "failed: Dataset901_Tiny_spd_fold0: Stage I left no prompt" in captured.err
    assert "empty" in captured.out
    log = tmp_path / "out" / "cells" / "Dataset901_Tiny" / "spd" / "fold_0" / "error.log"
    assert "Stage I left no prompt" in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "empty", "samm"], "unknown method 'samm'"),
        (["-d", "901", "TI"], "TI"),
        (["-f", "0", "8"], "fold 8 does not exist"),
        (["--weights", "missing.pth"], "weights for 'sam' not found, in missing.pth"),
        (["-m", "sam"], "means nothing without the weights of sam (vit_t): give --weights sam=FILE"),
        (["--weights", "same=README.md"], "same"),
        (["--set", "spd.tau=1"], "setting of spd refused"),
        (["--set", "nnunet.epochs=1"], "setting of nnunet refused"),
        (["--set", "sdp.threshold=1"], "unknown method 'sdp'"),
        (["--set", "nonsense"], "is not METHOD.NAME=VALUE"),
        (["--epochs", "1"], "two stages, 1 epoch is too few"),
        (["--epochs", "-1"], "epochs must be at least 1"),
        (["--backbone", "vit_x"], "unknown backbone 'vit_x'"),
        (["--viewer", "niivue"], "needs NiiVue's bundle, and none is given: run `npm pack @niivue/niivue`"),
        (["--viewer", "niivue", "--niivue-bundle", "missing.js"], "NiiVue's bundle is not there, in missing.js: run"),
        (["--viewer", "niivue", "--niivue-bundle", __file__], "package/dist/niivue.umd.js"),
        (["--niivue-bundle", "niivue.umd.js"], "add --viewer niivue"),
        (["--viewer", "slicer"], "unknown viewer 'slicer': choose canvas or niivue"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_run(
    tmp_path: Path,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.delenv("SPD_NIIVUE", raising=False)
    monkeypatch.setattr(spd_bench.methods.fitting, "fit", lambda *given, **named: pytest.fail("something was trained"))
    output = tmp_path / "out"
    assert main(["-d", "901", "-o", str(output), *SHORT, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert not output.exists()
    assert not list(results.rglob("*.*"))

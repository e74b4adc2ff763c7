"""``spd_compare_baselines``' options of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from spd_bench.cli.compare_baselines import main
from spd_bench.planning.plan import Plan

HEAD = '(function(a,b){typeof exports=="object"?b(exports):b(self.niivue={})})(this,function(q){q.Niivue=class{}});'


@pytest.fixture(autouse=True)
def results(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own, for a dataset that is planned, and no bundle."""
    monkeypatch.delenv("SPD_NIIVUE", raising=False)
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
    folder = tmp_path / "results"
    monkeypatch.setenv("nnUNet_results", str(folder))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "niivue.umd.js"
    path.write_text(HEAD)
    return path


def compare(tmp_path: Path, *arguments: str) -> str:
    """The report of a comparison of a row that need not be trained."""
    output = tmp_path / "out"
    assert main(["-d", "901", "-m", "empty", "-o", str(output), "--device", "cpu", *arguments]) == 0
    return (output / "report.html").read_text(encoding="utf-8")


def test_the_canvas_is_the_default(tmp_path: Path) -> None:
    page = compare(tmp_path)
    assert "niivue" not in page.lower()
    assert compare(tmp_path, "--viewer", "canvas") == page


def test_the_bundle_comes_by_path_or_by_variable(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = compare(tmp_path, "--viewer", "niivue", "--niivue-bundle", str(bundle))
    assert 'id="library"' in page
    monkeypatch.setenv("SPD_NIIVUE", str(bundle))
    assert compare(tmp_path, "--viewer", "niivue") == page
    # The variable alone chooses nothing.
    assert 'id="library"' not in compare(tmp_path)


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    options = ("--viewer", "--niivue-bundle", "--report-cases", "--report-megabytes")
    for word in (*options, "SPD_NIIVUE", "npm pack @niivue/niivue"):
        assert word in " ".join(text.split())


def test_the_report_shows_no_more_cases_than_are_asked_for(tmp_path: Path) -> None:
    assert compare(tmp_path, "--report-cases", "1").count("<option value=") == 1
    assert "<canvas" not in compare(tmp_path, "--report-cases", "0")


def test_the_report_keeps_to_the_size_that_is_asked_for(tmp_path: Path) -> None:
    page = compare(tmp_path)
    megabytes = 0.95 * len(page.encode()) / 1e6
    assert len(compare(tmp_path, "--report-megabytes", f"{megabytes:.6f}").encode()) <= megabytes * 1e6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--report-cases", "-1"], "a report cannot show -1 cases"),
        (["--report-megabytes", "0"], "a report cannot have 0 megabytes"),
    ],
)
def test_a_size_out_of_range_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["-d", "901", "-m", "empty", "-o", str(tmp_path / "out"), "--device", "cpu", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--viewer", "canvas"], ["--niivue-bundle", "niivue.umd.js"], ["--report-cases", "0"]]
)
def test_a_rebuild_makes_no_report_and_takes_no_options_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    compare(tmp_path)
    capsys.readouterr()
    assert main(["--rebuild", str(tmp_path / "out"), "-o", str(tmp_path / "copy"), *arguments]) == 2
    assert "--rebuild makes no report" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()

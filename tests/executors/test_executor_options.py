"""``--executor`` and its options on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spd_bench.cli.compare_baselines import main
from spd_bench.executors.settings import JobSettings
from spd_bench.planning.plan import Plan

pytest.importorskip("submitit")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--executor", "kubernetes"], "unknown executor 'kubernetes': choose one of inline, local, slurm"),
        (["--partition", "gpu"], "--partition means nothing with --executor inline: leave it out, or choose slurm"),
        (["--jobs", "2"], "--jobs means nothing with --executor inline: leave it out, or choose local or slurm"),
        (["--executor", "local", "--time", "5"], "--time means nothing with --executor local"),
        (["--executor", "local", "--slurm", "qos=low"], "--slurm means nothing with --executor local"),
        (["--executor", "local", "--gpus", "-1"], "gpus must be at least 0, got -1"),
        (["--executor", "local", "--jobs", "0"], "jobs must be at least 1, got 0"),
        (["--executor", "slurm", "--memory", "0"], "memory must be at least 1, got 0"),
        (["--executor", "slurm", "--slurm", "mem=4G"], "mem has an option of its own, --memory"),
        (["--executor", "slurm", "--slurm", "--account=lab"], "expected one argument"),
        (["--executor", "slurm", "--slurm", "my account=lab"], "'my account' is no parameter of sbatch"),
        (["--executor", "slurm", "--slurm", "array=1-3"], "array is set for each job and cannot be chosen"),
        (["--executor", "slurm"], "there is no Slurm on this machine"),
    ],
)
def test_a_mistake_is_one_line(
    planned: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        status = main(["-d", "901", "-m", "empty", "-o", str(tmp_path / "out"), *arguments])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("executor", ["local", "slurm"])
def test_a_missing_submitit_is_one_line(
    planned: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main(["-d", "901", "-m", "empty", "-o", str(tmp_path / "out"), "--executor", executor]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("submitit, which is not installed: pip install 'spd_bench[slurm]'")


@pytest.mark.parametrize("arguments", [["--executor", "local"], ["--jobs", "2"]])
def test_a_rebuilt_comparison_runs_no_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["--rebuild", str(tmp_path), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert f"--rebuild runs nothing, and {arguments[0]} is given" in capsys.readouterr().err


def test_the_options_stand_together_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    group = text.partition("where the cells run:")[2]
    assert "--executor slurm --partition gpu --gpus 1 --time 240 --slurm account=lab" in group
    for option in ("--executor", "--jobs", "--gpus", "--partition", "--cpus", "--memory", "--time", "--slurm"):
        assert f" {option} " in group


def test_settings_are_what_they_are_said_to_be() -> None:
    assert JobSettings().given == []
    assert JobSettings(gpus=0, slurm={"qos": "low"}, device="cpu").given == ["gpus", "slurm"]
    for wrong in ({"cpus": 0}, {"time": 0}, {"slurm": {"Account": "lab"}}, {"slurm": {"": True}}):
        with pytest.raises(ValueError, match=r"must be at least|no parameter of sbatch"):
            JobSettings(**wrong)

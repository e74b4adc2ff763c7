"""The command on a cluster whose Slurm is three shell scripts that run jobs on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from spd_bench.cli.compare_baselines import main
from spd_bench.planning.plan import Plan

pytest.importorskip("submitit")

SCRIPTS = {
    "sbatch": """
n=$(ls "$FAKE_SLURM"/*.job 2>/dev/null | wc -l); cp "$1" "$FAKE_SLURM/$n.job"; echo RUNNING > "$FAKE_SLURM/$n.state"
(SLURM_JOB_ID=$n bash "$1"; echo COMPLETED > "$FAKE_SLURM/$n.state") > /dev/null 2>&1 < /dev/null &
echo "Submitted batch job $n"
""",
    "srun": """
while [[ "$1" == -* ]]; do
  case "$1" in --output) out=$2; shift 2;; --error) err=$2; shift 2;; *) shift;; esac
done
name() { local path=${1//%j/$SLURM_JOB_ID}; echo "${path//%t/0}"; }
exec "$@" >> "$(name "$out")" 2>> "$(name "$err")"
""",
    "sacct": """
echo "JobID|State|NodeList"
for state in "$FAKE_SLURM"/*.state; do echo "$(basename "$state" .state)|$(cat "$state")|node"; done
""",
}


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scripts keep the files of their jobs."""
    commands, folder = tmp_path / "commands", tmp_path / "slurm"
    commands.mkdir()
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    return folder


def test_a_grid_is_run_by_slurm_once(
    planned: Plan,
    fake_slurm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    output = tmp_path / "out"
    call = ["-d", "901", "-m", "empty", "-o", str(output), "--device", "cpu", "--executor", "slurm"]
    call += ["--partition", "gpu", "--slurm", "account=lab"]
    assert main(call) == 0
    captured = capsys.readouterr()
    assert "Volumetric Dice %" in captured.out
    assert f"logs of the jobs: {output / 'jobs'}" in captured.err
    assert pd.read_csv(output / "summary.csv")["method"].unique().tolist() == ["empty"]
    [script] = fake_slurm.glob("*.job")
    for line in (
        "#SBATCH --partition=gpu",
        "#SBATCH --account=lab",
        f"#SBATCH --job-name={planned.dataset}_empty_fold0",
    ):
        assert line in script.read_text().splitlines()
    [result] = output.glob("jobs/*/*_result.pkl")
    assert result.name == "0_0_result.pkl"
    assert main(call) == 0
    assert len(list(fake_slurm.glob("*.job"))) == 1

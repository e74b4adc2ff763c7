"""Slurm's job files, by submitit's own stand-in for Slurm's commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import run_cell
from spd_bench.errors import InputError
from spd_bench.executors.cell_job import CellJob, cell_job
from spd_bench.executors.settings import JobSettings
from spd_bench.executors.slurm import SlurmCluster, slurm_executor

submitit = pytest.importorskip("submitit")


@pytest.fixture
def slurm() -> Iterator[Any]:
    from submitit.slurm.test_slurm import mocked_slurm

    with mocked_slurm() as mock:
        yield mock


@pytest.fixture
def job(make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]) -> CellJob:
    [cell] = cells_of("unet")
    return cell_job(cell, make_grid("grid"), run=run_cell, device="cuda")


@pytest.fixture
def cluster(slurm: Any, tmp_path: Path) -> Callable[..., SlurmCluster]:
    def make(**settings: Any) -> SlurmCluster:
        return SlurmCluster(
            folder=tmp_path / "jobs" / "call", known=tmp_path / "jobs", settings=JobSettings(**settings)
        )

    return make


def parameters(submitted: Any) -> set[str]:
    lines = submitted.paths.submission_file.read_text().splitlines()
    return {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}


def test_a_job_asks_for_what_the_options_say(cluster: Callable[..., SlurmCluster], job: CellJob) -> None:
    slurm = {"account": "lab", "constraint": "a100|h100", "exclusive": True}
    settings = {"partition": "gpu", "gpus": 2, "cpus": 6, "memory": 48, "time": 90, "slurm": slurm}
    submitted = cluster(**settings).submit("TI_unet_fold0", job)
    [step] = [line for line in submitted.paths.submission_file.read_text().splitlines() if line.startswith("srun ")]
    assert " --cpus-per-task=6 " in step
    found = parameters(submitted)
    assert {
        "job-name=TI_unet_fold0",
        "partition=gpu",
        "gpus-per-node=2",
        "cpus-per-task=6",
        "mem=48G",
        "time=90",
        "account=lab",
        "constraint='a100|h100'",
        "exclusive",
        "requeue",
        "open-mode=append",
    } <= found


def test_a_job_asks_for_one_gpu_and_leaves_the_rest_to_the_cluster(
    cluster: Callable[..., SlurmCluster], job: CellJob
) -> None:
    found = parameters(cluster().submit("TI_unet_fold0", job))
    assert {"gpus-per-node=1", "time=1440"} <= found
    assert not [line for line in found if line.split("=")[0] in ("partition", "cpus-per-task", "mem")]


@pytest.mark.parametrize(
    ("settings", "device"),
    [({}, "cuda"), ({"gpus": 0}, None), ({"device": "cpu"}, "cpu"), ({"gpus": 0, "device": "cuda"}, "cuda")],
)
def test_a_job_trains_on_the_gpu_it_asks_for(
    cluster: Callable[..., SlurmCluster], settings: dict[str, Any], device: str | None
) -> None:
    assert cluster(**settings).device == device


def test_no_gpus_are_asked_for_where_none_are_wanted(cluster: Callable[..., SlurmCluster], job: CellJob) -> None:
    found = parameters(cluster(gpus=0, slurm={"gres": "gpu:a100:1"}).submit("TI_unet_fold0", job))
    assert "gres=gpu:a100:1" in found
    assert not [line for line in found if line.startswith("gpus")]


def test_what_is_submitted_is_the_cell_in_plain_values(cluster: Callable[..., SlurmCluster], job: CellJob) -> None:
    submitted = cluster().submit("TI_unet_fold0", job).submission()
    assert submitted.function == job
    assert submitted.function.checkpoint().function == job
    assert submitted._timeout_countdown > 1000


def test_a_job_of_an_earlier_call_is_waited_for_and_not_submitted_again(
    cluster: Callable[..., SlurmCluster], slurm: Any, job: CellJob, capsys: pytest.CaptureFixture[str]
) -> None:
    first = cluster().submit("TI_unet_fold0", job)
    assert cluster().submit("TI_unet_fold0", job).job_id == first.job_id
    assert f"TI_unet_fold0: job {first.job_id} of an earlier call has it" in capsys.readouterr().err
    other = replace(job, budget=replace(job.budget, seed=1))
    second = cluster().submit("TI_unet_fold0", other)
    assert second.job_id != first.job_id
    for state in ("FAILED", "UNKNOWN"):
        slurm.set_job_state(second.job_id, state)
        third = cluster().submit("TI_unet_fold0", other)
        assert third.job_id != second.job_id
        second = third


def test_jobs_stay_with_slurm_when_the_call_ends(
    cluster: Callable[..., SlurmCluster], job: CellJob, capsys: pytest.CaptureFixture[str]
) -> None:
    one = cluster()
    submitted = one.submit("TI_unet_fold0", job)
    one.leave({"TI_unet_fold0": submitted})
    assert "1 job(s) stay with Slurm; give the same command again" in (told := capsys.readouterr().err)
    assert told.endswith(f"scancel {submitted.job_id}\n")
    one.leave({})
    assert capsys.readouterr().err == ""


def test_what_slurm_refuses_is_told_in_its_words(
    cluster: Callable[..., SlurmCluster], job: CellJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise submitit.core.utils.FailedJobError("sbatch: error: invalid partition specified: gpux")

    monkeypatch.setattr(submitit.SlurmExecutor, "_submit_command", refuse)
    with pytest.raises(InputError, match=r"Slurm refused the job \(sbatch: error: invalid partition"):
        cluster(partition="gpux").submit("TI_unet_fold0", job)


def test_what_is_no_device_is_refused_before_a_job_is_queued(slurm: Any) -> None:
    with pytest.raises(InputError, match="unknown device 'gpu': choose cuda or cpu"):
        slurm_executor(JobSettings(device="gpu"))
    slurm_executor(JobSettings(device="cuda:1"))


def test_a_machine_without_slurm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda: -1)
    with pytest.raises(InputError, match="there is no Slurm on this machine"):
        slurm_executor(JobSettings())

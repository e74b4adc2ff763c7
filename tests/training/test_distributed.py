"""Two processes under torchrun train as one does."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from spd_bench.cli.train import main
from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.storage import read_json
from spd_bench.training import distributed, prompt_trainer
from spd_bench.training.checkpoints import FINAL, LATEST
from spd_bench.training.run import build_trainer
from spd_bench.training.tracked import TrackedTrainer

TOLERANCE = 1e-4
CPU = torch.device("cpu")
SCRIPT = Path(__file__).with_name("several_processes.py")
CURVES = ("train_losses", "val_losses", "lrs")
FOLDERS = {
    "unet": "UNetTrainer__SPDPlans_unet__spd_32/fold_0",
    "continued": "UNetTrainer__SPDPlans_unet__spd_32/fold_1",
    "spd": "SPDTrainer__SPDPlans_spd__spd_32/fold_0",
}
on_epoch_end = TrackedTrainer.on_epoch_end
START = (
    "import sys; from spd_bench.training.launching import run_processes; "
    "raise SystemExit(run_processes(sys.argv[1], sys.argv[2:], count=2))"
)
FAILING = """
import os
from pathlib import Path
from spd_bench.cli.train import main
from spd_bench.training.tracked import TrackedTrainer

Path(os.environ["RANK"] + ".pid").write_text(str(os.getpid()))
train_step = TrackedTrainer.train_step

def fail(trainer, batch):
    if trainer.current_epoch == 1 and os.environ["RANK"] == "1":
        raise ZeroDivisionError("the second process broke")
    return train_step(trainer, batch)

TrackedTrainer.train_step = fail
raise SystemExit(main())
"""


def run_python(
    arguments: Sequence[str], results: Path, *, modules: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "nnUNet_results": str(results), "OMP_NUM_THREADS": "1"}
    if modules is not None:
        environment["PYTHONPATH"] = str(modules)
    call = [sys.executable, *arguments]
    return subprocess.run(
        call, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False, cwd=results
    )


def final(results: Path, plan: Plan, name: str) -> dict[str, Any]:
    return torch.load(results / plan.dataset / FOLDERS[name] / FINAL, weights_only=True)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def of_two(planned: Plan, script: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have left what ``several_processes.py`` makes; one of the runs was begun by one process."""
    folder = tmp_path_factory.mktemp("of_two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_results", str(folder))
        patch.setattr(TrackedTrainer, "on_epoch_end", stop_after_the_epoch)
        assert main(script["CALLS"]["continued"]) == 130
    ended = run_python(["-c", START, SCRIPT.stem, str(folder)], folder, modules=SCRIPT.parent)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.count("trained unet: ") == 2
    return folder


def stop_after_the_epoch(trainer: TrackedTrainer) -> None:
    on_epoch_end(trainer)
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["unet", "continued", "spd"])
def test_the_loss_curve_of_two_is_that_of_one_with_the_same_global_batch(
    of_two: Path, script: dict[str, Any], results: Path, planned: Plan, name: str
) -> None:
    assert main(script["CALLS"][name]) == 0
    alone, together = final(results, planned, name), final(of_two, planned, name)
    for curve in CURVES:
        assert together["logging"][curve] == pytest.approx(alone["logging"][curve], abs=TOLERANCE), curve
    # Adam makes steps of the full rate of what a rounding error leaves of a gradient of 0, hence not closer.
    assert together["network_weights"].keys() == alone["network_weights"].keys()
    records = [read_json(folder / planned.dataset / FOLDERS[name] / "run.json") for folder in (results, of_two)]
    assert [record["environment"]["processes"] for record in records] == [1, 2]
    for same in ("settings", "hashes", "images_seen", "parameters"):
        assert records[0][same] == records[1][same]


@pytest.mark.parametrize("name", ["UNetTrainer_0", "UNetTrainer_1", "SPDTrainer_0"])
def test_both_end_with_the_same_weights(of_two: Path, name: str) -> None:
    first, second = (torch.load(of_two / f"{name}_{rank}.pth", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_process_without_a_point_takes_the_step_of_the_others(
    of_two: Path, script: dict[str, Any], results: Path
) -> None:
    alone = script["steps"]("sam_tuning")
    first, second = (torch.load(of_two / f"steps_{rank}.pth", weights_only=True) for rank in (0, 1))
    assert first["losses"] == second["losses"] == pytest.approx(alone["losses"], abs=TOLERANCE)
    for name, value in alone["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], value, atol=TOLERANCE, rtol=0)
    assert first["gradients"][0].keys() == alone["gradients"][0].keys()
    for name, value in alone["gradients"][0].items():
        torch.testing.assert_close(first["gradients"][0][name], value, atol=1e-6, rtol=1e-4)
    assert first["gradients"][1] == alone["gradients"][1] == {}


def test_only_the_first_writes_and_speaks(of_two: Path, planned: Plan) -> None:
    for name in ("unet", "spd"):
        folder = of_two / planned.dataset / FOLDERS[name]
        assert len(list(folder.glob("training_log_*.txt"))) == 1
        assert {path.name for path in folder.iterdir()} - {"progress.png"} == {
            FINAL,
            "run.json",
            *(path.name for path in folder.glob("training_log_*.txt")),
        }


def test_a_process_that_fails_ends_all_and_the_run_goes_on_in_another_number_of_them(
    script: dict[str, Any], results: Path, planned: Plan
) -> None:
    call = script["CALLS"]["spd"]
    (results / "failing.py").write_text(FAILING)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--log-dir", "logs"]
    ended = run_python([*torchrun, "failing.py", *call], results)
    assert ended.returncode == 1
    assert "ZeroDivisionError: the second process broke" in ended.stderr
    for rank in (0, 1):
        with pytest.raises(ProcessLookupError):
            os.kill(int((results / f"{rank}.pid").read_text()), 0)
    folder = results / planned.dataset / FOLDERS["spd"]
    assert torch.load(folder / LATEST, weights_only=True)["current_epoch"] == 1
    assert main([*call, "--continue"]) == 0
    continued = final(results, planned, "spd")
    assert main(call) == 0
    whole = final(results, planned, "spd")
    for curve in CURVES:
        assert continued["logging"][curve] == pytest.approx(whole["logging"][curve], abs=TOLERANCE), curve


@pytest.mark.usefixtures("planned")
def test_what_is_wrong_for_all_is_told_once(results: Path) -> None:
    call = ["-d", "901", "-m", "unet", "--device", "cpu", "--num-gpus", "2", "--continue"]
    ended = run_python(["-m", "spd_bench.cli.train", *call], results)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: nothing to continue")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_shares_are_in_order_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    shares = []
    for number in range(3):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        shares.append(distributed.own_share("abcdefgh"))
    assert "".join(shares) == "abcdefgh"
    assert [len(share) for share in shares] == [2, 3, 3]


def test_windows_of_neighbours_are_not_cut(make_run: Any, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer(make_run("spd", batch_size=2, psc_direction="next"), device=CPU, resume=False)
    monkeypatch.setattr(prompt_trainer, "processes", lambda: 2)
    with pytest.raises(InputError, match=r"2 processes cannot share batches of 1 window\(s\)"):
        trainer.initialize()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-gpus", "2"], "there is no GPU here"),
        (["--num-gpus", "2", "--device", "cuda"], "device cuda is not available"),
        (["--num-gpus", "0", "--device", "cpu"], "must be at least 1, got 0"),
        (["--num-gpus", "3", "--device", "cpu"], "a batch of 8 slices cannot be shared by 3 processes"),
        (["--num-gpus", "2", "--device", "cpu", "--batch-size", "auto"], "--batch-size auto"),
        (["--num-gpus", "2", "--device", "cpu", "-m", "nnunet"], "'nnunet' trains in one process"),
        (["--num-gpus", "2", "--device", "cpu", "-m", "sam"], "'sam' is not trained"),
    ],
)
def test_what_several_cannot_do_is_refused_before_anything_runs(
    arguments: list[str],
    words: str,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["-d", "901", "-m", "unet", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert len(error.splitlines()) == 1


def test_more_gpus_than_there_are_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["-d", "901", "-m", "unet", "--num-gpus", "4"]) == 2
    assert capsys.readouterr().err == "error: --num-gpus 4: there are 2 here: give at most 2\n"

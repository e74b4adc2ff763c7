"""A run that was stopped and continued is the run that was never stopped, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.training.checkpoints import FINAL, LATEST, PREVIOUS
from spd_bench.training.records import RunRecord
from spd_bench.training.run import TrainingRun, train
from spd_bench.training.tracked import TrackedTrainer

CPU = torch.device("cpu")
EPOCHS, STEPS = 4, 2
TIMES = ("epoch_start_timestamps", "epoch_end_timestamps")


def stop_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Raise KeyboardInterrupt, as Ctrl-C does, when the given optimiser step of the run begins."""
    original, steps = TrackedTrainer.train_step, iter(range(10**6))

    def train_step(self: TrackedTrainer, batch: Any) -> dict[str, Any]:
        if next(steps) == number:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(TrackedTrainer, "train_step", train_step)


def outcome(folder: Path, record: RunRecord) -> dict[str, Any]:
    checkpoint = torch.load(folder / FINAL, weights_only=True)
    log = {name: values for name, values in checkpoint["logging"].items() if name not in TIMES}
    assert {len(values) for values in checkpoint["logging"].values()} == {EPOCHS}
    return {
        "weights": checkpoint["network_weights"],
        "optimizer": checkpoint["optimizer_state"],
        "scheduler": checkpoint["scheduler_state"],
        "epoch": checkpoint["current_epoch"],
        "log": log,
        "notes": record.notes,
        "first weights": record.weights,
        "hashes": record.hashes,
        "settings": record.settings,
    }


def assert_identical(first: Any, second: Any, path: str = "") -> None:
    """Equal in every bit, NaN included."""
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_identical(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_identical(one, other, f"{path}/{index}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    else:
        assert first == second or (first != first and second != second), path


def assert_stopping_does_not_matter(
    run: TrainingRun, folder: Path, monkeypatch: pytest.MonkeyPatch, *, steps: tuple[int, ...]
) -> None:
    whole = outcome(folder, train(run, folder=folder, device=CPU))
    for number in steps:
        with monkeypatch.context() as patch:
            stop_in_step(patch, number)
            with pytest.raises(KeyboardInterrupt):
                train(run, folder=folder, device=CPU)
        done = torch.load(folder / LATEST, weights_only=True)["current_epoch"]
        assert done == number // STEPS
        assert not (folder / "run.json").exists()
        assert not (folder / FINAL).exists()
        torch.manual_seed(number)
        continued = outcome(folder, train(run, folder=folder, device=CPU, resume=True))
        assert_identical(whole, continued)
        assert not (folder / LATEST).exists()


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_unet(make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, schedule: str) -> None:
    run = make_run("unet", epochs=EPOCHS, iterations=STEPS, training={"schedule": schedule})
    assert_stopping_does_not_matter(run, run_folder(run), monkeypatch, steps=(STEPS, 2 * STEPS + 1))


@pytest.mark.parametrize("pretrained", [False, True])
def test_spd_in_stage_one_at_the_boundary_and_in_stage_two(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, sam_weights: Path, pretrained: bool
) -> None:
    weights = sam_weights if pretrained else None
    run = make_run("spd", epochs=EPOCHS, iterations=STEPS, stage_one_share=0.5, weights=weights)
    steps = (STEPS + 1, 2 * STEPS, 3 * STEPS + 1)
    assert_stopping_does_not_matter(run, run_folder(run), monkeypatch, steps=steps)


def test_spd_without_embeddings_on_disk(make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("spd", epochs=EPOCHS, iterations=STEPS, stage_one_share=0.5, embedding_cache="none")
    assert_stopping_does_not_matter(run, run_folder(run), monkeypatch, steps=(2 * STEPS, 3 * STEPS + 1))


def test_nnunet(make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("nnunet", epochs=EPOCHS, iterations=STEPS, batch_size=2)
    assert run.training.iterations_per_epoch == STEPS
    assert_stopping_does_not_matter(run, run_folder(run), monkeypatch, steps=(STEPS, 3 * STEPS + 1))


def test_a_run_goes_on_with_the_numbers_that_it_saved(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nnU-Net's moving average starts from a mean in single precision; a continued run has it in double.
    run = make_run("nnunet", epochs=EPOCHS, iterations=STEPS)
    kinds: set[type] = set()
    original = TrackedTrainer.on_epoch_start

    def on_epoch_start(self: TrackedTrainer) -> None:
        kinds.update(type(value) for value in self.logger.get_value("ema_fg_dice", step=None))
        original(self)

    monkeypatch.setattr(TrackedTrainer, "on_epoch_start", on_epoch_start)
    train(run, folder=run_folder(run), device=CPU)
    assert kinds == {float}


def test_the_same_seed_gives_the_same_run_and_another_one_another(make_run: Any, run_folder: Any) -> None:
    outcomes = []
    for seed in (0, 0, 1):
        run = make_run("unet", epochs=EPOCHS, iterations=STEPS, seed=seed)
        outcomes.append(outcome(run_folder(run), train(run, folder=run_folder(run), device=CPU)))
    assert_identical(outcomes[0], outcomes[1])
    assert outcomes[0]["log"] != outcomes[2]["log"]


def test_nothing_to_continue_is_an_input_error(make_run: Any, run_folder: Any) -> None:
    run = make_run("unet")
    with pytest.raises(InputError, match="nothing to continue"):
        train(run, folder=run_folder(run), device=CPU, resume=True)
    assert not run_folder(run).exists()


def test_a_complete_run_says_so_when_continued_and_stays(make_run: Any, run_folder: Any) -> None:
    run = make_run("unet")
    train(run, folder=run_folder(run), device=CPU)
    with pytest.raises(InputError, match="the run is complete, nothing to continue"):
        train(run, folder=run_folder(run), device=CPU, resume=True)
    assert (run_folder(run) / FINAL).is_file()
    assert (run_folder(run) / "run.json").is_file()


@pytest.fixture
def interrupted(
    make_run: Callable[..., TrainingRun], run_folder: Callable[[TrainingRun], Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[TrainingRun, Path]:
    """A run of the U-Net that was stopped in its second epoch, and its folder."""
    run = make_run("unet", epochs=3)
    with monkeypatch.context() as patch:
        stop_in_step(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(run, folder=run_folder(run), device=CPU)
    return run, run_folder(run)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"epochs": 4}, "training settings"), ({"seed": 1}, "training settings"), ({"stages": 4}, "method settings")],
)
def test_other_settings_are_refused(
    interrupted: tuple[TrainingRun, Path], make_run: Any, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(InputError, match=f"begun with other {what}"):
        train(make_run("unet", **{"epochs": 3, **changes}), folder=interrupted[1], device=CPU, resume=True)
    assert (interrupted[1] / LATEST).is_file()


def test_other_data_is_refused(interrupted: tuple[TrainingRun, Path]) -> None:
    run, folder = interrupted
    run.hashes["splits"] = "0" * 64
    with pytest.raises(InputError, match="begun with other plan, splits or prompts"):
        train(run, folder=folder, device=CPU, resume=True)


def damaged(content: bytes) -> list[bytes]:
    """What a crash, a full or a failing disk leave of a file: a part, nothing, one byte changed within a tensor."""
    middle = len(content) // 2
    return [
        content[:middle],
        content[:100],
        b"",
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    ]


def test_where_no_checkpoint_is_whole_it_is_an_input_error(interrupted: tuple[TrainingRun, Path]) -> None:
    run, folder = interrupted
    (folder / PREVIOUS).unlink(missing_ok=True)
    for torn in damaged((folder / LATEST).read_bytes()):
        (folder / LATEST).write_bytes(torn)
        with pytest.raises(InputError, match="checkpoint cannot be read"):
            train(run, folder=folder, device=CPU, resume=True)
        assert (folder / LATEST).read_bytes() == torn


@pytest.mark.parametrize("kind", range(4))
def test_a_torn_checkpoint_costs_an_epoch_and_changes_nothing(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    run = make_run("unet", epochs=EPOCHS, iterations=STEPS, training={"schedule": "plateau"})
    folder = run_folder(run)
    whole = outcome(folder, train(run, folder=folder, device=CPU))
    with monkeypatch.context() as patch:
        stop_in_step(patch, 3 * STEPS + 1)
        with pytest.raises(KeyboardInterrupt):
            train(run, folder=folder, device=CPU)
    epochs = [torch.load(folder / name, weights_only=True)["current_epoch"] for name in (PREVIOUS, LATEST)]
    assert epochs == [2, 3]
    (folder / LATEST).write_bytes(damaged((folder / LATEST).read_bytes())[kind])
    assert_identical(whole, outcome(folder, train(run, folder=folder, device=CPU, resume=True)))
    assert not list(folder.glob("checkpoint_[lp]*"))


def test_a_run_killed_between_the_two_renames_goes_on_from_the_older_checkpoint(
    interrupted: tuple[TrainingRun, Path],
) -> None:
    run, folder = interrupted
    (folder / LATEST).replace(folder / PREVIOUS)
    train(run, folder=folder, device=CPU, resume=True)
    assert (folder / FINAL).is_file()


def test_what_a_killed_process_left_half_written_is_removed(interrupted: tuple[TrainingRun, Path]) -> None:
    run, folder = interrupted
    (folder / f".part-{2**22 + 1}-{LATEST}").touch()  # no process has such a number
    train(run, folder=folder, device=CPU, resume=True)
    assert not list(folder.glob(".part-*"))

"""A run that is killed again and again ends as one that was left alone (``make endurance`` kills oftener)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.killing import Killer, TrainingCommand
from benchmarks.kills import differences, outcome
from spd_bench.training.run import TrainingRun

EPOCHS = 8
SHORT = ("--epochs", str(EPOCHS), "--iterations", "2", "--batch-size", "4", "--device", "cpu", "--backbone", "vit_t")
SCRATCH = ("--weights", "random", "--set", "spd.saliency_bias=3")


@pytest.fixture
def command(make_run: Any, run_folder: Callable[[TrainingRun], Path]) -> TrainingCommand:
    """SPD on the tiny dataset, with a process that loads."""
    folder = run_folder(make_run("spd"))
    return TrainingCommand(arguments=("-d", "901", "-m", "spd", "--workers", "1", *SHORT, *SCRATCH), folder=folder)


def test_a_killed_and_continued_run_is_the_run_that_was_never_stopped(command: TrainingCommand) -> None:
    seconds = command.run()
    expected = outcome(command.folder)
    shutil.rmtree(command.folder)
    moments = Killer(command, random=np.random.default_rng(1), epoch_seconds=seconds / EPOCHS).run(3)
    assert moments
    assert differences(expected, outcome(command.folder)) == []
    assert not list(command.folder.glob("checkpoint_[lp]*"))


def test_a_command_that_fails_is_told(command: TrainingCommand) -> None:
    wrong = TrainingCommand(arguments=("-d", "999", "-m", "spd"), folder=command.folder)
    with pytest.raises(RuntimeError, match="failed:\nerror: "):
        wrong.run()


def test_differences_are_found_at_any_depth() -> None:
    value = {"weights": {"a": torch.zeros(2)}, "log": [float("nan"), 1]}
    assert differences(value, {"weights": {"a": torch.zeros(2)}, "log": [float("nan"), 1]}) == []
    changed = {"weights": {"a": torch.tensor([0.0, 1e-12])}, "log": [float("nan"), 2]}
    assert differences(value, changed) == ["/weights/a", "/log/1"]
    assert differences(value, {"weights": {}, "log": [1]}) == ["/weights", "/log"]

"""A run is trained where it is not there, and continued where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spd_bench.methods.fitting import ensure_fitted, fitted_record
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.training import checkpoints, run, tracked
from spd_bench.training.checkpoints import LATEST, read_checkpoint
from spd_bench.training.records import RECORD_NAME
from spd_bench.training.settings import Budget

BUDGET = Budget(epochs=2, iterations_per_epoch=1, batch_size=2)
MakeRun = Callable[..., MethodRun]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return tmp_path


def test_a_run_is_fitted_where_it_and_those_it_stands_on_are(make_method_run: MakeRun, results: Path) -> None:
    refined = make_method_run("sam_refiner", results, options=MethodOptions(backbone="vit_t", allow_random=True))
    [other] = refined.required
    assert fitted_record(refined, BUDGET) is None
    record = ensure_fitted(refined, BUDGET)
    assert fitted_record(refined, BUDGET) == record
    assert fitted_record(refined, Budget(epochs=3, iterations_per_epoch=1, batch_size=2)) is None
    (other.folder / RECORD_NAME).unlink()
    assert fitted_record(refined, BUDGET) is None


def test_a_stopped_run_is_continued_from_a_checkpoint_that_is_looked_for_once(
    make_method_run: MakeRun, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = make_method_run("unet", results, base_features=4)
    with monkeypatch.context() as patch:
        patch.setattr(tracked.TrackedTrainer, "on_train_end", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            ensure_fitted(stopped, BUDGET)
    reads: list[Path] = []

    def reading(path: Path, *arguments: Any) -> dict[str, Any]:
        reads.append(path)
        return read_checkpoint(path, *arguments)

    for module in (checkpoints, run, tracked):
        monkeypatch.setattr(module, "read_checkpoint", reading)
    record = ensure_fitted(stopped, BUDGET)
    # Whole? Of this run? And then its weights.
    assert reads == [stopped.folder / LATEST] * 3
    reads.clear()
    assert ensure_fitted(stopped, BUDGET) == record
    assert reads == []


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

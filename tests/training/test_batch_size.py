"""The largest batch that fits into the memory, at the same number of images."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spd_bench.errors import InputError
from spd_bench.methods.fitting import expected_settings
from spd_bench.storage import read_json
from spd_bench.training import run as run_module
from spd_bench.training.batch_size import BatchChoice, choose_batch_size, largest_batch, possible_sizes
from spd_bench.training.checkpoints import LATEST
from spd_bench.training.records import peak_memory_mb
from spd_bench.training.run import build_trainer, train
from spd_bench.training.settings import Budget, TrainingSettings
from spd_bench.training.tracked import TrackedTrainer

CPU = torch.device("cpu")


class Meter:
    """A step costs so much for the network and so much for each slice; memory runs out somewhere."""

    def __init__(self, *, network: float, slice_: float, out: float = float("inf")) -> None:
        self.network, self.slice, self.out = network, slice_, out
        self.tried: list[int] = []

    def __call__(self, size: int) -> float | None:
        self.tried.append(size)
        peak = self.network + size * self.slice
        return peak if peak <= self.out else None


def test_sizes_are_even_and_divide_the_images_of_an_epoch() -> None:
    assert possible_sizes(2000) == [1, 2, 4, 8, 10, 16, 20, 40, 50]
    assert possible_sizes(2000, largest=16) == [1, 2, 4, 8, 10, 16]
    assert possible_sizes(9) == [1]
    assert possible_sizes(6) == [1, 2, 6]


@given(
    images=st.sampled_from([1, 6, 96, 2000, 2016, 251 * 8]),
    network=st.floats(0, 1000),
    slice_=st.floats(1, 500),
    limit=st.floats(1, 20000),
    out=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_largest_size_that_fits_is_found(
    images: int, network: float, slice_: float, limit: float, out: bool
) -> None:
    sizes = possible_sizes(images)
    meter = Meter(network=network, slice_=slice_, out=limit * 1.1 if out else float("inf"))
    fitting = [size for size in sizes if network + size * slice_ <= limit * (1 - 1e-9)]
    if not fitting:
        if network + slice_ > limit:
            with pytest.raises(InputError, match="even a batch of 1 does not fit into"):
                largest_batch(sizes, meter, limit_mb=limit)
        return
    choice = largest_batch(sizes, meter, limit_mb=limit)
    assert choice.batch_size in (fitting[-1], max(size for size in sizes if network + size * slice_ <= limit))
    assert choice.measured_mb[choice.batch_size] <= limit
    assert len(meter.tried) == len(set(meter.tried)) <= 9


def test_no_size_is_tried_that_is_bound_to_run_out_of_memory() -> None:
    meter = Meter(network=100, slice_=10)
    assert largest_batch(possible_sizes(2000), meter, limit_mb=250).batch_size == 10
    assert meter.tried == [1, 2, 4, 8, 10]


def test_large_sizes_may_be_judged_without_a_step() -> None:
    meter = Meter(network=100, slice_=10)
    choice = largest_batch(possible_sizes(2000), meter, limit_mb=400, measured_up_to=4)
    assert (choice.batch_size, meter.tried) == (20, [1, 2, 4])
    assert choice.to_json() == {"batch_size": 20, "measured_mb": {"1": 110, "2": 120, "4": 140}, "limit_mb": 400}
    assert largest_batch([1, 2, 4, 8], Meter(network=0, slice_=1), limit_mb=1e3, measured_up_to=4).batch_size == 8
    assert largest_batch([1], Meter(network=0, slice_=1), limit_mb=10, measured_up_to=4).batch_size == 1


def test_another_size_sees_the_same_images() -> None:
    granted = TrainingSettings(epochs=3, iterations_per_epoch=250, batch_size=8, validation_iterations=25)
    for size in possible_sizes(2000):
        other = granted.with_batch_size(size)
        assert other.images_seen == granted.images_seen == 6000
        assert other.validation_iterations * size == pytest.approx(200, abs=size / 2)
    with pytest.raises(ValueError, match="batch_size must divide the 2000 images of an epoch, got 32"):
        granted.with_batch_size(32)


def test_what_only_costs_memory_or_time_makes_no_other_run() -> None:
    plain = TrainingSettings()
    assert replace(plain, workers=2).identity() == plain.identity()
    assert replace(plain, gradient_checkpointing=True).identity() == plain.identity()
    assert "automatic_batch_size" not in plain.identity()
    automatic = replace(plain, automatic_batch_size=True)
    assert automatic.with_batch_size(50).identity() == automatic.identity() != plain.identity()
    assert replace(automatic, iterations_per_epoch=10).identity() != automatic.identity()
    assert TrainingSettings.from_json(automatic.to_json()) == automatic


def test_a_size_is_chosen_by_steps_in_a_process_of_its_own(make_run: Any, results: Path) -> None:
    run = make_run("unet", iterations=3, batch_size=4)
    choice = choose_batch_size(partial(build_trainer, run, device=CPU, resume=False), images_per_epoch=12, device=CPU)
    assert choice.batch_size == 12
    assert list(choice.measured_mb) == [1, 2, 4]
    assert 100 < choice.measured_mb[1] <= choice.measured_mb[4] < choice.limit_mb
    assert not list(results.iterdir())


@pytest.fixture
def fits_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds two slices."""
    choice = BatchChoice(batch_size=2, measured_mb={1: 900.0, 2: 1000.0}, limit_mb=1024.0)
    monkeypatch.setattr(run_module, "choose_batch_size", lambda build, **_: choice)


@pytest.mark.usefixtures("fits_two")
def test_a_run_with_an_automatic_batch_keeps_its_budget_and_says_its_size(
    make_run: Any, run_folder: Any, make_method_run: Any, results: Path
) -> None:
    run = make_run("unet", iterations=3, batch_size=4, training={"automatic_batch_size": True})
    record = train(run, folder=run_folder(run), device=CPU)
    assert record.images_seen == run.training.images_seen == 2 * 3 * 4
    assert record.notes["batch_size"] == {"batch_size": 2, "measured_mb": {"1": 900, "2": 1000}, "limit_mb": 1024}
    assert read_json(run_folder(run) / "run.json")["notes"] == record.notes
    trained = torch.load(run_folder(run) / "checkpoint_final.pth", weights_only=True)["init_args"]["plans"]
    training = TrainingSettings.from_json(trained["spd_training"])
    assert (training.batch_size, training.iterations_per_epoch) == (2, 6)
    budget = Budget(epochs=2, iterations_per_epoch=3, batch_size=4, automatic_batch_size=True)
    assert record.settings == expected_settings(make_method_run("unet", results, base_features=4), budget)


@pytest.mark.usefixtures("fits_two")
def test_a_continued_run_keeps_the_size_it_was_begun_with(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("unet", iterations=2, batch_size=4, training={"automatic_batch_size": True})
    folder = run_folder(run)
    original, steps = TrackedTrainer.train_step, iter(range(100))

    def train_step(self: TrackedTrainer, batch: Any) -> dict[str, Any]:
        if next(steps) == 5:
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrackedTrainer, "train_step", train_step)
        with pytest.raises(KeyboardInterrupt):
            train(run, folder=folder, device=CPU)
    assert (folder / LATEST).is_file()
    monkeypatch.setattr(run_module, "choose_batch_size", lambda build, **_: pytest.fail("chosen again"))
    record = train(run, folder=folder, device=CPU, resume=True)
    assert record.notes["batch_size"] == {"batch_size": 2}
    assert record.images_seen == 2 * 2 * 4


def test_nnunet_keeps_its_own_batch(make_run: Any, run_folder: Any) -> None:
    run = make_run("nnunet", training={"automatic_batch_size": True})
    assert "batch_size" not in train(run, folder=run_folder(run), device=CPU).notes


@pytest.mark.parametrize("pretrained", [False, True])
def test_gradient_checkpointing_changes_no_result(
    make_run: Any, run_folder: Any, sam_weights: Path, pretrained: bool
) -> None:
    weights = sam_weights if pretrained else None
    outcomes = []
    for checkpointed in (False, True):
        run = make_run("spd", weights=weights, training={"gradient_checkpointing": checkpointed})
        record = train(run, folder=run_folder(run), device=CPU)
        assert record.notes.pop("gradient_checkpointing", False) is checkpointed
        network = torch.load(run_folder(run) / "checkpoint_final.pth", weights_only=True)["network_weights"]
        outcomes.append((record.settings, network))
    assert outcomes[0][0] == outcomes[1][0]
    for name, value in outcomes[0][1].items():
        torch.testing.assert_close(outcomes[1][1][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_rows_without_an_image_encoder_take_no_notice_of_gradient_checkpointing(make_run: Any, run_folder: Any) -> None:
    run = make_run("unet", training={"gradient_checkpointing": True})
    assert "gradient_checkpointing" not in train(run, folder=run_folder(run), device=CPU).notes


def test_the_peak_of_a_process_does_not_count_what_its_parent_held() -> None:
    code = "import torch; from spd_bench.training.records import peak_memory_mb as p; print(p(torch.device('cpu')))"
    held = np.ones(2**27)  # 1 GB
    own = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert held.nbytes / 2**20 < peak_memory_mb(CPU)
    assert 50 < own < held.nbytes / 2**20

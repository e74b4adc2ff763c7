"""The nnunet row is nnU-Net's own recipe, and only its length is ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from spd_bench.methods.fitting import training_run
from spd_bench.methods.method import MethodRun
from spd_bench.methods.nnunet import epochs_and_steps
from spd_bench.planning.plan import Plan
from spd_bench.training.nnunet_trainer import BudgetedNNUNetTrainer
from spd_bench.training.run import build_trainer, single_process_loading
from spd_bench.training.settings import Budget

CPU = torch.device("cpu")
BUDGET = Budget(epochs=10, iterations_per_epoch=3, batch_size=4, seed=3)
UNTOUCHED = (
    "build_network_architecture",
    "configure_optimizers",
    "_build_loss",
    "_do_i_compile",
    "_get_deep_supervision_scales",
    "_set_batch_size_and_oversample",
    "configure_rotation_dummyDA_mirroring_and_inital_patch_size",
    "get_dataloaders",
    "get_tr_and_val_datasets",
    "get_training_transforms",
    "get_validation_transforms",
    "do_split",
    "set_deep_supervision_enabled",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_epoch_end",
    "validation_step",
    "on_validation_epoch_end",
    "perform_actual_validation",
)


def described(value: Any) -> Any:
    """An object as nested plain values: its class and its attributes, without caches that fill as it is used."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, np.ndarray | torch.Tensor):
        return ("array", value.tolist())
    if isinstance(value, list | tuple | set):
        return [described(item) for item in value]
    if isinstance(value, dict):
        return {str(key): described(item) for key, item in value.items() if not str(key).endswith("_cache")}
    if hasattr(value, "__dict__") and not callable(getattr(value, "__get__", None)):
        return (type(value).__qualname__, described(vars(value)))
    return getattr(value, "__qualname__", type(value).__qualname__)


@pytest.fixture
def trainers(
    planned: Plan, make_method_run: Callable[..., MethodRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Any]:
    """Ours and a stock trainer on the same plan, both ready to train."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    run = training_run(make_method_run("nnunet"), BUDGET)
    ours = build_trainer(run, device=CPU, resume=False)
    plans = {**planned.plans, "continue_training": False}
    stock = nnUNetTrainer(plans, run.configuration, 0, planned.dataset_json, CPU)
    with single_process_loading(CPU):
        for trainer in (ours, stock):
            trainer.initialize()
            trainer.dataloader_train, trainer.dataloader_val = trainer.get_dataloaders()
    return ours, stock


def test_no_hook_of_the_recipe_is_overridden() -> None:
    for name in UNTOUCHED:
        assert getattr(BudgetedNNUNetTrainer, name) is getattr(nnUNetTrainer, name), name


def test_network_loss_and_optimizer_are_stock(trainers: tuple[Any, Any]) -> None:
    ours, stock = trainers
    assert str(ours.network) == str(stock.network)
    shapes = [{name: value.shape for name, value in one.network.state_dict().items()} for one in trainers]
    assert shapes[0] == shapes[1]
    assert described(ours.loss) == described(stock.loss)
    assert type(ours.optimizer) is type(stock.optimizer) is torch.optim.SGD
    assert ours.optimizer.defaults == stock.optimizer.defaults
    assert (ours.initial_lr, ours.weight_decay) == (stock.initial_lr, stock.weight_decay) == (1e-2, 3e-5)
    assert ours.enable_deep_supervision is stock.enable_deep_supervision is True


def test_the_schedule_is_stock_over_the_budgets_epochs(trainers: tuple[Any, Any]) -> None:
    ours, stock = trainers
    assert type(ours.lr_scheduler) is type(stock.lr_scheduler)
    assert ours.lr_scheduler.max_steps == ours.num_epochs == ours.settings.epochs
    assert stock.lr_scheduler.max_steps == stock.num_epochs
    for epoch in range(ours.num_epochs):
        ours.lr_scheduler.step(epoch)
        assert ours.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * (1 - epoch / ours.num_epochs) ** 0.9)


def test_batches_and_augmentation_are_stock(trainers: tuple[Any, Any]) -> None:
    for stream in ("dataloader_train", "dataloader_val"):
        ours, stock = (getattr(trainer, stream).data_loader for trainer in trainers)
        assert described(ours.transforms) == described(stock.transforms)
        assert len(described(ours.transforms)[1]["transforms"]) > 1
        for name in ("batch_size", "patch_size", "final_patch_size", "oversample_foreground_percent", "indices"):
            assert described(getattr(ours, name)) == described(getattr(stock, name)), name
    ours, stock = trainers
    assert ours.inference_allowed_mirroring_axes == stock.inference_allowed_mirroring_axes == (0, 1)


def test_the_same_step_is_taken(trainers: tuple[Any, Any]) -> None:
    ours, stock = trainers
    stock.network.load_state_dict(ours.network.state_dict())
    batch = next(ours.dataloader_train)
    losses = [float(trainer.train_step(batch)["loss"]) for trainer in (ours, stock)]
    assert losses[0] == losses[1]
    after = [trainer.network.state_dict() for trainer in (ours, stock)]
    assert all(torch.equal(after[0][name], after[1][name]) for name in after[0])


def test_the_run_sees_as_many_images_as_the_budget_grants(
    planned: Plan, make_method_run: Callable[..., MethodRun]
) -> None:
    batch = planned.plans["configurations"]["2d"]["batch_size"]
    run = training_run(make_method_run("nnunet"), BUDGET)
    assert run.training.batch_size == batch
    assert run.training.seed == 3
    assert abs(run.training.images_seen - 10 * 3 * 4) <= batch


def test_without_a_budget_nnunet_trains_as_long_as_it_always_does(make_method_run: Callable[..., MethodRun]) -> None:
    run = training_run(make_method_run("nnunet"), Budget())
    training = run.training
    assert (training.epochs, training.iterations_per_epoch, training.validation_iterations) == (1000, 250, 50)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 12, 40, 100, 300])
@pytest.mark.parametrize("per_epoch", [8, 16, 80, 200, 2000])
@pytest.mark.parametrize("batch", [2, 13, 49, 105])
def test_whole_steps_miss_the_budget_by_little(epochs: int, per_epoch: int, batch: int) -> None:
    images = epochs * per_epoch
    count, steps = epochs_and_steps(images=images, batch_size=batch, epochs=epochs)
    assert count >= 1
    assert steps >= 1
    assert abs(count * steps * batch - images) <= max(1.5 * batch, 0.005 * images)
    assert count <= 1.5 * epochs
    assert steps == 1 or count >= epochs / 1.5


def test_a_budget_of_whole_steps_is_kept_as_it_is() -> None:
    assert epochs_and_steps(images=100 * 250 * 8, batch_size=8, epochs=100) == (100, 250)
    assert epochs_and_steps(images=100 * 250 * 8, batch_size=16, epochs=100) == (100, 125)

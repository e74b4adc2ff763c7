"""What training takes for granted of nnU-Net: a release that changes it fails here, by name.

Measured against nnunetv2 2.8.1.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.logging.nnunet_logger import LocalLogger, MetaLogger
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from spd_bench.training.nnunet_trainer import BudgetedNNUNetTrainer
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.spd_trainer import SPDTrainer
from spd_bench.training.tracked import TrackedTrainer
from spd_bench.training.unet_trainer import UNetTrainer

OURS = (TrackedTrainer, PromptTrainer, UNetTrainer, SPDTrainer, BudgetedNNUNetTrainer)


def names_of(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("hook", "parameters"),
    [
        ("__init__", ["self", "plans", "configuration", "fold", "dataset_json", "device"]),
        ("initialize", ["self"]),
        (
            "build_network_architecture",
            [
                "plans_manager",
                "configuration_manager",
                "num_input_channels",
                "num_output_channels",
                "enable_deep_supervision",
            ],
        ),
        ("_do_i_compile", ["self"]),
        ("_set_batch_size_and_oversample", ["self"]),
        ("_build_loss", ["self"]),
        ("configure_optimizers", ["self"]),
        ("get_dataloaders", ["self"]),
        ("do_split", ["self"]),
        ("set_deep_supervision_enabled", ["self", "enabled"]),
        ("plot_network_architecture", ["self"]),
        ("_save_debug_information", ["self"]),
        ("print_to_log_file", ["self", "args", "also_print_to_console", "add_timestamp"]),
        ("run_training", ["self"]),
        ("on_train_start", ["self"]),
        ("on_train_end", ["self"]),
        ("on_epoch_start", ["self"]),
        ("on_train_epoch_start", ["self"]),
        ("train_step", ["self", "batch"]),
        ("on_train_epoch_end", ["self", "train_outputs"]),
        ("on_validation_epoch_start", ["self"]),
        ("validation_step", ["self", "batch"]),
        ("on_validation_epoch_end", ["self", "val_outputs"]),
        ("on_epoch_end", ["self"]),
        ("save_checkpoint", ["self", "filename"]),
        ("load_checkpoint", ["self", "filename_or_checkpoint"]),
    ],
)
def test_a_hook_has_the_signature_that_we_override_or_call(hook: str, parameters: list[str]) -> None:
    assert names_of(getattr(nnUNetTrainer, hook)) == parameters
    for trainer in OURS:
        assert names_of(getattr(trainer, hook)) == parameters, trainer.__name__


def test_the_network_is_built_by_a_static_method() -> None:
    for trainer in (nnUNetTrainer, *OURS):
        static = inspect.getattr_static(trainer, "build_network_architecture")
        assert isinstance(static, staticmethod), trainer.__name__


def order_of(function: Callable[..., Any], calls: list[str]) -> list[str]:
    """The calls in the order of their first appearance in a function's source."""
    source = inspect.getsource(function)
    found = {call: source.find(call) for call in calls}
    assert -1 not in found.values(), f"no longer called: {[call for call, place in found.items() if place < 0]}"
    return sorted(calls, key=found.__getitem__)


def test_the_loop_calls_its_hooks_in_this_order() -> None:
    calls = [
        "self.on_train_start()",
        "range(self.current_epoch, self.num_epochs)",
        "self.on_epoch_start()",
        "self.on_train_epoch_start()",
        "range(self.num_iterations_per_epoch)",
        "self.train_step(next(self.dataloader_train))",
        "self.on_train_epoch_end(train_outputs)",
        "torch.no_grad()",
        "self.on_validation_epoch_start()",
        "range(self.num_val_iterations_per_epoch)",
        "self.validation_step(next(self.dataloader_val))",
        "self.on_validation_epoch_end(val_outputs)",
        "self.on_epoch_end()",
        "self.on_train_end()",
    ]
    assert order_of(nnUNetTrainer.run_training, calls) == calls


def test_training_starts_in_this_order() -> None:
    calls = [
        "if not self.was_initialized",
        "self.initialize()",
        "self.get_dataloaders()",
        "self.set_deep_supervision_enabled(",
        "self.dataset_class.unpack_dataset(",
        "self.plot_network_architecture()",
        "self._save_debug_information()",
    ]
    assert order_of(nnUNetTrainer.on_train_start, calls) == calls


def test_initialize_builds_the_network_before_the_optimizer_and_the_loss() -> None:
    calls = [
        "self._set_batch_size_and_oversample()",
        "self.build_network_architecture(",
        "self._do_i_compile()",
        "self.configure_optimizers()",
        "self._build_loss()",
        "self.was_initialized = True",
    ]
    assert order_of(nnUNetTrainer.initialize, calls) == calls


def test_training_ends_with_the_final_checkpoint_and_without_the_latest() -> None:
    calls = ["self.current_epoch -= 1", '"checkpoint_final.pth"', "self.current_epoch += 1", '"checkpoint_latest.pth"']
    assert order_of(nnUNetTrainer.on_train_end, calls) == calls


def test_the_constructor_makes_the_folder_the_log_and_its_logger() -> None:
    source = inspect.getsource(nnUNetTrainer.__init__)
    for line in (
        'plans.pop("continue_training")',
        "self.my_init_kwargs[k] = locals()[k]",
        "self.__class__.__name__ + '__' + self.plans_manager.plans_name + \"__\" + configuration",
        "f'fold_{fold}'",
        "training_log_",
        "MetaLogger(self.output_folder, continue_training)",
        "torch.device(type='cuda', index=0)",
    ):
        assert line in source, line


def test_a_validation_step_returns_what_the_end_of_the_epoch_collates() -> None:
    for function in (nnUNetTrainer.validation_step, nnUNetTrainer.on_validation_epoch_end):
        source = inspect.getsource(function)
        for key in ("loss", "tp_hard", "fp_hard", "fn_hard"):
            assert f"'{key}'" in source, key


def test_the_logger_has_these_keys_one_value_an_epoch() -> None:
    assert names_of(MetaLogger.__init__) == ["self", "output_folder", "resume", "verbose"]
    assert names_of(MetaLogger.log) == ["self", "key", "value", "step"]
    assert names_of(MetaLogger.get_value) == ["self", "key", "step"]
    logger = MetaLogger("unused", False)
    assert set(logger.get_checkpoint()) == {
        "mean_fg_dice",
        "ema_fg_dice",
        "dice_per_class_or_region",
        "train_losses",
        "val_losses",
        "lrs",
        "epoch_start_timestamps",
        "epoch_end_timestamps",
    }
    logger.log("mean_fg_dice", 0.5, 0)
    logger.log("mean_fg_dice", 1.0, 1)
    assert logger.get_value("ema_fg_dice", step=-1) == pytest.approx(0.55)
    other = MetaLogger("unused", True)
    other.load_checkpoint(logger.get_checkpoint())
    assert other.get_value("mean_fg_dice", step=None) == [0.5, 1.0]
    assert names_of(LocalLogger.plot_progress_png) == ["self", "output_folder"]


def test_the_polynomial_schedule_follows_from_the_epoch_alone() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-2)
    schedule = PolyLRScheduler(optimizer, 1e-2, 10)
    schedule.step(4)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.6**0.9)


def test_without_processes_the_data_are_loaded_in_this_one() -> None:
    """A seeded epoch then decides its batches, as no process draws ahead."""
    source = inspect.getsource(nnUNetTrainer.get_dataloaders)
    assert "SingleThreadedAugmenter(dl_tr, None)" in source
    assert "get_allowed_n_proc_DA()" in source


def test_no_processes_load_data_where_the_variable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    assert get_allowed_n_proc_DA() == 0


def test_a_preprocessed_case_is_lazy_data_labels_previous_and_properties(tmp_path: Any) -> None:
    data = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    labels = np.ones((1, 3, 4, 4), np.int16)
    chunks = (1, 1, 4, 4)
    nnUNetDatasetBlosc2.save_case(data, labels, {"a": 1}, str(tmp_path / "case"), chunks=chunks, blocks=chunks)
    dataset = nnUNetDatasetBlosc2(str(tmp_path), ["case"])
    read, read_labels, previous, properties = dataset.load_case("case")
    np.testing.assert_array_equal(read[:, 1:3], data[:, 1:3])
    np.testing.assert_array_equal(read_labels[0, 0:1], labels[0, 0:1])
    assert previous is None
    assert properties == {"a": 1}


def test_the_predictor_takes_these_arguments() -> None:
    assert names_of(nnUNetPredictor.manual_initialization) == [
        "self",
        "network",
        "plans_manager",
        "configuration_manager",
        "parameters",
        "dataset_json",
        "trainer_name",
        "inference_allowed_mirroring_axes",
    ]
    assert names_of(nnUNetPredictor.predict_single_npy_array)[:3] == ["self", "input_image", "image_properties"]
    assert {"device", "allow_tqdm"} <= set(names_of(nnUNetPredictor.__init__))


def test_plans_and_labels_are_asked_in_these_words() -> None:
    assert names_of(determine_num_input_channels)[:3] == [
        "plans_manager",
        "configuration_or_config_manager",
        "dataset_json",
    ]
    assert {"get_configuration", "get_label_manager"} <= set(dir(PlansManager))
    assert PlansManager({"spd": 1}).plans == {"spd": 1}

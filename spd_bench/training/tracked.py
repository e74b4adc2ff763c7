"""What every trained row shares: budget, seed, progress, checkpoints that are whole and safe to load."""

from __future__ import annotations

import gc
import random
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn
from torch._dynamo import OptimizedModule
from tqdm import tqdm

from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.training.checkpoints import LATEST, PREVIOUS, read_checkpoint, write_checkpoint
from spd_bench.training.distributed import is_main, on_main, rank
from spd_bench.training.settings import TrainingSettings

_PLOT_EVERY = 10
_BUDGET = ("epochs", "iterations_per_epoch", "validation_iterations", "batch_size", "seed")


class TrackedTrainer(nnUNetTrainer):
    """nnU-Net's trainer and loop with a budget, a seed and a progress bar.

    The recipe itself (network, loss, optimiser, augmentation) stays nnU-Net's. Settings come in the plans
    under ``spd_training``, because nnU-Net's constructor takes exactly these five arguments.

    Unlike nnU-Net it writes a checkpoint after every epoch, atomically and from plain types, so that
    ``torch.load(..., weights_only=True)`` reads it; and it seeds every epoch by (seed, epoch). Where several processes
    train, the main one alone writes and shows its progress.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net compares this signature
    ) -> None:
        with warnings.catch_warnings():
            # nnU-Net takes it for granted that several processes have GPUs, and scales gradients for them.
            warnings.filterwarnings("ignore", message=".*GradScaler is enabled, but CUDA is not available")
            super().__init__(plans, configuration, fold, dataset_json, device)
        # nnU-Net takes the first GPU, or that of the process's number, whichever it is given.
        self.device = device
        self.settings = TrainingSettings.from_json(plans["spd_training"])
        self.num_epochs = self.settings.epochs
        self.num_iterations_per_epoch = self.settings.iterations_per_epoch
        self.num_val_iterations_per_epoch = self.settings.validation_iterations
        self.progress: tqdm[Any] | None = None
        self.notes: dict[str, Any] = {}

    @classmethod
    def recorded_settings(cls, settings: TrainingSettings) -> dict[str, Any]:
        """What of the settings this trainer follows, for the run record: the budget, as the recipe is nnU-Net's."""
        return {name: getattr(settings, name) for name in _BUDGET}

    @property
    def stage_name(self) -> str:
        """Shown in the progress bar."""
        return "training"

    @property
    def bare_network(self) -> nn.Module:
        """The network without the wrappers of distributed training and compilation, whose names are in its keys."""
        network = self.network.module if self.is_ddp else self.network
        bare: nn.Module = network._orig_mod if isinstance(network, OptimizedModule) else network
        return bare

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Write to the log file only: the console belongs to the progress bar."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Nothing: nnU-Net's drawing of the network is known to hang on other networks than its own."""

    def _save_debug_information(self) -> None:
        """Nothing: the run record holds what is needed, and no host name."""

    def initialize(self) -> None:
        """Build network and optimiser from the seed."""
        self._seed(-1)
        super().initialize()
        self.dataset_class = PreprocessedCases

    def run_training(self) -> None:
        """Run nnU-Net's loop under a progress bar over all iterations."""
        total = self.num_epochs * self.num_iterations_per_epoch
        done = self.current_epoch * self.num_iterations_per_epoch
        hidden = not is_main()
        with tqdm(total=total, initial=done, unit="step", dynamic_ncols=True, disable=hidden) as self.progress:
            super().run_training()

    def on_epoch_start(self) -> None:
        """Seed the epoch, so that a continued run draws what an uninterrupted one would have drawn."""
        self._seed(self.current_epoch)
        super().on_epoch_start()
        if self.progress is not None:
            self.progress.set_description(f"{self.stage_name}, epoch {self.current_epoch + 1}/{self.num_epochs}")

    def train_step(self, batch: Any) -> dict[str, Any]:
        """One optimiser step, counted by the progress bar."""
        result: dict[str, Any] = self.optimise(batch)
        if self.progress is not None:
            self.progress.set_postfix(loss=f"{float(result['loss']):.3f}", refresh=False)
            self.progress.update()
        return result

    def optimise(self, batch: Any) -> dict[str, Any]:
        """One optimiser step; returns ``{"loss": ...}``."""
        result: dict[str, Any] = super().train_step(batch)
        return result

    def on_epoch_end(self) -> None:
        """Log the epoch and save it."""
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        values = {name: self.logger.get_value(name, step=-1) for name in ("train_losses", "val_losses", "mean_fg_dice")}
        self.print_to_log_file(
            f"epoch {self.current_epoch}: train loss {values['train_losses']:.4f}, validation loss "
            f"{values['val_losses']:.4f}, pseudo Dice {values['mean_fg_dice']:.4f}"
        )
        last = self.current_epoch == self.num_epochs - 1
        if not last:
            self.save_checkpoint(str(Path(self.output_folder, LATEST)))
        if is_main() and (last or (self.current_epoch + 1) % _PLOT_EVERY == 0):
            self.logger.plot_progress_png(self.output_folder)
            # Figures are full of cycles: 70 MB each would stay until Python thinks of it, hundreds of epochs later.
            gc.collect()
        self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint atomically, from types that load with ``weights_only=True``."""
        on_main(lambda: self._write_checkpoint(Path(filename)))

    def _write_checkpoint(self, path: Path) -> None:
        # The run goes on with the very numbers that are saved: a mean of single precision and one of double differ.
        self.logger.load_checkpoint(_plain(self.logger.get_checkpoint()))
        checkpoint = {
            "network_weights": self.bare_network.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "scheduler_state": self.scheduler_state(),
            "grad_scaler_state": self.grad_scaler.state_dict() if self.grad_scaler is not None else None,
            "logging": self.logger.get_checkpoint(),
            "_best_ema": _plain(self._best_ema),
            "current_epoch": self.current_epoch + 1,
            "init_args": _plain({**self.my_init_kwargs, "device": str(self.device)}),
            "trainer_name": type(self).__name__,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
        }
        write_checkpoint(path, checkpoint)

    def on_train_end(self) -> None:
        """Save the network; the checkpoints on the way have served."""
        super().on_train_end()
        if is_main():
            Path(self.output_folder, PREVIOUS).unlink(missing_ok=True)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Take up a run where its checkpoint left it."""
        checkpoint = read_checkpoint(Path(filename_or_checkpoint), self.device)
        if not self.was_initialized:
            self.initialize()
        self.current_epoch = checkpoint["current_epoch"]
        self.before_loading_state()
        self.bare_network.load_state_dict(checkpoint["network_weights"])
        self.optimizer.load_state_dict(checkpoint["optimizer_state"])
        self.load_scheduler_state(checkpoint["scheduler_state"])
        if self.grad_scaler is not None and checkpoint["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])
        self.logger.load_checkpoint(checkpoint["logging"])
        self._best_ema = checkpoint["_best_ema"]
        self.inference_allowed_mirroring_axes = checkpoint["inference_allowed_mirroring_axes"]

    def before_loading_state(self) -> None:
        """Bring optimiser and network into the shape of ``current_epoch``'s stage."""

    def scheduler_state(self) -> dict[str, Any] | None:
        """State of the learning rate's schedule; nnU-Net's own follows from the epoch."""
        return None

    def load_scheduler_state(self, state: dict[str, Any] | None) -> None:
        """The reverse of :meth:`scheduler_state`."""

    def _seed(self, epoch: int) -> None:
        # The weights begin alike in all processes; what is drawn in an epoch (dropout) belongs to other slices in each.
        process = [rank()] if epoch >= 0 and not is_main() else []
        seed = int(np.random.SeedSequence([self.settings.seed, epoch + 1, *process]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as Python's own, in nested dicts and lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value

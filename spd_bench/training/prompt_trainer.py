"""The trainer of every 2D row of ours: fixed-size slices with their points, nnU-Net's loop around them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.utils.data import Dataset

from spd_bench.errors import InputError
from spd_bench.losses import LossSettings, segmentation_loss
from spd_bench.models.checkpointing import can_checkpoint, set_gradient_checkpointing
from spd_bench.models.precision import precision
from spd_bench.training.batch_stream import BatchStream
from spd_bench.training.distributed import every_row, is_main, place_on_machine, processes
from spd_bench.training.replica import Outputs, replicated, whole_outputs, whole_targets
from spd_bench.training.schedules import optimizer_and_schedule
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.tracked import TrackedTrainer
from spd_bench.training.windows import (
    Neighbours,
    Points,
    SliceIndex,
    Targets,
    WindowBatch,
    WindowDataset,
    WindowSampler,
    read_slice_index,
    windows_in_batch,
)

_MOST_WORKERS = 8
# The second step is the first with the optimiser's state in memory.
_TRIAL_STEPS = 2


class PromptTrainer(TrackedTrainer):
    """Trains on windows of slices; a method overrides :meth:`predict_batch` and, if it must, the rest.

    Optimiser, schedule and loss are the row's own (the paper's Adam with a plateau schedule by default);
    gradient clipping; no deep supervision, no compilation.

    Several processes train as one would: each computes its share of every batch, and all of them the loss of the whole
    batch and the same step (:mod:`spd_bench.training.distributed`).
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net compares this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        # Several processes share the work in our own way, of which nnU-Net's loop need not know.
        self.is_ddp = False
        self.enable_deep_supervision = False
        self.grad_scaler = None
        self.slice_indices: dict[str, SliceIndex] = {}
        self.train_cases: list[str] = []
        self.validation_cases: list[str] = []
        self.replica: Callable[[WindowBatch], Outputs] = self.outputs

    @classmethod
    def recorded_settings(cls, settings: TrainingSettings) -> dict[str, Any]:
        """All settings that make a run another one: the recipe is ours."""
        return settings.identity()

    # What a method decides.

    def predict_batch(self, batch: WindowBatch) -> Tensor:
        """Logits (N, R, R) of a batch that lies on the device."""
        raise NotImplementedError

    def batch_loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of a batch: L_seg averaged over its slices."""
        return segmentation_loss(logits, targets.masks, self.segmentation_loss_settings)

    def outputs(self, batch: WindowBatch) -> Outputs:
        """All that the loss is computed from, in single precision; ``logits`` (N, R, R) are the method's answer."""
        return {"logits": self.predict_batch(batch).float()}

    def outputs_loss(self, outputs: Outputs, targets: Targets) -> Tensor:
        """The loss of a batch from :meth:`outputs`."""
        return self.batch_loss(outputs["logits"], targets)

    def logits_and_loss(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Logits (N, R, R) and the loss of the batch of which this process's share lies on the device."""
        outputs = whole_outputs(self.replica(batch))
        return outputs["logits"], self.outputs_loss(outputs, whole_targets(batch))

    @property
    def segmentation_loss_settings(self) -> LossSettings:
        """The loss of the running stage."""
        return self.settings.loss

    @property
    def neighbours(self) -> Neighbours:
        """The neighbouring slices that come with each slice."""
        return "none"

    @property
    def fewest_windows(self) -> int:
        """Windows in the run's smallest batch: more processes than that cannot share it."""
        return windows_in_batch(self.settings.batch_size, self.neighbours)

    @property
    def steps_in_stage(self) -> int:
        """Optimiser steps of the running stage: the length of its schedule."""
        return int(self.num_epochs * self.num_iterations_per_epoch)

    def points_of(self, case: str) -> Points:
        """The prompts that the network is given on each slice of a case."""
        return self.slice_indices[case].points

    def candidate_slices(self, case: str) -> NDArray[np.int64]:
        """Slices of a case that training may draw; validation draws from all."""
        return self.all_slices(case)

    def all_slices(self, case: str) -> NDArray[np.int64]:
        """All slices of a case."""
        return np.arange(len(self.slice_indices[case].has_target))

    def prompted_slices(self, case: str) -> NDArray[np.int64]:
        """The slices of a case on which the network is given a point."""
        return np.flatnonzero([len(points) > 0 for points in self.points_of(case)])

    def trial_steps(self, batch_size: int) -> None:
        """Take optimiser steps with batches of another size, for the memory they cost; the run is spoilt by it."""
        self.settings = replace(self.settings, batch_size=batch_size)
        self.read_cases()
        candidates = {case: self.candidate_slices(case) for case in self.train_cases}
        sampler = self._sampler(candidates, batches=_TRIAL_STEPS, augment=True)
        self.dataloader_train = self._stream(self.train_cases, sampler)
        self.on_train_epoch_start()
        try:
            for _ in range(_TRIAL_STEPS):
                self.optimise(next(self.dataloader_train))
        finally:
            self.close_streams()

    def close_streams(self) -> None:
        """End the processes that read batches."""
        for stream in (self.dataloader_train, self.dataloader_val):
            if stream is not None:
                stream.close()

    # nnU-Net's hooks.

    def run_training(self) -> None:
        """Run nnU-Net's loop; the processes that read batches end with it, however it ends."""
        try:
            super().run_training()
        finally:
            self.close_streams()

    def initialize(self) -> None:
        """Build the network; where the settings say so, an image encoder that is trained saves memory."""
        windows = self.fewest_windows
        if processes() > windows:
            raise InputError(
                f"{processes()} processes cannot share batches of {windows} window(s) of neighbouring slices",
                remedy="train with fewer, or give a larger --batch-size",
            )
        super().initialize()
        self.share_steps()
        encoder = getattr(getattr(self.bare_network, "sam", None), "image_encoder", None)
        trained = encoder is not None and any(parameter.requires_grad for parameter in encoder.parameters())
        if self.settings.gradient_checkpointing and trained and can_checkpoint(encoder):
            set_gradient_checkpointing(encoder, enabled=True)
            self.notes["gradient_checkpointing"] = True

    def share_steps(self) -> None:
        """Let several processes share the steps; anew whenever other parameters are to be trained."""
        self.replica = replicated(self.network, self.outputs)

    def _do_i_compile(self) -> bool:
        return False

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Nothing: these networks have one output."""

    def _set_batch_size_and_oversample(self) -> None:
        self.batch_size = self.settings.batch_size

    def _build_loss(self) -> None:
        return None

    def configure_optimizers(self) -> tuple[Adam | AdamW, LambdaLR | ReduceLROnPlateau]:
        """The optimiser of what is trainable now, and its schedule over the running stage."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return optimizer_and_schedule(parameters, self.settings, steps=self.steps_in_stage)

    def get_dataloaders(self) -> tuple[BatchStream, BatchStream]:
        """Streams of training and validation batches."""
        self.read_cases()
        training, validation = self.window_samplers()
        return self._stream(self.train_cases, training), self._stream(self.validation_cases, validation)

    def window_samplers(self) -> tuple[WindowSampler, WindowSampler]:
        """What the running stage draws for training and for validation."""
        candidates = {case: self.candidate_slices(case) for case in self.train_cases}
        all_slices = {case: self.all_slices(case) for case in self.validation_cases}
        return (
            self._sampler(candidates, batches=self.num_iterations_per_epoch, augment=True),
            self._sampler(all_slices, batches=self.num_val_iterations_per_epoch, augment=False),
        )

    def window_dataset(self, cases: list[str]) -> Dataset[WindowBatch]:
        """What reads the windows that are drawn from some cases."""
        return self.slices_of(cases)

    def slices_of(self, cases: list[str]) -> WindowDataset:
        """The images, masks and points of some cases."""
        return WindowDataset(
            folder=Path(self.preprocessed_dataset_folder),
            channels=self.configuration_manager.configuration["spd"]["channels"],
            points={case: self.points_of(case) for case in cases},
            settings=self.settings,
        )

    def read_cases(self) -> None:
        """Read the fold's training and validation cases once; test cases are never opened."""
        if not self.slice_indices:
            self.train_cases, self.validation_cases = self.do_split()
            folder = Path(self.preprocessed_dataset_folder)
            cases = [*self.train_cases, *self.validation_cases]
            self.slice_indices = {case: read_slice_index(folder, case) for case in cases}

    @property
    def workers(self) -> int:
        """Processes that read batches; beside a CPU that trains they would only take its cores."""
        if self.settings.workers is not None:
            return self.settings.workers
        own_cores = (os.cpu_count() or 1) // place_on_machine()[1]
        return min(_MOST_WORKERS, max(1, own_cores - 1)) if self.device.type == "cuda" else 0

    def _sampler(self, candidates: dict[str, NDArray[np.int64]], *, batches: int, augment: bool) -> WindowSampler:
        return WindowSampler(
            candidates=candidates,
            indices={case: self.slice_indices[case] for case in candidates},
            neighbours=self.neighbours,
            batches=batches,
            settings=self.settings,
            augment=augment,
        )

    def _stream(self, cases: list[str], sampler: WindowSampler) -> BatchStream:
        return BatchStream(dataset=self.window_dataset(cases), sampler=sampler, workers=self.workers)

    def on_train_start(self) -> None:
        """Read the data; the main process leaves nnU-Net's files beside the results."""
        if is_main():
            super().on_train_start()
        else:
            self.dataloader_train, self.dataloader_val = self.get_dataloaders()

    def on_train_epoch_start(self) -> None:
        """Start the epoch's batches."""
        self.network.train()
        self.dataloader_train.start_epoch(self.current_epoch)
        self.logger.log("lrs", self.optimizer.param_groups[0]["lr"], self.current_epoch)

    def optimise(self, batch: WindowBatch) -> dict[str, Any]:
        """One optimiser step."""
        batch = self.to_device(batch)
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision():
            _, loss = self.logits_and_loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            # Its network would predict nothing anywhere, and a table would take that for a result.
            msg = f"training diverged: the loss is {value} in epoch {self.current_epoch + 1}"
            raise RuntimeError(msg)
        if loss.requires_grad:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
            self.optimizer.step()
        if isinstance(self.lr_scheduler, LambdaLR):
            self.lr_scheduler.step()
        return {"loss": value}

    def on_validation_epoch_start(self) -> None:
        """The validation batches are the same in every epoch."""
        self.network.eval()
        self.dataloader_val.start_epoch(0)

    def validation_step(self, batch: WindowBatch) -> dict[str, Any]:
        """Loss and pixel counts of one validation batch."""
        batch = self.to_device(batch)
        with self.precision():
            logits, loss = self.logits_and_loss(batch)
        predicted, target = logits > 0, every_row(batch.masks) > 0
        return {
            "loss": float(loss),
            "tp_hard": np.array([int((predicted & target).sum())]),
            "fp_hard": np.array([int((predicted & ~target).sum())]),
            "fn_hard": np.array([int((~predicted & target).sum())]),
        }

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Log the epoch's validation; a plateau schedule watches its loss."""
        super().on_validation_epoch_end(val_outputs)
        if isinstance(self.lr_scheduler, ReduceLROnPlateau):
            self.lr_scheduler.step(self.logger.get_value("val_losses", step=-1))

    def scheduler_state(self) -> dict[str, Any] | None:
        """State of the schedule."""
        state: dict[str, Any] = self.lr_scheduler.state_dict()
        return {key: value for key, value in state.items() if key != "lr_lambdas"}

    def load_scheduler_state(self, state: dict[str, Any] | None) -> None:
        """The reverse of :meth:`scheduler_state`."""
        if state is not None:
            own = self.lr_scheduler.state_dict()
            self.lr_scheduler.load_state_dict({**own, **state})

    def precision(self) -> torch.autocast:
        """Bfloat16 on a GPU, single precision elsewhere (bfloat16 is slower on most CPUs)."""
        return precision(self.device)

    def to_device(self, batch: WindowBatch) -> WindowBatch:
        """The batch on the training device; points stay where they are."""
        return batch.to(self.device)

"""Train one method on one fold: build its trainer, run it, record it."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn
from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.planning.plan_checks import check_plans
from spd_bench.planning.sums import check_sums
from spd_bench.storage import remove_leftovers
from spd_bench.training.batch_size import choose_batch_size
from spd_bench.training.checkpoints import FINAL, LATEST, PREVIOUS, begun_checkpoint, read_checkpoint
from spd_bench.training.distributed import on_main
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.records import RECORD_NAME, RunRecord, environment, peak_memory_mb
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.tracked import TrackedTrainer


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that decides the outcome of a training run.

    Attributes:
        method: name of the row.
        plans_name: name of the plans in nnU-Net's folder names.
        trainer: the trainer's class; classes are passed, never looked up by name.
        configuration: nnU-Net configuration.
        plan: the planned dataset.
        fold: the fold.
        training: budget and recipe.
        method_settings: the method's own settings as JSON values.
        hashes: what the result stands on.
    """

    method: str
    plans_name: str
    trainer: type[TrackedTrainer]
    configuration: str
    plan: Plan
    fold: int
    training: TrainingSettings
    method_settings: dict[str, Any]
    hashes: dict[str, str | None]

    def settings(self) -> dict[str, Any]:
        """All settings of the run as JSON values; two runs with the same are the same run."""
        return {
            "training": self.trainer.recorded_settings(self.training),
            "method": recorded_method_settings(self.method_settings),
        }


def recorded_method_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A method's settings as records state them: weights by their hash, wherever the file lies."""
    return {name: value for name, value in settings.items() if name != "weights"}


def train(
    run: TrainingRun, *, folder: Path, device: torch.device, resume: bool = False, begun: Path | None = None
) -> RunRecord:
    """Train and write checkpoints and ``run.json`` into ``folder``.

    Several processes that have joined (:mod:`spd_bench.training.distributed`) call this alike; how many they are is no
    part of the run, which any number may continue.

    Args:
        run: what to train.
        folder: where nnU-Net's trainer will write (results/dataset/trainer__plans__configuration/fold_k).
        device: where to train.
        resume: look for the last whole epoch and continue from it instead of starting afresh.
        begun: the checkpoint to continue from where one has looked already (``begun_checkpoint``, ``check_same_run``).

    Raises:
        InputError: there is nothing to continue, the unfinished run was made with other settings, or a preprocessed
            case is not as it was written.
    """
    if resume and begun is None:
        begun = on_main(lambda: _to_continue(run, folder))
    on_main(lambda: _check_preprocessed(run))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    on_main(lambda: remove_leftovers(folder))
    started = time.monotonic()
    fitted, batch = _fitted_to_memory(run, device=device, begun=begun)
    with single_process_loading(device), flushed_denormals(), contextlib.redirect_stdout(io.StringIO()):
        trainer = build_trainer(fitted, device=device, resume=begun is not None)
        if Path(trainer.output_folder) != folder:
            msg = f"the trainer writes to {trainer.output_folder}, expected {folder}"
            raise RuntimeError(msg)
        trainer.notes.update(batch)
        if begun is not None:
            trainer.load_checkpoint(str(begun))
        else:
            trainer.initialize()
            # Not before: options that do not fit have been refused by now, and cost no finished run.
            on_main(lambda: _remove_earlier_run(folder, log=Path(trainer.log_file)))
        trainer.run_training()
    seconds = time.monotonic() - started
    return on_main(lambda: _record(run, trainer, folder=folder, device=device, seconds=seconds))


def _to_continue(run: TrainingRun, folder: Path) -> Path:
    """The checkpoint of the unfinished run in a folder; InputError where there is none, or that of another run."""
    begun = begun_checkpoint(folder)
    if begun is None:
        state = "the run is complete, nothing" if (folder / FINAL).is_file() else "nothing"
        raise InputError(f"{state} to continue", file=folder, remedy="leave out --continue to start afresh")
    check_same_run(run, begun)
    return begun


def _check_preprocessed(run: TrainingRun) -> None:
    """Raise InputError where a training or validation case is damaged, before anything of the run is touched."""
    split = run.plan.split(run.fold)
    _, configuration = run.plan.managers(run.configuration)
    check_sums(
        run.plan.folder / configuration.data_identifier,
        [*split["train"], *split["val"]],
        progress=lambda cases: tqdm(list(cases), "checking preprocessed cases", unit="case", leave=False),
    )


def _fitted_to_memory(
    run: TrainingRun, *, device: torch.device, begun: Path | None
) -> tuple[TrainingRun, dict[str, Any]]:
    """The run with the batch size that the device holds, or the one it was begun with; and the note of it."""
    if not (run.training.automatic_batch_size and issubclass(run.trainer, PromptTrainer)):
        return run, {}
    if begun is not None:
        plans = read_checkpoint(begun, torch.device("cpu"))["init_args"]["plans"]
        training = TrainingSettings.from_json(plans["spd_training"])
        return replace(run, training=training), {"batch_size": {"batch_size": training.batch_size}}
    images = run.training.iterations_per_epoch * run.training.batch_size
    build = partial(build_trainer, run, device=device, resume=False)
    with single_process_loading(device):
        choice = choose_batch_size(build, images_per_epoch=images, device=device)
    fitted = replace(run, training=run.training.with_batch_size(choice.batch_size))
    return fitted, {"batch_size": choice.to_json()}


def _remove_earlier_run(folder: Path, *, log: Path) -> None:
    stale = [folder / name for name in (RECORD_NAME, LATEST, PREVIOUS, FINAL)]
    for path in [*stale, *(other for other in folder.glob("training_log_*.txt") if other != log)]:
        path.unlink(missing_ok=True)


def build_trainer(run: TrainingRun, *, device: torch.device, resume: bool) -> TrackedTrainer:
    """The run's trainer; its settings travel in the plans."""
    plans = {
        **run.plan.plans,
        "plans_name": run.plans_name,
        "continue_training": resume,
        "spd_training": run.training.to_json(),
        "spd_method": run.method_settings,
        "spd_hashes": run.hashes,
    }
    return run.trainer(
        plans=plans,
        configuration=run.configuration,
        fold=run.fold,
        dataset_json=run.plan.dataset_json,
        device=device,
    )


def check_same_run(run: TrainingRun, checkpoint: Path) -> None:
    """Raise InputError where an unfinished run was begun under other settings, plan or prompts."""
    begun = read_checkpoint(checkpoint, torch.device("cpu"))["init_args"]["plans"]
    for name, found, wanted in (
        ("training settings", _identity(begun), run.training.identity()),
        (
            "method settings",
            recorded_method_settings(begun.get("spd_method", {})),
            recorded_method_settings(run.method_settings),
        ),
        ("plan, splits or prompts", begun.get("spd_hashes"), run.hashes),
    ):
        if found != wanted:
            raise InputError(
                f"the unfinished run was begun with other {name}",
                file=checkpoint,
                remedy="give the options it was begun with, or leave out --continue to start afresh",
            )


def _identity(plans: dict[str, Any]) -> dict[str, Any] | None:
    return TrainingSettings.from_json(plans["spd_training"]).identity() if "spd_training" in plans else None


def _record(
    run: TrainingRun, trainer: TrackedTrainer, *, folder: Path, device: torch.device, seconds: float
) -> RunRecord:
    record = RunRecord(
        method=run.method,
        dataset=run.plan.dataset,
        fold=run.fold,
        seed=run.training.seed,
        epochs=run.training.epochs,
        images_seen=run.training.images_seen,
        configuration=run.configuration,
        settings=run.settings(),
        backbone=run.method_settings.get("backbone"),
        weights=trainer.notes.get("weights", {"name": "random", "sha256": None}),
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        hashes=run.hashes,
        prompts=run.plan.prompts_provenance,
        notes={name: note for name, note in trainer.notes.items() if name != "weights"},
        seconds={"training": round(seconds, 1)},
        peak_memory_mb=round(peak_memory_mb(device)),
        environment=environment(device),
    )
    record.write(folder)
    return record


def load_network(
    trainer: type[TrackedTrainer], folder: Path, *, plan: Plan, device: torch.device
) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a finished run, in evaluation mode, and its checkpoint.

    Raises:
        InputError: the run has no final checkpoint, it is torn, it names a network of no known library, or ``plan`` is
            not the one it was trained on (volumes would be prepared in another way than the network has learned).
    """
    checkpoint = read_checkpoint(folder / FINAL, device)
    arguments = checkpoint["init_args"]
    if arguments["plans"].get("spd_hashes", {}).get("plan") != plan.hashes()["plan"]:
        raise InputError(
            "the method was trained on another plan of this dataset",
            file=folder / FINAL,
            remedy="train it again, or plan the dataset as it was",
        )
    # nnU-Net builds what they name, whoever has written them.
    check_plans(arguments["plans"], file=folder / FINAL)
    plans_manager = PlansManager(arguments["plans"])
    configuration = plans_manager.get_configuration(arguments["configuration"])
    dataset_json = arguments["dataset_json"]
    network = trainer.build_network_architecture(
        plans_manager,
        configuration,
        determine_num_input_channels(plans_manager, configuration, dataset_json),
        plans_manager.get_label_manager(dataset_json).num_segmentation_heads,
        False,
    )
    network.load_state_dict(checkpoint["network_weights"])
    return network.to(device).eval(), checkpoint


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal numbers for zero: near-zero gradients make them, and a CPU is tens of times slower with them.

    Training alone runs so, because SciPy's k-d tree, which evaluation uses, crashes in this mode.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def single_process_loading(device: torch.device) -> Iterator[None]:
    """Let nnU-Net load its data in this process while a CPU trains: workers would only take its cores.

    The variable must not be 0 at planning time (nnU-Net then asks torch for 0 threads), hence only here.
    """
    name = "nnUNet_n_proc_DA"
    before = os.environ.get(name)
    if device.type == "cpu":
        os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before

"""Train a row and load it again: the glue between a row's description and its trainer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.methods.method import Method, MethodRun, plans_name
from spd_bench.models.builtin_weights import RANDOM, weights_name
from spd_bench.storage import sha256_of_file
from spd_bench.training.checkpoints import begun_checkpoint
from spd_bench.training.distributed import locked_by_main, on_main
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.records import RECORD_NAME, RunRecord, environment, read_record
from spd_bench.training.run import TrainingRun, check_same_run, recorded_method_settings, train
from spd_bench.training.settings import Budget


def training_run(run: MethodRun, budget: Budget) -> TrainingRun:
    """What training the row means under a budget.

    Raises:
        InputError: the row is not trained, or an option does not fit it.
    """
    method, options = run.method, run.own_options
    if method.trainer is None or method.training is None:
        raise InputError(f"the row {method.name!r} is not trained", remedy="choose another method")
    with _refusals(method):
        settings = method.settings(options)
        training = method.training(budget, run.plan, options)
    return TrainingRun(
        method=method.name,
        plans_name=plans_name(method.name),
        trainer=method.trainer,
        configuration=method.configuration(run.plan),
        plan=run.plan,
        fold=run.fold,
        training=training,
        method_settings=settings,
        hashes=hashes(run),
    )


def hashes(run: MethodRun) -> dict[str, str | None]:
    """What a result of the run stands on: plan, splits, the prompts where it is given them, and other rows' runs."""
    own = {**run.plan.hashes(), "prompts": run.plan.prompts_sha256 if run.method.uses_prompts else None}
    for other in run.required:
        record = other.folder / RECORD_NAME
        own[f"run of {other.method.name}"] = sha256_of_file(record) if record.is_file() else None
    return own


def check_processes(method: Method, budget: Budget, processes: int) -> None:
    """Raise InputError where several processes cannot train a row together; one always can."""
    if processes == 1:
        return
    if method.trainer is None:
        raise InputError(f"the row {method.name!r} is not trained", remedy="run it in one process")
    if not issubclass(method.trainer, PromptTrainer):
        raise InputError(
            f"the row {method.name!r} trains in one process: nnU-Net's loader draws at random in each, so that several "
            "would be another run",
            remedy="leave out --num-gpus; other folds can train on the other GPUs at the same time",
        )
    if budget.automatic_batch_size:
        raise InputError(
            "--batch-size auto looks at the memory of one GPU, and several are asked for",
            remedy="give the batch size of all of them together as a number",
        )
    if budget.batch_size % processes:
        raise InputError(
            f"a batch of {budget.batch_size} slices cannot be shared by {processes} processes alike",
            remedy="choose a --batch-size that they divide; it is that of all together",
        )


def expected_settings(run: MethodRun, budget: Budget) -> dict[str, Any]:
    """The settings that the run would record; an old run with the same need not be repeated.

    Raises:
        InputError: an option does not fit the row.
    """
    if run.method.trainer is None:
        with _refusals(run.method):
            return {"training": None, "method": recorded_method_settings(run.method.settings(run.own_options))}
    return training_run(run, budget).settings()


def ensure_fitted(run: MethodRun, budget: Budget) -> RunRecord:
    """The record of the run, trained now unless an equal run is complete; so with the runs that it stands on.

    An equal run that was stopped goes on after its last whole epoch. Where another process trains it, it is waited for.
    """
    for other in run.required:
        ensure_fitted(other, budget)
    with locked_by_main(run.folder):
        record = on_main(lambda: _equal_record(run, budget))
        if record is not None:
            return record
        return fit(run, budget, begun=on_main(lambda: _begun(run, budget)))


def fitted_record(run: MethodRun, budget: Budget) -> RunRecord | None:
    """The record of the run where :func:`ensure_fitted` has nothing to train, else None."""
    if any(fitted_record(other, budget) is None for other in run.required):
        return None
    return _equal_record(run, budget)


def _equal_record(run: MethodRun, budget: Budget) -> RunRecord | None:
    """The record of a complete run of the same settings, plan and prompts."""
    record = read_record(run.folder)
    if record is not None and record.settings == expected_settings(run, budget) and record.hashes == hashes(run):
        return record
    return None


def _begun(run: MethodRun, budget: Budget) -> Path | None:
    """The checkpoint of an unfinished run of the same settings, plan and prompts; None where there is none."""
    if run.method.trainer is None or (run.folder / RECORD_NAME).is_file():
        return None
    # What does not fit is refused, and not taken for another run.
    wanted = training_run(run, budget)
    try:
        begun = begun_checkpoint(run.folder)
        if begun is not None:
            check_same_run(wanted, begun)
    except InputError:
        return None
    return begun


def fit(run: MethodRun, budget: Budget, *, resume: bool = False, begun: Path | None = None) -> RunRecord:
    """Train the row on one fold (rows without training are only recorded) and return its record.

    The runs that it stands on must be there, see :func:`ensure_fitted`. Where another process trains it, it is waited
    for. ``resume`` and ``begun`` are those of :func:`spd_bench.training.run.train`.
    """
    # What does not fit is refused before anything is written; what it stands on may change until the lock is held.
    run.plan.split(run.fold)
    expected_settings(run, budget)
    with locked_by_main(run.folder):
        return _fit(run, budget, resume=resume, begun=begun)


def _fit(run: MethodRun, budget: Budget, *, resume: bool, begun: Path | None) -> RunRecord:
    method = run.method
    if method.trainer is not None:
        wanted = training_run(run, budget)
        return train(wanted, folder=run.folder, device=run.device, resume=resume, begun=begun)
    settings = expected_settings(run, budget)
    record = RunRecord(
        method=method.name,
        dataset=run.plan.dataset,
        fold=run.fold,
        seed=budget.seed,
        epochs=0,
        images_seen=0,
        configuration=method.configuration(run.plan),
        settings=settings,
        backbone=settings["method"].get("backbone"),
        weights=_weights(method.settings(run.own_options)),
        parameters=0,
        hashes=hashes(run),
        prompts=run.plan.prompts_provenance,
        environment=environment(run.device),
    )
    record.write(run.folder)
    return record


@contextlib.contextmanager
def _refusals(method: Method) -> Iterator[None]:
    """Tell in one line which row did not take its settings."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"setting of {method.name} refused ({error})", remedy="correct the option") from error


def _weights(settings: dict[str, Any]) -> dict[str, str | None]:
    """What a record says of the weights of a row that is not trained."""
    if "weights" not in settings:
        return {"name": "none", "sha256": None}
    if settings["weights"] is None:
        return {"name": RANDOM, "sha256": None}
    return {"name": weights_name(settings["weights"]), "sha256": settings["weights_sha256"]}

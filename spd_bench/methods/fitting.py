"""Train a row and load it again: the glue between a row's description and its trainer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from spd_bench.errors import InputError
from spd_bench.methods.method import Method, MethodOptions, plans_name
from spd_bench.planning.plan import Plan
from spd_bench.training.records import RunRecord, environment
from spd_bench.training.run import TrainingRun, train
from spd_bench.training.settings import Budget


def training_run(method: Method, *, plan: Plan, fold: int, budget: Budget, options: MethodOptions) -> TrainingRun:
    """What training the row means under a budget.

    Raises:
        InputError: the row is not trained, or an option does not fit it.
    """
    if method.trainer is None:
        raise InputError(f"the row {method.name!r} is not trained", remedy="choose another method")
    with _refusals(method):
        settings = method.settings(options)
        training = method.training(budget, plan, options)
    return TrainingRun(
        method=method.name,
        plans_name=plans_name(method.name),
        trainer=method.trainer,
        configuration=method.configuration(plan),
        plan=plan,
        fold=fold,
        training=training,
        method_settings=settings,
        hashes=method.hashes(plan),
    )


@contextlib.contextmanager
def _refusals(method: Method) -> Iterator[None]:
    """Tell in one line which row did not take its settings."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"setting of {method.name} refused ({error})", remedy="correct the option") from error


def expected_settings(
    method: Method, *, plan: Plan, fold: int, budget: Budget, options: MethodOptions
) -> dict[str, Any]:
    """The settings that a run of the row would record; an old run with the same need not be repeated.

    Raises:
        InputError: an option does not fit the row.
    """
    if method.trainer is None:
        with _refusals(method):
            return {"training": None, "method": method.settings(options)}
    return training_run(method, plan=plan, fold=fold, budget=budget, options=options).settings()


def fit(
    method: Method,
    *,
    plan: Plan,
    fold: int,
    budget: Budget,
    options: MethodOptions,
    results: Path,
    device: torch.device,
    resume: bool = False,
) -> RunRecord:
    """Train the row on one fold (rows without training are only recorded) and return its record."""
    folder = method.run_folder(results, plan, fold)
    if method.trainer is not None:
        run = training_run(method, plan=plan, fold=fold, budget=budget, options=options)
        return train(run, folder=folder, device=device, resume=resume)
    plan.split(fold)
    record = RunRecord(
        method=method.name,
        dataset=plan.dataset,
        fold=fold,
        seed=budget.seed,
        epochs=0,
        images_seen=0,
        configuration=method.configuration(plan),
        settings=expected_settings(method, plan=plan, fold=fold, budget=budget, options=options),
        backbone=None,
        weights={"name": "none", "sha256": None},
        parameters=0,
        hashes=method.hashes(plan),
        prompts=plan.prompts_provenance,
        environment=environment(device),
    )
    record.write(folder)
    return record

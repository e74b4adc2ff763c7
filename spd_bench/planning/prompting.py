"""Prompts of a dataset: those that came with it, or simulated ones written beside the images."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.planning.preprocessor import merge_target_labels
from spd_bench.planning.settings import PlanSettings
from spd_bench.processes import run_in_processes
from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts
from spd_bench.raw.dataset import PROMPTS, RawCase, RawDataset
from spd_bench.raw.volumes import read_volume
from spd_bench.storage import atomic_folder

_DEFAULT_SEVERITY = 1.0
_TARGET = "target_labels"


def check_prompts(dataset: RawDataset, settings: PlanSettings) -> None:
    """Check that prompts that exist are the ones that were asked for.

    Raises:
        InputError: they were simulated with another noise severity or from another target, or a severity was
            asked for and they were not simulated.
    """
    for case in dataset.cases:
        if case.prompts.is_file():
            _check_origin(case.prompts, settings)


def ensure_prompts(dataset: RawDataset, *, settings: PlanSettings, slice_axis: int, jobs: int = 1) -> int:
    """Simulate the prompts that a dataset lacks; returns the number of files written.

    Where there are none they appear all together or not at all. Where simulated ones are there already (a case
    was added since) the others are simulated as these were, so that all have one seed and severity.

    Raises:
        InputError: other cases have prompts that were not simulated, or with different seeds or severities.
    """
    missing = [case for case in dataset.cases if not case.prompts.is_file()]
    if not missing:
        return 0
    settings = _as_the_others(dataset, settings)
    with _destination(dataset.folder / PROMPTS, whole=len(missing) == len(dataset.cases)) as folder:
        write = partial(_write_simulated, folder=folder, settings=settings, slice_axis=slice_axis)
        done = run_in_processes(write, missing, jobs=jobs)
        for _ in tqdm(done, "simulating prompts", total=len(missing), unit="case"):
            pass
    return len(missing)


def _destination(folder: Path, *, whole: bool) -> AbstractContextManager[Path]:
    return atomic_folder(folder) if whole else nullcontext(folder)


def _as_the_others(dataset: RawDataset, settings: PlanSettings) -> PlanSettings:
    """The settings with the seed and severity of the simulated prompts that are there."""
    found = {
        (origin.get("simulated"), origin.get("seed"), origin.get("severity")): case.prompts
        for case in dataset.cases
        if case.prompts.is_file()
        for origin in (read_prompts(case.prompts).provenance,)
    }
    if not found:
        return settings
    (simulated, seed, severity), file = next(iter(found.items()))
    if len(found) > 1 or not simulated:
        raise InputError(
            "cases without prompts, though others have some that were not simulated alike",
            file=file,
            remedy="add the missing ones, or move the promptsTr folder away to have all simulated",
        )
    return replace(settings, seed=int(seed or 0), severity=severity)


def _check_origin(file: Path, settings: PlanSettings) -> None:
    origin = read_prompts(file).provenance
    severity = origin.get("severity")
    remedy = "leave out --severity, or move the promptsTr folder away to have prompts simulated anew"
    if settings.severity is not None and severity is None:
        raise InputError(
            f"severity {settings.severity} was asked for, but these prompts were not simulated",
            file=file,
            remedy=remedy,
        )
    if settings.severity is not None and not np.isclose(float(severity or 0.0), settings.severity):
        raise InputError(
            f"prompts exist with severity {severity}, but severity {settings.severity} was asked for",
            file=file,
            remedy=remedy,
        )
    target = origin.get(_TARGET, list(settings.target_labels))
    if sorted(target) != sorted(settings.target_labels):
        raise InputError(
            f"prompts were simulated for the target labels {target}, not for {list(settings.target_labels)}",
            file=file,
            remedy="move the promptsTr folder away to have prompts simulated anew",
        )


def _write_simulated(case: RawCase, *, folder: Path, settings: PlanSettings, slice_axis: int) -> None:
    write_prompts(folder / case.prompts.name, _simulated(case, settings=settings, slice_axis=slice_axis))


def _simulated(case: RawCase, *, settings: PlanSettings, slice_axis: int) -> PointPrompts:
    if case.label is None:
        raise InputError("no label to simulate prompts from", file=case.images[0], remedy="add the label")
    severity = _DEFAULT_SEVERITY if settings.severity is None else settings.severity
    labels, geometry = read_volume(case.label)
    prompts = simulate_prompts(
        merge_target_labels(labels, list(settings.target_labels)).astype(bool),
        geometry,
        settings=NoiseSettings(severity=severity),
        seed=settings.seed,
        case=case.case,
        slice_axis=slice_axis,
    )
    return replace(prompts, provenance={**prompts.provenance, _TARGET: list(settings.target_labels)})

"""Prompts of a dataset: those that came with it, or simulated ones written beside the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.planning.preprocessor import merge_target_labels
from spd_bench.planning.settings import PlanSettings
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


def ensure_prompts(dataset: RawDataset, *, settings: PlanSettings, slice_axis: int) -> int:
    """Simulate prompts for a dataset that has none; returns the number of files written.

    The files appear all together or not at all, so that an interrupted run can be repeated.

    Raises:
        InputError: some cases have prompts and others none.
    """
    missing = [case for case in dataset.cases if not case.prompts.is_file()]
    if not missing:
        return 0
    if len(missing) < len(dataset.cases):
        raise InputError(
            "case without prompts, though others have them", file=missing[0].prompts, remedy="add them or remove all"
        )
    with atomic_folder(dataset.folder / PROMPTS) as temporary:
        for case in tqdm(missing, "simulating prompts", unit="case"):
            prompts = _simulated(case, settings=settings, slice_axis=slice_axis)
            write_prompts(temporary / case.prompts.name, prompts)
    return len(missing)


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
